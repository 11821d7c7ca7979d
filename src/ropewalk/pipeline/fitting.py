"""The micro-batch that fitted before: a note in the store, for the next run of the same model, task and length on this device."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ropewalk.core.artifact import digest, write_durably


@dataclass(frozen=True)
class Fitting:
    """`what` names the work; without a folder nothing is remembered."""

    folder: Path | None
    what: list[Any]

    @property
    def place(self) -> Path | None:
        return None if self.folder is None else self.folder / f"micro-batch-{digest(self.what)}.json"

    def at_most(self, usual: int) -> int:
        """The device's own choice, or what an earlier run came down to after memory ran out."""
        if self.place is not None and self.place.is_file():
            with suppress(ValueError, KeyError, TypeError):
                return max(1, min(usual, int(json.loads(self.place.read_bytes())["micro_batch"])))
        return usual

    def remember(self, size: int) -> None:
        if self.place is not None:
            self.place.parent.mkdir(parents=True, exist_ok=True)
            write_durably(self.place, json.dumps({"micro_batch": size}).encode())
