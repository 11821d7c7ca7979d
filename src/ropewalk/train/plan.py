"""The numbers of a training run, all resolved; the loop reads nothing else of a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Policy = Literal["stop", "skip", "rollback"]


@dataclass(frozen=True)
class Plan:
    """Steps are optimizer updates."""

    total_steps: int
    learning_rate: float
    """The optimizer's own rate: what is reported is this times the schedule's factor."""
    seed: int
    device: str
    autocast: torch.dtype | None = None
    scaled: bool = False
    """Gradients are made of a scaled loss, for fp16: where they overflow, the scale is halved and the same update made again."""
    clip: float | None = 1.0
    """Largest norm of the gradient."""
    total_seconds: float | None = None
    """Ends the run before its last step; the schedule then runs over this time."""
    evaluate_every: int = 0
    """0: never; else also at the last step."""
    evaluate_seconds: float | None = None
    save_every: int = 100
    save_seconds: float | None = None
    """Also after so many seconds without a save."""
    save_best: bool = True
    """Save at each new best, so that its weights can be had back."""
    patience: int | None = None
    average_decay: float = 0.0
    on_not_finite: Policy = "stop"
    on_spike: Literal["tell", "stop", "skip", "rollback"] = "tell"
    on_error: Literal["abort", "resume"] = "abort"
