"""The parts of a train stage's config: budget, batch, evaluation, saving, early stopping; none of them needs torch."""

from __future__ import annotations

import math
from typing import Annotated, Self

from pydantic import Field, model_validator

from ropewalk.core.component import RUNTIME, Component
from ropewalk.core.units import Count


class Budget(Component):
    """How long to train: exactly one of tokens, steps and epochs."""

    tokens: Annotated[Count, Field(gt=0)] | None = None
    """Positions to train on, padding left out."""
    steps: Annotated[Count, Field(gt=0)] | None = None
    """Updates to make."""
    epochs: Annotated[float, Field(gt=0)] | None = None
    """Times to see every sequence; 0.5 is half of them."""

    @model_validator(mode="after")
    def _one_of_three(self) -> Self:
        given = [name for name in ("tokens", "steps", "epochs") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"needs exactly one of tokens, steps and epochs, has {' and '.join(given) or 'none'}")
        return self

    def total_steps(self, steps_per_epoch: int, tokens_per_epoch: int) -> int:
        """Updates in all; an epoch's last batch may be short, so a token budget is met on average."""
        if self.steps is not None:
            return self.steps
        if self.epochs is not None:
            return max(1, math.ceil(self.epochs * steps_per_epoch))
        return max(1, math.ceil((self.tokens or 0) * steps_per_epoch / tokens_per_epoch))


class BatchSize(Component):
    """What one update sees; give sequences or tokens."""

    sequences: Annotated[Count, Field(gt=0)] | None = None
    """Sequences an update; 16 when neither is given."""
    tokens: Annotated[Count, Field(gt=0)] | None = None
    """Positions an update: as many whole sequences as fit."""
    micro_batch: Annotated[Annotated[Count, Field(gt=0)] | None, RUNTIME] = None
    """Sequences computed at once; smaller takes less memory and gives the same update (with dropout, other draws).
    Chosen by the device when left out."""

    @model_validator(mode="after")
    def _not_both(self) -> Self:
        if self.sequences is not None and self.tokens is not None:
            raise ValueError("give sequences or tokens, not both")
        return self

    def num_sequences(self, length: int) -> int:
        """Sequences an update for sequences of this length, at least one."""
        if self.tokens is not None:
            return max(1, self.tokens // length)
        return self.sequences or 16


class Evaluation(Component):
    """Held-out loss during training, beside the loss of as many fixed training sequences."""

    every: Annotated[Count, Field(ge=0)] | None = None
    """Updates between evaluations; five in all when left out, 0 for none. The last update is always evaluated otherwise."""
    sequences: Annotated[Count, Field(gt=0)] = 64
    """Sequences to measure on each side, or all where there are fewer."""

    def interval(self, total_steps: int) -> int:
        """Updates between evaluations; 0 for none."""
        return math.ceil(total_steps / 5) if self.every is None else self.every


class Saving(Component):
    """Checkpoints; they live with the run's unfinished work and go when the stage is done."""

    every: Annotated[Count, Field(gt=0)] = 100
    """Updates between checkpoints; one is also written at a new best, at the end and when a signal stops the run."""
    keep: Annotated[int, Field(ge=1)] = 2
    """Newest checkpoints that stay; the best one stays too."""


class EarlyStopping(Component):
    """End before the budget when the held-out loss no longer falls."""

    patience: Annotated[int, Field(ge=1)] = 3
    """Evaluations in a row that may be no better than the best."""
