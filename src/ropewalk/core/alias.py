"""Aliases: `STORE/models/ALIAS` leads to the last artifact that was released under a name; earlier ones are remembered."""

from __future__ import annotations

import json
import os
import re
import uuid
from pathlib import Path

from ropewalk.core.artifact import MANIFEST, write_durably
from ropewalk.core.errors import ConfigError, DataError

FOLDER, PATTERN = "models", r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


def release(root: Path, alias: str, artifact: Path) -> bool:
    """Let the alias lead to an artifact of the store; False when it does already."""
    key = f"{artifact.parent.name}/{artifact.name}"
    past = history(root, alias)
    if past and past[-1] == key:
        return False
    _lead(root, alias, [*past, key])
    return True


def roll_back(root: Path, alias: str) -> Path:
    """Let the alias lead to the artifact before; raises DataError when there is none, or when it was removed."""
    past = history(root, alias)
    if len(past) < 2:
        raise DataError(f"{alias}: there is no release before {past[-1] if past else 'the first'}", remedy="the alias stays as it is")
    place = root / past[-2]
    if not (place / MANIFEST).is_file():
        raise DataError(f"{alias}: {past[-2]} was removed from the store", remedy="run the recipe that made it")
    _lead(root, alias, past[:-1])
    return place


def history(root: Path, alias: str) -> list[str]:
    """What was released under the name, the newest last, as TYPE/KEY."""
    if not re.match(PATTERN, alias):
        raise ConfigError(f"{alias!r} can't be an alias: use letters, digits, '.', '_' and '-'")
    place = root / FOLDER / f".{alias}.json"
    try:
        found: list[str] = json.loads(place.read_bytes()) if place.is_file() else []
    except ValueError:
        raise DataError(f"{place}: damaged", remedy="remove it; the next release begins a new history") from None
    return found


def _lead(root: Path, alias: str, past: list[str]) -> None:
    """The history first: where a link can't be made, it alone says what the alias is."""
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    write_durably(folder / f".{alias}.json", json.dumps(past, indent=1).encode())
    fresh = folder / f".tmp-{alias}-{uuid.uuid4().hex[:8]}"
    os.symlink(Path("..") / past[-1], fresh, target_is_directory=True)
    os.replace(fresh, folder / alias)
