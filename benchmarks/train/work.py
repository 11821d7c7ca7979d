"""The work, the same for every contestant, and the meter that counts it. Needs numpy only: it runs in the peers' environments too.

A contestant is a module that is given a folder made by `prepare.py` and a number of steps, and prints one line of JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

RATE, BETAS, CLIP = 6e-4, (0.9, 0.95), 1.0  # no weight decay: peers disagree on what decays, and losses are to be equal


@dataclass(frozen=True)
class Size:
    """A decoder of GPT-2's shape and its batch."""

    depth: int
    width: int
    heads: int
    context: int
    vocabulary: int
    sequences: int

    @property
    def tokens(self) -> int:
        return self.sequences * self.context


SIZES = {
    "small": Size(depth=6, width=384, heads=6, context=256, vocabulary=8192, sequences=8),  # 13.9M parameters
    "deep": Size(depth=12, width=384, heads=6, context=256, vocabulary=8192, sequences=8),  # for recomputation
    "tiny": Size(depth=2, width=64, heads=2, context=32, vocabulary=8192, sequences=1),  # all overhead
}


def cpu_seconds() -> float:
    """Of this process and of those it started and has waited for, user and system, since it began."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def resident_mb() -> float:
    """Now, not at the peak."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


@dataclass
class Meter:
    """`begin()` before the first step, `step(loss)` after each, `tell()` at the end."""

    name: str
    times: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    peak: float = 0.0
    resident: float = 0.0

    def begin(self) -> None:
        self.times.append(cpu_seconds())

    def step(self, loss: float) -> None:
        self.times.append(cpu_seconds())
        self.losses.append(float(loss))
        self.peak, self.resident = peak_mb(), resident_mb()

    def tell(self, **more: Any) -> None:
        """The first step is left out of the median: it allocates, and some peers finish setting up in it."""
        steps = [later - before for before, later in itertools.pairwise(self.times)]
        found = {"name": self.name, "start": self.times[0], "steps": steps, "step": statistics.median(steps[1:]), "peak": self.peak}
        print(json.dumps({**found, "resident": self.resident, "losses": self.losses, **more}), flush=True)


def options() -> argparse.Namespace:
    """folder, steps and kind (a variant of the contestant, by its own names) from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("steps", type=int)
    parser.add_argument("kind", nargs="?", default="")
    return parser.parse_args()


def arguments() -> tuple[Path, int, Size]:
    """(folder, steps, size), where the folder is that of a size."""
    given = options()
    return given.folder, given.steps, SIZES[given.folder.name]


def batches(folder: Path) -> np.ndarray:
    """(steps, sequences, context + 1) ids, in the order in which everybody sees them."""
    found: np.ndarray = np.load(folder / "batches.npy").astype(np.int64)
    return found
