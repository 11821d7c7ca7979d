"""The six events of a training run and the listeners that hear them; all frozen, all plain data.

A listener that wants the run to stop returns a `StopRequest`; nothing else that it returns counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Started:
    """Once, before the first step; `step` > 0 after a resume."""

    step: int
    total_steps: int
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Parameters, trained tokens planned, device, precision, micro-batch and the like."""


@dataclass(frozen=True)
class StepEnded:
    """After each optimizer update; `step` counts updates, from 1."""

    step: int
    total_steps: int
    loss: float
    """Mean over the step's trained tokens, in nats."""
    learning_rate: float
    gradient_norm: float
    tokens: int
    """Positions processed in this step, padding left out."""
    seconds: float
    facts: Mapping[str, Any] = field(default_factory=dict)
    wait_seconds: float = 0.0
    """Of these, spent waiting for the batch."""


@dataclass(frozen=True)
class Evaluated:
    step: int
    metrics: Mapping[str, float]
    best: bool
    patience_left: int | None = None
    samples: tuple[tuple[str, str], ...] = ()
    """(prompt, what the model wrote after it)."""


@dataclass(frozen=True)
class Saved:
    step: int
    path: Path
    seconds: float


@dataclass(frozen=True)
class Recovered:
    """Something went wrong and the run goes on; `what` says what was done about it."""

    step: int
    what: str


@dataclass(frozen=True)
class Ended:
    step: int
    reason: str
    metrics: Mapping[str, float] = field(default_factory=dict)


Event = Started | StepEnded | Evaluated | Saved | Recovered | Ended


@dataclass(frozen=True)
class StopRequest:
    reason: str


Listener = Callable[[Event], StopRequest | None]


def every(n: int, listener: Listener) -> Listener:
    """The listener, heard at each n-th step only (and at all other events)."""

    def heard(event: Event) -> StopRequest | None:
        return listener(event) if not isinstance(event, StepEnded) or event.step % n == 0 else None

    return heard
