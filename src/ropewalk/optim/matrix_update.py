"""An update in two parts: a rule for hidden matrices, and AdamW for embeddings, heads, norms and biases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ropewalk.optim.adamw import AdamWUpdate
from ropewalk.optim.groups import is_hidden_matrix
from ropewalk.optim.optimizer import Named, fill

if TYPE_CHECKING:
    from torch import Tensor, nn

Gradients = list[tuple[str, "nn.Parameter", "Tensor"]]
"""(name, parameter, its gradient), of those that have one; the gradient may be overwritten."""


class Rule(Protocol):
    """How matrices are changed; `tensors` is all that it remembers, there from the beginning."""

    tensors: dict[str, Tensor]

    def step(self, named: Gradients, factor: float) -> None: ...


def split(parameters: Named, largest: int | None = None) -> tuple[Named, Named]:
    """(hidden matrices, the rest); with `largest`, a matrix without a side of at most that belongs to the rest."""
    hidden = [
        (name, parameter)
        for name, parameter in parameters
        if is_hidden_matrix(name, parameter) and (largest is None or min(parameter.shape) <= largest)
    ]
    names = {name for name, _ in hidden}
    return hidden, [(name, parameter) for name, parameter in parameters if name not in names]


class MatrixUpdate:
    """The rule and AdamW, as one update."""

    def __init__(self, hidden: Named, rule: Rule, rest: AdamWUpdate) -> None:
        self.hidden, self.rule, self.rest = hidden, rule, rest

    def step(self, factor: float) -> None:
        import torch

        with torch.no_grad():
            self.rule.step([(name, p, p.grad) for name, p in self.hidden if p.grad is not None], factor)
        self.rest.step(factor)

    def zero_grad(self) -> None:
        for _, parameter in self.hidden:
            parameter.grad = None
        self.rest.zero_grad()

    def state(self) -> dict[str, Tensor]:
        return {**self.rule.tensors, **{f"adamw.{name}": tensor for name, tensor in self.rest.state().items()}}

    def load(self, state: dict[str, Tensor]) -> None:
        fill(self.state(), state)
