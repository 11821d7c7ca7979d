"""How many sequences each part of a mixture has given before any step: a closed form of the step, no state, O(1) memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CELLS = 1024
"""Stretches of a training in which moving shares stand still."""
Float64s = NDArray[np.float64]


@dataclass(frozen=True)
class Draws:
    """Draws from each part as straight lines between knots; behind the last knot they go on with `slope`."""

    knots: Float64s  # (knots,) draws in all
    given: Float64s  # (knots, parts)
    slope: Float64s  # (parts,) draws from each part a draw; all 0 when nothing is left

    @property
    def most(self) -> float:
        """Draws in all that can be made."""
        return float("inf") if self.slope.any() else float(np.floor(self.given[-1] + 0.5).sum())

    def before(self, draws: int) -> NDArray[np.int64]:
        """Sequences that each part has given when so many draws are made; their sum is within half the parts of it."""
        beyond = max(0.0, draws - self.knots[-1])
        given = [np.interp(draws, self.knots, self.given[:, part]) for part in range(self.given.shape[1])]
        found: NDArray[np.int64] = np.floor(np.array(given) + self.slope * beyond + 0.5).astype(np.int64)
        return found


def plan_draws(shares: Callable[[float], Float64s], most: Float64s, total: int | None) -> Draws:
    """The course of draws: `shares(progress)` of each part, at most so many from each (inf: any number).

    What a part that has given all can't take goes to the others in their shares. `total` None: shares stand still.
    """
    knots, given = [0.0], [np.zeros(len(most))]
    cells = [] if total is None else [((cell + 0.5) / CELLS, total * (cell + 1) / CELLS) for cell in range(CELLS)]
    slope = np.zeros(len(most))
    for progress, end in [*cells, (1.0, np.inf)]:
        wanted = shares(progress)
        while True:
            active = np.where(given[-1] < most, wanted, 0.0)
            if not active.sum():
                return Draws(np.array(knots), np.stack(given), np.zeros(len(most)))
            slope = active / active.sum()
            with np.errstate(divide="ignore", invalid="ignore"):
                until = np.where(slope > 0, (most - given[-1]) / slope, np.inf)
            reach = min(end - knots[-1], float(until.min()))
            if not np.isfinite(reach):
                break
            after = np.minimum(given[-1] + slope * reach, most)
            after[until <= reach] = most[until <= reach]
            knots.append(end if reach == end - knots[-1] else knots[-1] + reach)
            given.append(after)
            if knots[-1] >= end:
                break
    return Draws(np.array(knots), np.stack(given), slope)
