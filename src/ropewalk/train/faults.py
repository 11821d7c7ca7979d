"""Faults on request: memory that runs out and losses that are not finite, at chosen updates, to try recovery anywhere."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal

from pydantic import Field

from ropewalk.core.component import Component

Steps = list[Annotated[int, Field(ge=1)]]
Place = Literal["forward", "backward", "optimizer", "evaluate"]


class Faults(Component):
    """Updates (from 1) at which something goes wrong; a number given n times strikes n times."""

    oom_at: Steps = []
    """Memory runs out."""
    where: Place = "forward"
    """Where it does."""
    nan_at: Steps = []
    """The loss is NaN."""
    error_at: Steps = []
    """An error that nobody foresaw is raised."""


class Struck:
    """What is still to come; each fault strikes once."""

    def __init__(self, faults: Faults) -> None:
        self.place = faults.where
        self.oom, self.nan, self.errors = Counter(faults.oom_at), Counter(faults.nan_at), Counter(faults.error_at)

    def memory(self, place: Place, step: int) -> None:
        """Raises torch's out-of-memory error when the recipe asks for it here."""
        if place == self.place and self._take(self.oom, step):
            import torch

            raise torch.OutOfMemoryError(f"out of memory at update {step}, as the recipe's faults ask for")

    def loss(self, loss: float, step: int) -> float:
        """The loss, or NaN."""
        return float("nan") if self._take(self.nan, step) else loss

    def error(self, step: int) -> None:
        if self._take(self.errors, step):
            raise RuntimeError(f"an error at update {step}, as the recipe's faults ask for")

    def _take(self, left: Counter[int], step: int) -> bool:
        if not left[step]:
            return False
        left[step] -= 1
        return True
