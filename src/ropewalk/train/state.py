"""The state of a training run: exactly what a checkpoint holds, and all that a resumed run needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from ropewalk.models.gpt_module import Decoder
    from ropewalk.optim.optimizer import Update

SCALARS = (
    "step",
    "skipped",
    "skipped_in_a_row",
    "tokens",
    "best",
    "best_step",
    "bad_evaluations",
    "stopped",
    "metrics",
    "log_offset",
)


@dataclass
class TrainState:
    """Changed by the loop only, at step boundaries."""

    model: Decoder
    update: Update
    average: dict[str, Tensor] | None = None
    """Exponential moving average of the parameters, by name; None when none is wanted."""
    step: int = 0
    """Updates made."""
    skipped: int = 0
    """Batches whose loss or gradient was not finite and that moved nothing; the next batch is `step + skipped`."""
    skipped_in_a_row: int = 0
    tokens: int = 0
    """Positions trained on so far, padding left out."""
    best: float | None = None
    """Lowest held-out loss so far."""
    best_step: int = 0
    """Where that was; 0 when there was none."""
    bad_evaluations: int = 0
    """Evaluations since the best one."""
    stopped: str = ""
    """Why training is over before its budget; empty while it isn't."""
    metrics: dict[str, float] = field(default_factory=dict)
    """What the last evaluation found."""
    log_offset: int = 0
    """Length in bytes of the training log when this state was saved; a resumed run cuts it back to this."""

    def scalars(self) -> dict[str, Any]:
        """Everything that is no tensor, as plain data."""
        return {name: getattr(self, name) for name in SCALARS}

    def set_scalars(self, values: dict[str, Any]) -> None:
        """Take over what `scalars` gave; a missing or unknown name raises KeyError."""
        if set(values) != set(SCALARS):
            raise KeyError(", ".join(sorted(set(values) ^ set(SCALARS))))
        for name, value in values.items():
            setattr(self, name, value)
