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
    "position",
    "excluded",
    "skipped",
    "skipped_in_a_row",
    "rollbacks",
    "rescaled",
    "scale",
    "scale_steps",
    "seconds",
    "losses",
    "norms",
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
    position: int = 0
    """The next batch to look at: updates made and batches left out."""
    excluded: list[int] = field(default_factory=list)
    """Batches to leave out when they come (again): what a rollback found guilty."""
    skipped: int = 0
    """Batches left out so far, since their loss or gradient was not finite or a spike; they moved nothing."""
    skipped_in_a_row: int = 0
    rollbacks: int = 0
    """Times that the run went back to a checkpoint."""
    rescaled: int = 0
    """Updates that overflowed in fp16 and were made again with half the scale."""
    scale: float = 65536.0
    """What an fp16 loss is multiplied by."""
    scale_steps: int = 0
    """Updates since it last changed."""
    seconds: float = 0.0
    """Spent in steps so far, over all restarts."""
    losses: list[float] = field(default_factory=list)
    """Of the last updates, newest last: what a spike is measured by."""
    norms: list[float] = field(default_factory=list)
    """Gradient norms of the same updates."""
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
