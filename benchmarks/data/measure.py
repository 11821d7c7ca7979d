"""Runs adapters and measures them: CPU-seconds and peak memory of the whole process tree, medians over runs that alternate.

An adapter is a script that prints one JSON line. Its `cpu_s` is the work alone, imports and warm-up left out; around it stand here
`tree_cpu_s`, everything the process tree used, and `peak_mb`, the largest sum of resident memory seen (every 20 ms). Wall time says
little on a machine that others use; it is kept as `wall_s` for work by several processes.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SAMPLE_SECONDS = 0.02
ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "RAYON_NUM_THREADS",
        "POLARS_MAX_THREADS",
        "ARROW_NUM_THREADS",
    ),
    "1",
)


@dataclass(frozen=True)
class Job:
    """One line of a table: who does the work, by which command, how often it is measured."""

    who: str
    command: tuple[str, ...]
    runs: int = 3
    note: str = ""
    """What a reader must know: a subset, a setting."""


@dataclass
class Result:
    """What a job's runs said."""

    job: Job
    runs: list[dict[str, Any]] = field(default_factory=list)
    failed: str = ""

    def median(self, name: str) -> float:
        """Of a number that each run reports."""
        return statistics.median(float(run[name]) for run in self.runs)

    def last(self, name: str, default: Any = None) -> Any:
        """A fact of the last run."""
        return self.runs[-1].get(name, default) if self.runs else default

    @property
    def spread(self) -> float:
        """(largest - smallest) / median of the CPU-seconds."""
        seconds = [float(run["cpu_s"]) for run in self.runs]
        return (max(seconds) - min(seconds)) / max(statistics.median(seconds), 1e-9)

    @property
    def speed(self) -> float:
        """MB a CPU-second."""
        return self.median("mb") / max(self.median("cpu_s"), 1e-9)


def side_by_side(jobs: Sequence[Job], say: Callable[[str], None] = print) -> list[Result]:
    """Run all jobs once, then those with more runs again, and so on: what disturbs the machine disturbs all."""
    results = [Result(job) for job in jobs]
    for turn in range(max((job.runs for job in jobs), default=0)):
        for result in results:
            if turn < result.job.runs and not result.failed:
                found = once(result.job.command)
                result.failed = found.pop("failed", "")
                if not result.failed:
                    result.runs.append(found)
                say(f"    {result.job.who}: {result.failed or json.dumps(found)[:240]}")
    return results


def once(command: Sequence[str]) -> dict[str, Any]:
    """One run's JSON line with `tree_cpu_s`, `peak_mb` and `wall_s`; `failed` says why there is none."""
    before, started, peak = _children_seconds(), time.perf_counter(), 0
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **ONE_THREAD, "PYTHONHASHSEED": "0"}
    )
    stop = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not stop.wait(SAMPLE_SECONDS):
            peak = max(peak, sum(map(_resident_bytes, _tree(process.pid))))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    out, error = process.communicate()
    stop.set()
    watcher.join()
    measured = {
        "tree_cpu_s": round(_children_seconds() - before, 3),
        "peak_mb": round(peak / 1e6),
        "wall_s": round(time.perf_counter() - started, 2),
    }
    try:
        return {**json.loads(out.strip().splitlines()[-1]), **measured}
    except (ValueError, IndexError):
        lines = error.strip().splitlines() or ["it printed nothing"]
        return {"failed": f"exit code {process.returncode}: {lines[-1][:300]}"}


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _tree(process: int) -> Iterator[int]:
    """The process and all below it, as far as they still live."""
    yield process
    try:
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        children = [child for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return
    for child in children:
        yield from _tree(int(child))


def _resident_bytes(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0
