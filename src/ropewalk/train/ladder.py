"""The ladder of remedies when memory runs out in a step: a smaller micro-batch, recomputed activations, a save and a clear end.

The failed attempt's gradients are dropped and the same global batch is done again, with the same random draws: the result
is that of a run that never ran out. At most log2(micro-batch) + 2 attempts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from ropewalk.core.errors import OutOfMemory
from ropewalk.core.events import Ended, Event, Recovered, StopRequest
from ropewalk.hardware.memory import MicroBatch, catching

if TYPE_CHECKING:
    from ropewalk.train.state import TrainState

R = TypeVar("R")


class Ladder:
    """For one training run; `sizes` is read by everyone who computes."""

    def __init__(
        self,
        state: TrainState,
        sizes: MicroBatch,
        device: str,
        tell: Callable[[Event], StopRequest | None],
        save: Callable[[TrainState], None],
    ) -> None:
        self.state, self.sizes, self.device, self.tell, self.save = state, sizes, device, tell, save
        self.parameters = list(state.model.parameters())

    def climb(self, work: Callable[..., R], *arguments: Any) -> R:
        """Do the work; after memory ran out, again with less at once. Raises OutOfMemory when no remedy is left."""
        while True:
            with catching(self.device) as ran:
                return work(*arguments)
            self.state.update.zero_grad()
            if self.sizes.shrink():
                self._say(f"{ran.message}: going on with a micro-batch of {self.sizes.size}; the update stays the same")
            elif not self.state.model.checkpointing:
                self.state.model.checkpointing = True
                self._say(f"{ran.message}: going on with recomputed activations; the update stays the same")
            else:
                self._end(ran.message, "use a smaller model or a shorter length; what was learned is saved")

    def update(self, work: Callable[..., None], *arguments: Any) -> None:
        """Make the update; tried once more after memory ran out, if nothing has moved yet."""
        before = self._moves()
        with catching(self.device) as ran:
            work(*arguments)
        if not ran.out_of_memory:
            return
        if self._moves() != before:
            raise OutOfMemory(
                f"update {self.state.step + 1}: {ran.message}, in the middle of the update: the weights of this process are spoilt",
                remedy="run again: it goes on from the last checkpoint; use a smaller model or a lighter optimizer if it happens again",
            )
        self._say(f"{ran.message}: memory was freed and the update tried again")
        with catching(self.device) as ran:
            work(*arguments)
        if ran.out_of_memory:
            self._end(ran.message, "use a smaller model or a lighter optimizer; what was learned is saved")

    def _moves(self) -> int:
        """A number that changes with any write to a weight or to the optimizer's state."""
        tensors = [*self.parameters, *self.state.update.state().values()]
        return sum(tensor._version for tensor in tensors)  # noqa: SLF001 torch has no public name for it

    def _say(self, what: str) -> None:
        self.tell(Recovered(self.state.step + 1, what))

    def _end(self, message: str, remedy: str) -> NoReturn:
        self.state.update.zero_grad()
        self.save(self.state)
        self.tell(Ended(self.state.step, f"step {self.state.step + 1}: {message}", self.state.metrics))
        raise OutOfMemory(f"update {self.state.step + 1}: {message}; one sequence at a time does not fit", remedy=remedy)
