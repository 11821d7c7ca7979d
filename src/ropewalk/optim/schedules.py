"""The schedule family: the learning rate's course as a factor between 0 and 1, clamped past its end."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from ropewalk.core.component import Component

Share = Annotated[float, Field(ge=0, le=1)]


class Schedule(Component, family="schedule", folders=("ropewalk.optim",)):
    """A factor of the learning rate at each update."""

    warmup: Share = 0.02
    """Share of all updates over which the rate rises from near 0."""
    final: Share = 0.0
    """Factor at the last update."""

    def factor(self, step: int, total: int) -> float:
        """For update `step` (from 0) of `total`; the last update has `final`, later ones too."""
        raise TypeError(f"schedule {self.tag!r} has no factor()")


def _risen(step: int, total: int, warmup: float) -> float:
    """The warm-up's factor: 1/n at the first of n updates, 1 after them."""
    updates = math.ceil(warmup * total)
    return min(1.0, (step + 1) / updates) if updates else 1.0


def _gone(step: int, total: int, start: float) -> float:
    """How much of the way from share `start` to the last update is behind: 0 to 1."""
    first = min(math.ceil(start * total), max(total - 1, 0))
    left = total - 1 - first
    return min(1.0, max(0.0, (step - first) / left)) if left > 0 else float(step >= total - 1)


class Constant(Schedule, type="constant"):
    """The same rate throughout, after a warm-up."""

    final: Annotated[float, Field(ge=1, le=1)] = 1.0
    """Always 1: nothing falls."""

    def factor(self, step: int, total: int) -> float:
        return _risen(step, total, self.warmup)


class Linear(Schedule, type="linear"):
    """Falls in a straight line."""

    def factor(self, step: int, total: int) -> float:
        return _risen(step, total, self.warmup) * (1 - (1 - self.final) * _gone(step, total, self.warmup))


class Cosine(Schedule, type="cosine"):
    """Falls along half a cosine (Loshchilov and Hutter 2017)."""

    def factor(self, step: int, total: int) -> float:
        share = 0.5 * (1 + math.cos(math.pi * _gone(step, total, self.warmup)))
        return _risen(step, total, self.warmup) * (self.final + (1 - self.final) * share)


class WarmupStableDecay(Schedule, type="wsd"):
    """Stays at the top, then falls in a straight line over the last part (Hu et al. 2024)."""

    decay: Share = 0.5
    """Share of all updates over which the rate falls."""

    def factor(self, step: int, total: int) -> float:
        return _risen(step, total, self.warmup) * (1 - (1 - self.final) * _gone(step, total, 1 - self.decay))


class InverseSquareRoot(Schedule, type="inverse_sqrt"):
    """After the warm-up of n updates, falls as sqrt(n / updates) (Vaswani et al. 2017): fit for runs without a set end."""

    final: Share = 0.0
    """It does not fall below this factor."""

    def factor(self, step: int, total: int) -> float:
        number, warm = min(step, max(total - 1, 0)) + 1, max(1, math.ceil(self.warmup * total))
        return max(self.final, math.sqrt(warm / number)) if number > warm else number / warm


class OneCycle(Schedule, type="one_cycle"):
    """Rises along half a cosine from `start`, then falls along another (Smith 2018)."""

    warmup: Share = 0.3
    """Share of all updates over which the rate rises."""
    start: Share = 0.04
    """Factor at the first update."""

    def factor(self, step: int, total: int) -> float:
        peak = min(math.ceil(self.warmup * total), max(total - 1, 0))
        if step < peak:
            return self.start + (1 - self.start) * 0.5 * (1 - math.cos(math.pi * step / peak))
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * _gone(step, total, self.warmup)))
