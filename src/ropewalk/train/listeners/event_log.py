"""The training log: one JSON line for each step and evaluation, each exactly once however often the run was stopped.

It holds what is a function of the recipe (no clock, no speed), so that a resumed run's file equals an unbroken one's.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from ropewalk.core.errors import DiskError
from ropewalk.core.events import Ended, Evaluated, Event, Recovered, StepEnded
from ropewalk.core.log import LOGGER


class EventLog:
    """A listener that appends to a file, which is first cut back to `offset` bytes."""

    def __init__(self, path: Path, offset: int) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab")
            length = self._length()
            if length < offset:
                LOGGER.warning("%s: holds %d of %d bytes that it should; the curve has a gap", path, length, offset)
            self._file.truncate(min(offset, length))
        except OSError as error:
            raise DiskError(f"{path}: {error.strerror}") from error

    def __call__(self, event: Event) -> None:
        facts = _facts(event)
        if facts is not None:
            self._write(json.dumps({name: _plain(value) for name, value in facts.items()}, ensure_ascii=False) + "\n")

    def _write(self, line: str) -> None:
        try:
            self._file.write(line.encode())
            self._file.flush()
        except OSError as error:
            raise DiskError(f"{self.path}: {error.strerror}") from error

    def sync(self) -> int:
        """Make what was written durable; returns the length in bytes, which a checkpoint remembers."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise DiskError(f"{self.path}: {error.strerror}") from error
        return self._length()

    def cut(self, offset: int) -> None:
        """Back to what it held at an earlier checkpoint: the run went back to it."""
        self._file.truncate(min(offset, self._length()))

    def _length(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def close(self) -> None:
        self._file.close()


def _facts(event: Event) -> dict[str, Any] | None:
    match event:
        case StepEnded():
            return {
                "event": "step",
                "step": event.step,
                "loss": event.loss,
                "learning_rate": event.learning_rate,
                "gradient_norm": event.gradient_norm,
                "tokens": event.tokens,
                **event.facts,
            }
        case Evaluated():
            written = {"samples": [list(pair) for pair in event.samples]} if event.samples else {}
            return {"event": "evaluated", "step": event.step, **event.metrics, "best": event.best, **written}
        case Recovered():
            return {"event": "recovered", "step": event.step, "what": event.what}
        case Ended():
            return {"event": "ended", "step": event.step, "reason": event.reason}
        case _:
            return None


def _plain(value: Any) -> Any:
    """NaN and infinities as text: JSON has none, and a log must not hide them."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
