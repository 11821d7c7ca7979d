"""Models that steps refer to: opened by their folder, kept while it is unchanged."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from ropewalk.core.artifact import Artifact
from ropewalk.core.errors import ConfigError
from ropewalk.core.reference import Ref
from ropewalk.core.store import open_outside
from ropewalk.data.classify.classifier import Classifier, Linear

Signature = tuple[tuple[str, int, int], ...]


def opened(ref: Ref[Any]) -> Artifact:
    """The artifact behind a `path:` reference; a stage puts one in place of another stage's name before it runs steps."""
    if ref.scheme != "path":
        raise ConfigError(f"{ref.target!r} names a stage: outside a recipe, name the classifier's folder as path:FOLDER")
    folder = Path(ref.location)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    facts = [(path, path.stat()) for path in files]
    return _opened(folder, ref.kinds, tuple((str(path), stat.st_size, stat.st_mtime_ns) for path, stat in facts))


@functools.lru_cache(maxsize=8)
def _opened(folder: Path, kinds: tuple[type[Artifact], ...], files: Signature) -> Artifact:
    return open_outside(kinds, folder)


def linear(ref: Ref[Any]) -> Linear:
    """The model of a Classifier."""
    artifact = opened(ref)
    assert isinstance(artifact, Classifier), "the reference's kinds see to it"
    return artifact.load()
