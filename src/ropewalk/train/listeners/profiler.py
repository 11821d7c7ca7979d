"""The profiler listener: records some updates with torch.profiler; leaves a trace (chrome://tracing, Perfetto) and a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from ropewalk.core.component import Component
from ropewalk.core.events import Ended, Event, StepEnded

TRACE_FILE, TABLE_FILE = "trace.json.gz", "profile.json"
MOST_ROWS = 40


class Profile(Component):
    """Which updates are recorded; recording slows them down."""

    after: Annotated[int, Field(ge=1)] = 3
    """Updates before it, of the run or of what is left of it: the first are not like the others."""
    steps: Annotated[int, Field(ge=1)] = 2
    """Updates that are recorded."""


class Profiler:
    """Hears the events of one training run; writes TRACE_FILE and TABLE_FILE into `folder` when the updates are over."""

    def __init__(self, profile: Profile, folder: Path) -> None:
        self.profile, self.folder = profile, folder
        self.seen = 0
        self._running: Any = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, StepEnded):
            self.seen += 1
            if self.seen == self.profile.after:
                self._start()
            elif self._running is not None and self.seen == self.profile.after + self.profile.steps:
                self._write()
        elif isinstance(event, Ended) and self._running is not None:
            self._write()

    def _start(self) -> None:
        from torch.profiler import profile

        self._running = profile(record_shapes=False, profile_memory=True)
        self._running.__enter__()

    def _write(self) -> None:
        running, self._running = self._running, None
        running.__exit__(None, None, None)
        self.folder.mkdir(parents=True, exist_ok=True)
        running.export_chrome_trace(str(self.folder / TRACE_FILE))
        told = sorted(running.key_averages(), key=_own_time, reverse=True)[:MOST_ROWS]
        rows = [{"name": row.key, "calls": row.count, "own_seconds": _own_time(row) / 1e6} for row in told]
        (self.folder / TABLE_FILE).write_text(json.dumps(rows, indent=1), encoding="utf-8")


def _own_time(row: Any) -> float:
    """Microseconds on the GPU where there are some, else on the CPU."""
    return float(getattr(row, "self_device_time_total", 0.0) or row.self_cpu_time_total)
