"""What a piece of work cost: wall and CPU seconds (children included) and the peak of resident memory."""

from __future__ import annotations

import os
import resource
import sys
import time
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Cost:
    seconds: float
    cpu_seconds: float
    peak_bytes: int


class Meter(AbstractContextManager["Meter"]):
    """Measures while the context lasts; `cost()` may be asked at any time."""

    def __enter__(self) -> Self:
        with suppress(OSError):  # where /proc isn't, the peak is the process's own since its start
            Path("/proc/self/clear_refs").write_text("5")
        self.started, self.cpu = time.perf_counter(), _cpu_seconds()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return None

    def cost(self) -> Cost:
        return Cost(time.perf_counter() - self.started, _cpu_seconds() - self.cpu, peak_bytes())


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def peak_bytes() -> int:
    """Peak resident memory of this process since it was last reset."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
