"""The local executor: processes on this machine, or this process when the work is small."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from ropewalk.core.workers import run_in_processes
from ropewalk.pipeline.executors.executor import Executor

SMALL_BYTES = 8 << 20  # below this, starting a process (1 s of imports) costs more than it gives


class Local(Executor, type="local"):
    """Processes on this machine."""

    workers: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """How many processes; `auto` is one a core, and none for small work."""

    def map(
        self, function: Callable[[Any], Any], items: list[Any], size_bytes: int, setup: Callable[[], None]
    ) -> Iterator[tuple[int, Any]]:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        wanted = cores if self.workers == "auto" else self.workers
        workers = min(wanted, len(items))
        if workers <= 1 or (self.workers == "auto" and size_bytes < SMALL_BYTES):
            for index, item in enumerate(items):
                yield index, function(item)
        else:
            yield from run_in_processes(function, items, workers, setup)
