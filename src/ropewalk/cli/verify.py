"""`ropewalk verify`: read every byte of artifacts and compare it with what was written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ropewalk.cli.settings import JsonOption, show


def command(
    folders: Annotated[list[Path] | None, typer.Argument(help="Artifacts, checkpoints or stores; default: the store.")] = None,
    json: JsonOption = False,
) -> None:
    """Check artifacts and checkpoints against their manifests; exits with 3 when something is damaged."""
    from ropewalk.core.artifact import MANIFEST, Manifest
    from ropewalk.core.errors import DataError
    from ropewalk.core.store import default_root

    places: list[Path] = []
    for folder in folders or [default_root()]:
        if not folder.exists():
            raise DataError(f"{folder}: no such folder")
        places += [folder] if (folder / MANIFEST).is_file() else sorted(path.parent for path in folder.rglob(MANIFEST))
    rows, damaged = [], 0
    for place in places:
        try:
            wrong = Manifest.read(place).verify(place)
        except DataError as error:
            wrong = [error.message]
        damaged += bool(wrong)
        rows.append({"folder": str(place), "state": "damaged" if wrong else "good", "what": wrong})
    show(rows, json, ("folder", "state", "what"))
    if damaged:
        raise DataError(f"{damaged} of {len(places)} are damaged", remedy="delete a damaged artifact's folder; the next run makes it again")
