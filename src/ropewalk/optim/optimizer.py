"""The optimizer family: a config and its maths in one file; `build` gives an Update that knows its state by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Protocol

from pydantic import Field

from ropewalk.core.component import Component

if TYPE_CHECKING:
    from torch import Tensor, nn

Named = list[tuple[str, "nn.Parameter"]]


class Update(Protocol):
    """What changes parameters from their gradients."""

    def step(self, factor: float) -> None:
        """One update with every learning rate times `factor`; parameters without a gradient stay."""

    def zero_grad(self) -> None:
        """Forget all gradients."""

    def state(self) -> dict[str, Tensor]:
        """Everything a resumed run needs, flat, by name."""

    def load(self, state: dict[str, Tensor]) -> None:
        """Take over a state; raises KeyError when names differ."""


def fill(own: dict[str, Tensor], state: dict[str, Tensor]) -> None:
    """Copy a state into tensors of the same names; raises KeyError when names differ, and then nothing has changed."""
    if differing := set(own) ^ set(state):
        raise KeyError(", ".join(sorted(differing)[:5]))
    for name, tensor in own.items():
        tensor.copy_(state[name])


class Optimizer(Component, family="optimizer", folders=("ropewalk.optim",)):
    """How gradients become updates."""

    lr: Annotated[float, Field(gt=0)] = 1e-3
    """Learning rate at the top of the schedule."""

    def build(self, parameters: Named) -> Update:
        """The update of these parameters, by name; a parameter that is shared is named once."""
        raise TypeError(f"optimizer {self.tag!r} has no build()")
