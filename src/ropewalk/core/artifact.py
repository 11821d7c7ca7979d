"""Artifacts: folders that exist whole or not at all, each with a manifest that hashes every file.

Written beside its place, fsynced, renamed. `Manifest.verify` finds a flipped bit, a cut or a missing file.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from ropewalk.core.errors import DataError, DiskError

MANIFEST = "manifest.json"
FORMAT = 1


def hash_file(path: Path) -> str:
    """`xxh3:` and 32 hex digits of the file's bytes (xxh3-128, 4 GB/s a core)."""
    import xxhash

    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return f"xxh3:{digest.hexdigest()}"


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: the text that identities are hashed from."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """24 hex digits of sha256 over `canonical(value)`."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Manifest:
    """What a folder holds and how it came to be."""

    type: str
    key: str = ""
    stage: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    """The resolved config, every default written out."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Field path -> key of the artifact read there."""
    code: Mapping[str, str] = field(default_factory=dict)
    """Module -> hash of its code; `version:TYPE` where a component pins one."""
    counts: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    """Facts that are not in the key: environment, runtime fields, seconds, warnings."""
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Relative path -> {bytes, hash}."""
    format: int = FORMAT

    def write(self, folder: Path) -> None:
        body = asdict(self)
        body["sha256"] = hashlib.sha256(canonical(body).encode()).hexdigest()
        write_durably(folder / MANIFEST, json.dumps(body, indent=1, ensure_ascii=False).encode())

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Raises DataError when the manifest is missing, cut or changed."""
        try:
            body = json.loads((folder / MANIFEST).read_bytes())
            claimed = body.pop("sha256")
        except FileNotFoundError:
            raise DataError(f"{folder}: no {MANIFEST}: not a finished artifact") from None
        except (ValueError, KeyError, AttributeError, TypeError):
            raise DataError(f"{folder / MANIFEST}: damaged (not the JSON that was written)") from None
        if hashlib.sha256(canonical(body).encode()).hexdigest() != claimed:
            raise DataError(f"{folder / MANIFEST}: damaged (its checksum does not fit)")
        if body["format"] > FORMAT:
            raise DataError(f"{folder}: format {body['format']} is newer than this ropewalk reads ({FORMAT})")
        return cls(**body)

    def verify(self, folder: Path) -> list[str]:
        """What is wrong with the folder's files, a line each; empty when every byte is as written."""
        wrong = []
        for name, facts in self.files.items():
            path = folder / name
            if not path.is_file():
                wrong.append(f"{name}: missing")
            elif path.stat().st_size != facts["bytes"]:
                wrong.append(f"{name}: {path.stat().st_size} bytes, should be {facts['bytes']}")
            elif hash_file(path) != facts["hash"]:
                wrong.append(f"{name}: damaged (hash does not fit)")
        return wrong


class Artifact:
    """A finished folder of one type; subclasses read it. `kind` is the folder's name in the store."""

    kind: ClassVar[str] = ""
    adopts: ClassVar[tuple[str, ...]] = ()
    """A foreign folder that holds one of these files may stand in for an artifact (`path:`)."""
    kinds: ClassVar[dict[str, type[Artifact]]] = {}

    def __init_subclass__(cls, *, kind: str = "") -> None:
        if kind:
            cls.kind = kind
            Artifact.kinds[kind] = cls

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest

    @classmethod
    def open(cls, path: Path) -> Self:
        """Reads the manifest only; raises DataError when it is damaged or of another type."""
        manifest = Manifest.read(path)
        if cls.kind and manifest.type != cls.kind:
            raise DataError(f"{path}: holds {manifest.type}, not {cls.kind}")
        return cls(path, manifest)

    @classmethod
    def fetch(cls, scheme: str, place: str) -> Path:
        """A folder that this kind adopts, from a place outside (`hf:`, `gguf:`)."""
        raise DataError(f"{scheme}:{place}: a {cls.kind} can't come from there", remedy="name a stage, or path: and a folder")

    @property
    def key(self) -> str:
        return self.manifest.key

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"


def inventory(folder: Path, known: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, dict[str, Any]]:
    """Every file of a folder with its size and hash; `known` spares hashing what a receipt already hashed."""
    known = known or {}
    files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != MANIFEST:
            size = path.stat().st_size
            receipt = known.get(name)
            files[name] = {"bytes": size, "hash": receipt["hash"] if receipt and receipt["bytes"] == size else hash_file(path)}
    return files


def commit(folder: Path, place: Path, manifest: Manifest, known: Mapping[str, Mapping[str, Any]] | None = None) -> Manifest:
    """Hash, fsync and rename a finished folder to its place; what stood there (a loser of a race) stays."""
    manifest = replace(manifest, files=inventory(folder, known))
    for name in manifest.files:
        sync(folder / name)
    manifest.write(folder)
    for directory in sorted({path.parent for path in folder.rglob("*")} | {folder}):
        sync(directory)
    try:
        os.rename(folder, place)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise DiskError(f"{place}: {error.strerror}") from error
        shutil.rmtree(folder)
        return Manifest.read(place)
    sync(place.parent)
    return manifest


@contextmanager
def beside(place: Path) -> Iterator[Path]:
    """A fresh temporary folder beside `place`; removed unless it was committed (renamed away)."""
    place.parent.mkdir(parents=True, exist_ok=True)
    folder = place.parent / f".tmp-{place.name}-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    try:
        yield folder
    finally:
        if folder.exists():
            shutil.rmtree(folder, ignore_errors=True)


def write_durably(path: Path, data: bytes) -> None:
    """Write beside, fsync, rename: after a power cut the file is the old one or the new one."""
    temporary = path.with_name(f".tmp-{path.name}-{uuid.uuid4().hex[:8]}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise DiskError(f"{path}: {error.strerror}") from error
    sync(path.parent)


def sync(path: Path) -> None:
    """fsync a file or a directory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep(folder: Path, names: str = ".tmp-*") -> None:
    """Remove temporary folders and files that a killed process left; only where a lock says that nobody else writes."""
    for path in folder.glob(names):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
