"""Unfinished work of a stage (shards, checkpoints): whose it is, whether it still fits, and what changed meanwhile."""

from __future__ import annotations

import json
from typing import Any

from ropewalk.core.artifact import write_durably
from ropewalk.core.errors import ChangedRun
from ropewalk.core.identity import changes
from ropewalk.core.log import LOGGER
from ropewalk.pipeline.plan import PlannedStage
from ropewalk.pipeline.rundir import RunFolder

IDENTITY = "identity.json"


def sort_out(folder: RunFolder, planned: PlannedStage, *, restart: bool, accept_changes: bool) -> None:
    """Leave the stage's work folder with work that fits, or empty; raises ChangedRun with what changed otherwise.

    Work goes on when the key is the same, when only safe fields changed, or when the change was accepted; a change is
    written to the note that lies with the work, and from there into the artifact's manifest.
    """
    work = folder.work(planned.name)
    unknown = not (work / IDENTITY).is_file()  # without its note, work could be anybody's
    if restart or unknown or not folder.has_work(planned.name):
        folder.drop_work(planned.name)
    work.mkdir(parents=True, exist_ok=True)
    note = work / IDENTITY
    parts, identity = planned.identity.parts(), planned.identity
    before = json.loads(note.read_bytes()) if note.is_file() else None
    history = before["history"] if before else []
    if before and before["key"] != identity.key:
        what = changes(before["parts"], parts)
        if before["safe_key"] != identity.safe_key and not accept_changes:
            raise ChangedRun(
                f"{planned.name}: unfinished work in {work} was made otherwise:\n" + "\n".join(f"  {line}" for line in what),
                remedy="undo the change, or --restart to begin this stage again, or --accept-changes to go on with it",
            )
        LOGGER.warning("%s: going on after a change: %s", planned.name, "; ".join(what))
        folder.record("changed", stage=planned.name, changes=what)
        history = [*history, {"from": before["key"], "changes": what}]
    body = {"key": identity.key, "safe_key": identity.safe_key, "parts": parts, "history": history}
    write_durably(note, json.dumps(body).encode())


def history(folder: RunFolder, name: str) -> list[Any]:
    """The changes with which the stage's work went on; where there are some, a fresh run may give other bytes."""
    note = folder.work(name) / IDENTITY
    found: list[Any] = json.loads(note.read_bytes())["history"] if note.is_file() else []
    return found
