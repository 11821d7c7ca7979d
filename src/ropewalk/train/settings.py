"""The parts of a train stage's config: budget, batch, evaluation, saving, early stopping; none of them needs torch."""

from __future__ import annotations

import math
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from ropewalk.core.component import RUNTIME, Component
from ropewalk.core.units import Count, Seconds, parse_every

UNLIMITED = 2**40


Interval = Annotated[Annotated[int, Field(ge=0)] | Annotated[str, Field(pattern=r"^[0-9.]+s$")], BeforeValidator(parse_every)]
"""Updates, or time such as `10m`."""


def seconds_of(every: int | str | None) -> float | None:
    """The time of an interval that is one."""
    return float(every[:-1]) if isinstance(every, str) else None


class Budget(Component):
    """How long to train: exactly one of tokens, steps, epochs and time."""

    tokens: Annotated[Count, Field(gt=0)] | None = None
    """Positions to train on, padding left out."""
    steps: Annotated[Count, Field(gt=0)] | None = None
    """Updates to make."""
    epochs: Annotated[float, Field(gt=0)] | None = None
    """Times to see every sequence; 0.5 is half of them."""
    time: Annotated[Seconds, Field(gt=0)] | None = None
    """Time spent in steps, such as `30m`, over all restarts; how many steps that gives depends on the machine."""

    @model_validator(mode="after")
    def _one_of_four(self) -> Self:
        given = [name for name in ("tokens", "steps", "epochs", "time") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"needs exactly one of tokens, steps, epochs and time, has {' and '.join(given) or 'none'}")
        return self

    def total_steps(self, steps_per_epoch: int, tokens_per_epoch: int) -> int:
        """Updates in all; an epoch's last batch may be short, so a token budget is met on average. No limit for a time."""
        if self.time is not None:
            return UNLIMITED
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
    """Sequences computed at once; smaller takes less memory and gives the same update. Chosen by the device when left out,
    and halved when memory runs out."""

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

    every: Interval | None = None
    """Updates (or time, `10m`) between evaluations; five in all when left out, 0 for none. The last update is always evaluated
    otherwise."""
    sequences: Annotated[Count, Field(gt=0)] = 64
    """Sequences to measure on each side, or all where there are fewer."""

    def interval(self, total_steps: int) -> int:
        """Updates between evaluations; 0 for none, or where time is what counts."""
        if isinstance(self.every, str):
            return 0
        return math.ceil(total_steps / 5) if self.every is None else self.every


class Saving(Component):
    """Checkpoints; they live with the run's unfinished work and go when the stage is done."""

    every: Annotated[Annotated[int, Field(gt=0)] | Annotated[str, Field(pattern=r"^[0-9.]+s$")], BeforeValidator(parse_every)] = 100
    """Updates (or time, `10m`) between checkpoints; one is also written at a new best, at the end, on SIGUSR1 and when a
    signal or an error stops the run."""
    keep: Annotated[int, Field(ge=1)] = 2
    """Newest checkpoints that stay; the best one stays too."""
    background: bool = True
    """Whether a copy of the state is written beside training, where memory has room for four; what is written is the same."""


class Samples(Component):
    """What the model is asked to go on with at each evaluation."""

    prompts: list[str] | None = None
    """Beginnings of texts; `[""]`, the beginning of a document, for the task lm when left out, and none for others."""
    tokens: Annotated[Count, Field(gt=0)] = 60
    """Longest continuation."""
    temperature: float = Field(default=0.8, ge=0)
    """0 takes the likeliest token each time."""


class EarlyStopping(Component):
    """End before the budget when the held-out loss no longer falls."""

    patience: Annotated[int, Field(ge=1)] = 3
    """Evaluations in a row that may be no better than the best."""
