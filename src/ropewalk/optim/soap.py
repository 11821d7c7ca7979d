"""SOAP (Vyas et al. 2024): Adam in the slowly turning eigenbasis of Shampoo's moments for hidden matrices, AdamW for the rest."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from ropewalk.optim.adamw import AdamWUpdate
from ropewalk.optim.matrix_update import Gradients, MatrixUpdate, split
from ropewalk.optim.optimizer import Named, Optimizer, Update
from ropewalk.optim.shampoo import outer, sides_of

if TYPE_CHECKING:
    from torch import Tensor


class Soap(Optimizer, type="soap"):
    """Adam on gradients turned into the basis in which they vary independently; a matrix's first update only finds that basis."""

    lr: Annotated[float, Field(gt=0)] = 3e-3
    """Learning rate of the hidden matrices at the top of the schedule; on AdamW's scale."""
    adam_lr: Annotated[float, Field(gt=0)] = 2e-3
    """Learning rate of everything else."""
    beta1: float = Field(default=0.95, ge=0, lt=1)
    """Decay of the gradient's running mean."""
    beta2: float = Field(default=0.95, ge=0, lt=1)
    """Decay of the second moments."""
    epsilon: float = Field(default=1e-8, gt=0)
    """Keeps the division finite."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Pulls hidden matrices to zero, times the learning rate."""
    every: Annotated[int, Field(ge=1)] = 10
    """Updates between two turns of the basis."""
    largest: Annotated[int, Field(ge=1)] = 1024
    """A longer side keeps its basis; a matrix with two longer sides gets AdamW. Costs grow with the third power of a side."""

    def build(self, parameters: Named) -> Update:
        hidden, rest = split(parameters, self.largest)
        return MatrixUpdate(hidden, SoapRule(hidden, self), AdamWUpdate(rest, self.adam_lr, 0.9, self.beta2, 1e-8, 0.0))


class SoapRule:
    """One matrix after another; the running mean is kept unturned, the squares' in the basis."""

    def __init__(self, hidden: Named, config: Soap) -> None:
        import torch

        self.config = config
        self.tensors: dict[str, Tensor] = {}
        for name, parameter in hidden:
            self.tensors[f"steps.{name}"] = torch.zeros((), dtype=torch.int64)
            self.tensors[f"first.{name}"] = torch.zeros_like(parameter)
            self.tensors[f"second.{name}"] = torch.zeros_like(parameter)
            for side in sides_of(parameter, config.largest):
                size = parameter.size(side)
                self.tensors[f"moment{side}.{name}"] = parameter.new_zeros((size, size))
                self.tensors[f"basis{side}.{name}"] = parameter.new_zeros((size, size))

    def step(self, named: Gradients, factor: float) -> None:
        for name, parameter, gradient in named:
            sides, before = sides_of(parameter, self.config.largest), int(self.tensors[f"steps.{name}"])
            self.tensors[f"steps.{name}"] += 1
            if before:
                self._move(name, parameter, gradient, before, factor)
            for side in sides:
                self.tensors[f"moment{side}.{name}"].lerp_(outer(gradient, side), 1 - self.config.beta2)
            if not before:
                for side in sides:
                    self.tensors[f"basis{side}.{name}"].copy_(_eigenvectors(self.tensors[f"moment{side}.{name}"]))
            elif before % self.config.every == 0:
                for side in sides:
                    self._turn_basis(name, side)

    def _move(self, name: str, parameter: Tensor, gradient: Tensor, number: int, factor: float) -> None:
        config, first, second = self.config, self.tensors[f"first.{name}"], self.tensors[f"second.{name}"]
        first.lerp_(gradient, 1 - config.beta1)
        second.lerp_(self._turned(name, gradient).square_(), 1 - config.beta2)
        change = self._turned(name, first).div_(second.sqrt().add_(config.epsilon))
        corrected = math.sqrt(1 - config.beta2**number) / (1 - config.beta1**number)
        parameter.add_(self._turned(name, change, back=True), alpha=-config.lr * factor * corrected)
        parameter.mul_(1 - config.lr * factor * config.weight_decay)

    def _turned(self, name: str, matrix: Tensor, *, back: bool = False) -> Tensor:
        """A matrix in the basis, or from it; always a tensor of its own."""
        found = matrix
        for side in sides_of(matrix, self.config.largest):
            basis = self.tensors[f"basis{side}.{name}"]
            turn = basis.T if back == bool(side) else basis
            found = found @ turn if side else turn @ found
        return found

    def _turn_basis(self, name: str, side: int) -> None:
        """One step of power iteration, with the vectors in order of their eigenvalues; the squares follow that order."""
        import torch

        moment, basis, second = self.tensors[f"moment{side}.{name}"], self.tensors[f"basis{side}.{name}"], self.tensors[f"second.{name}"]
        product = moment @ basis
        order = (basis * product).sum(0).argsort(descending=True)
        second.copy_(second.index_select(side, order))
        basis.copy_(torch.linalg.qr(product.index_select(1, order))[0])


def _eigenvectors(moment: Tensor) -> Tensor:
    """Largest eigenvalue first."""
    import torch

    return torch.linalg.eigh(moment)[1].flip(1)  # type: ignore[no-any-return]
