"""What becomes of a step that is out of order: it moves nothing, and the run stops, goes on without the batch, or goes back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ropewalk.core.errors import NotFinite
from ropewalk.core.events import Ended, Recovered
from ropewalk.train.plan import Plan, Policy
from ropewalk.train.saver import Saves, Tell

if TYPE_CHECKING:
    from ropewalk.train.state import TrainState

MAX_IN_A_ROW = 5
"""Batches left out, rollbacks, or errors tried again, with no update in between, before the run ends."""


def refuse(state: TrainState, policy: Policy, what: str, tell: Tell, saves: Saves, rollback: Callable[[], bool]) -> None:
    """A step out of order moves nothing: the run stops, leaves the batch out, or goes back to a checkpoint and leaves it out."""
    state.update.zero_grad()
    step, guilty, before = state.step + 1, state.position, state.skipped_in_a_row
    if policy != "stop" and before < MAX_IN_A_ROW - 1:
        rollbacks, excluded = state.rollbacks, [*state.excluded, guilty]
        if policy == "rollback" and rollback():
            state.rollbacks, state.excluded, state.skipped_in_a_row = rollbacks + 1, excluded, before + 1
            tell(Recovered(step, f"{what}: back to step {state.step}, and batch {guilty} will be left out"))
            return
        state.position += 1
        state.skipped += 1
        state.skipped_in_a_row += 1
        tell(Recovered(step, f"{what}: batch left out ({state.skipped} so far)"))
        return
    saves.emergency(state)
    tell(Ended(state.step, f"step {step}: {what}", state.metrics))
    again = f", as in the {before} batches before" if before else ""
    raise NotFinite(
        f"step {step}: {what}{again}; no update was made from it",
        remedy="lower the learning rate or clip, or set on_not_finite: skip (on_spike: skip) to leave out such batches",
    )


def tried_again(state: TrainState, plan: Plan, error: Exception, tried: int, tell: Tell, saves: Saves) -> None:
    """An error that nobody foresaw, before anything moved: the step is done again, or the state is saved and the error raised."""
    state.update.zero_grad()
    if plan.on_error == "resume" and tried < MAX_IN_A_ROW:
        tell(Recovered(state.step + 1, f"{type(error).__name__}: {error}: the step is done again ({tried} of {MAX_IN_A_ROW - 1})"))
        return
    saves.emergency(state)
    tell(Ended(state.step, f"step {state.step + 1}: {type(error).__name__}: {error}", state.metrics))
    raise error


def rescale(state: TrainState, tell: Tell) -> None:
    """After an overflow: nothing has moved, and the same update is made again."""
    state.update.zero_grad()
    state.scale, state.scale_steps = state.scale / 2, 0
    state.rescaled += 1
    tell(Recovered(state.step + 1, f"gradients overflow: the update is made again with the loss scaled by {state.scale:g}"))
