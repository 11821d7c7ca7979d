"""Finding files: paths, folders and globs become a sorted list with short names that are the same wherever the files lie."""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from ropewalk.core.artifact import hash_file
from ropewalk.core.errors import DataError
from ropewalk.data.sources.packed import unsuffixed

MAGIC_CHARACTERS = "*?["


@dataclass(frozen=True, order=True)
class FoundFile:
    """A file to read; `name` is its path below the folder, glob or file that was asked for, with `/`."""

    name: str
    path: Path
    folder: str = ""
    """The name of the folder it lies in; for a file that was asked for by itself, its own."""
    damage: str = ""
    """Why it can't be read, where that is known: of an archive that could not be unpacked to its end."""

    @property
    def label(self) -> str:
        """`books` for `books.jsonl.gz`."""
        return stem(self.name)


def find_files(paths: Sequence[Path], suffixes: tuple[str, ...] = ()) -> list[FoundFile]:
    """Every file once, sorted by name; `suffixes` choose within folders. Raises DataError for a path that leads nowhere."""
    found: dict[Path, FoundFile] = {}
    for path in paths:
        for file in _found(path, suffixes):
            found.setdefault(file.path.resolve(), file)
    return sorted(_told_apart(list(found.values())))


def fault(path: Path) -> str:
    """Why a path can't be read as a file, or nothing; does not open it, for a pipe would wait for ever."""
    if path.is_file():
        return "" if os.access(path, os.R_OK) else "may not be read (permissions)"
    if path.is_symlink() and not path.exists():
        return f"is a link that leads nowhere ({os.readlink(path)})"
    return "is not a file" if path.exists() else "is gone"


def content_hash(path: Path) -> str:
    """The hash of a file's bytes, taken once a process as long as size and time stay; of one that can't be read, why."""
    if wrong := fault(path):
        return wrong
    facts = path.stat()
    return _hash(path, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=100_000)
def _hash(path: Path, size: int, modified: int) -> str:
    return hash_file(path)


def stem(name: str) -> str:
    """`books.jsonl.gz` -> `books`."""
    last = unsuffixed(name.rpartition("/")[2])
    return last.rpartition(".")[0] or last


def _found(path: Path, suffixes: tuple[str, ...]) -> list[FoundFile]:
    if any(character in str(path) for character in MAGIC_CHARACTERS) and not path.exists():
        return _globbed(path)
    if path.is_dir():
        return _in_folder(path, suffixes)
    if path.exists() or path.is_symlink():
        return [FoundFile(path.name, path, stem(path.name))]
    raise DataError(f"{path}: no such file or folder", remedy=_nearest(path))


def _globbed(pattern: Path) -> list[FoundFile]:
    parts = pattern.parts
    fixed = next(index for index, part in enumerate(parts) if any(character in part for character in MAGIC_CHARACTERS))
    root = Path(*parts[:fixed])
    files = [path for path in root.glob(str(Path(*parts[fixed:]))) if _is_wanted(path, root)] if root.is_dir() else []
    if not files:
        raise DataError(f"{pattern}: no file fits", remedy=f"{root} is no folder" if not root.is_dir() else "look at the pattern")
    return [FoundFile(path.relative_to(root).as_posix(), path, path.absolute().parent.name) for path in files]


def _in_folder(folder: Path, suffixes: tuple[str, ...]) -> list[FoundFile]:
    inside = [path for path in folder.rglob("*") if _is_wanted(path, folder)]
    files = [path for path in inside if not suffixes or unsuffixed(path.name).endswith(suffixes)]
    if not files:
        others = sorted({path.suffix or path.name for path in inside})[:8]
        there = f"there are {', '.join(others)}" if others else "it is empty"
        wanted = " or ".join(suffixes) or "any kind"
        remedy = f"put such files there, choose by a pattern such as {folder}/*.txt, or take another source (ropewalk list source)"
        raise DataError(f"{folder}: no files of {wanted} in this folder; {there}", remedy=remedy if others else "put files there")
    return [FoundFile(path.relative_to(folder).as_posix(), path, path.absolute().parent.name) for path in files]


def _is_wanted(path: Path, root: Path) -> bool:
    """Whether it is neither a folder nor hidden; what can't be read is seen later, where the policy is known."""
    return not path.is_dir() and not any(part.startswith(".") for part in path.relative_to(root).parts)


def _told_apart(files: list[FoundFile]) -> list[FoundFile]:
    """The files with as many folders before their names as it takes to make each name one file's."""
    while True:
        twice = {name for name, number in Counter(file.name for file in files).items() if number > 1}
        if not twice:
            return files
        files = [_longer(file) if file.name in twice else file for file in files]


def _longer(file: FoundFile) -> FoundFile:
    number = file.name.count("/") + 2
    return replace(file, name="/".join(file.path.absolute().parts[-number:]))


def _nearest(path: Path) -> str:
    if not path.parent.is_dir():
        return f"{path.parent} is no folder either"
    close = difflib.get_close_matches(path.name, [other.name for other in path.parent.iterdir()], 1)
    return (
        f"did you mean {path.parent / close[0]}?"
        if close
        else f"look into {path.parent.absolute()}: paths in a recipe are relative to its file"
    )
