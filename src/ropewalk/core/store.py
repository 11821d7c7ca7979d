"""The store: finished artifacts by type and key, `STORE/TYPE/KEY`; a key is made once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from ropewalk.core.artifact import MANIFEST, Artifact, Manifest, digest, inventory, sweep
from ropewalk.core.errors import DataError
from ropewalk.core.lock import Lock
from ropewalk.core.reference import Ref

A = TypeVar("A", bound=Artifact)


def default_root() -> Path:
    """`$ROPEWALK_STORE`, else `.ropewalk/store` below the working folder."""
    return Path(os.environ.get("ROPEWALK_STORE") or Path.cwd() / ".ropewalk" / "store")


class Store:
    """Where finished artifacts stand."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def place(self, kind: str, key: str) -> Path:
        return self.root / kind / key

    def find(self, kind: type[A], key: str) -> A | None:
        """The artifact if it stands; a damaged manifest raises DataError."""
        place = self.place(kind.kind, key)
        return kind.open(place) if (place / MANIFEST).is_file() else None

    def find_or_clear(self, kind: type[A], key: str) -> A | None:
        """As `find`; what stands in the way without being a whole artifact is removed. Only while `making` is held."""
        place = self.place(kind.kind, key)
        try:
            found = self.find(kind, key)
        except DataError:
            found = None
        if found is None and place.exists():
            shutil.rmtree(place)
        return found

    @contextmanager
    def making(self, kind: str, key: str) -> Iterator[None]:
        """Held while a key is made; a second process waits here and then finds it finished. A killed owner's traces go."""
        with Lock(self.root / ".locks" / f"{kind}-{key}", f"{kind} {key}", wait=True):
            sweep(self.root / kind, names=f".tmp-{key}-*")
            yield

    def places(self) -> Iterator[Path]:
        """Every finished artifact's folder, sorted."""
        for kind in sorted(self.root.glob("[A-Z]*")):
            yield from (path for path in sorted(kind.iterdir()) if (path / MANIFEST).is_file())


def open_reference(ref: Ref[Any]) -> Artifact:
    """The artifact outside the recipe that a reference with a scheme names."""
    if ref.scheme == "path":
        return open_outside(ref.kinds, Path(ref.location))
    assert ref.scheme and ref.kinds, f"{ref} names a stage"
    return open_outside(ref.kinds, ref.kinds[0].fetch(ref.scheme, ref.location))


def open_outside(kinds: tuple[type[Artifact], ...], path: Path) -> Artifact:
    """A folder named by `path:`: an artifact of one of the kinds, or a foreign folder that a kind adopts."""
    if not path.is_dir():
        raise DataError(f"{path}: no such folder", remedy="name a stage, or path: and a folder; it is relative to the recipe's file")
    if (path / MANIFEST).is_file():
        manifest = Manifest.read(path)
        for kind in kinds:
            if kind.kind == manifest.type:
                return kind(path, manifest)
        raise DataError(f"{path}: holds {manifest.type}, needs {' or '.join(kind.kind for kind in kinds)}")
    for kind in kinds:
        if any((path / name).is_file() for name in kind.adopts):
            files = inventory(path)
            return kind(path, Manifest(kind.kind, key=digest(files), stage=str(path), files=files))
    foreign = "".join(f", or one with {' or '.join(kind.adopts)}" for kind in kinds if kind.adopts)
    raise DataError(f"{path}: has no {MANIFEST}", remedy=f"name a folder that ropewalk made, such as runs/NAME/stages/STAGE{foreign}")
