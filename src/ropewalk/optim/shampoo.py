"""Shampoo (Gupta et al. 2018) for hidden matrices with AdamW's step length (Anil et al. 2020), AdamW for all the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from ropewalk.optim.adamw import AdamWUpdate
from ropewalk.optim.matrix_update import Gradients, MatrixUpdate, split
from ropewalk.optim.optimizer import Named, Optimizer, Update

if TYPE_CHECKING:
    from torch import Tensor


class Shampoo(Optimizer, type="shampoo"):
    """Preconditions each side of a matrix by an inverse root of its gradients' second moment; as long a step as AdamW would take."""

    lr: Annotated[float, Field(gt=0)] = 2e-3
    """Learning rate of the hidden matrices at the top of the schedule; on AdamW's scale."""
    adam_lr: Annotated[float, Field(gt=0)] = 2e-3
    """Learning rate of everything else."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """Decay of the gradient's running mean."""
    beta2: float = Field(default=0.95, ge=0, lt=1)
    """Decay of the second moments."""
    weight_decay: float = Field(default=0.1, ge=0)
    """Pulls hidden matrices to zero, times the learning rate."""
    every: Annotated[int, Field(ge=1)] = 10
    """Updates between two computations of the roots."""
    largest: Annotated[int, Field(ge=1)] = 1024
    """A longer side is left as it is; a matrix with two longer sides gets AdamW. Costs grow with the third power of a side."""
    damping: float = Field(default=1e-6, gt=0)
    """Added to the eigenvalues, as a share of the largest."""

    def build(self, parameters: Named) -> Update:
        hidden, rest = split(parameters, self.largest)
        return MatrixUpdate(hidden, ShampooRule(hidden, self), AdamWUpdate(rest, self.adam_lr, self.beta1, self.beta2, 1e-8, 0.0))


class ShampooRule:
    """One matrix after another; side 0 is the rows', side 1 the columns'."""

    def __init__(self, hidden: Named, config: Shampoo) -> None:
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
                self.tensors[f"root{side}.{name}"] = parameter.new_zeros((size, size))

    def step(self, named: Gradients, factor: float) -> None:
        config, kept = self.config, self.tensors
        for name, parameter, gradient in named:
            before = int(kept[f"steps.{name}"])
            kept[f"steps.{name}"] += 1
            first, second = kept[f"first.{name}"], kept[f"second.{name}"]
            first.lerp_(gradient, 1 - config.beta1)
            second.lerp_(gradient.square(), 1 - config.beta2)
            sides = sides_of(parameter, config.largest)
            direction: Tensor = first
            for side in sides:
                moment, root = kept[f"moment{side}.{name}"], kept[f"root{side}.{name}"]
                moment.lerp_(outer(gradient, side), 1 - config.beta2)
                if before % config.every == 0:
                    root.copy_(inverse_root(moment, 2 * len(sides), config.damping))
                direction = direction @ root if side else root @ direction
            corrected = (second / (1 - config.beta2 ** (before + 1))).sqrt_().add_(1e-8)
            length = (first / corrected).norm() / (1 - config.beta1 ** (before + 1))
            parameter.mul_(1 - config.lr * factor * config.weight_decay)
            parameter.sub_(direction * (length / (direction.norm() + 1e-30)) * (config.lr * factor))


def sides_of(matrix: Tensor, largest: int) -> list[int]:
    """The sides that are preconditioned."""
    return [side for side in (0, 1) if matrix.size(side) <= largest]


def outer(gradient: Tensor, side: int) -> Tensor:
    """The gradient's second moment along a side."""
    return gradient.T @ gradient if side else gradient @ gradient.T


def inverse_root(moment: Tensor, degree: int, damping: float) -> Tensor:
    """moment^(-1/degree) of a symmetric matrix that is not negative."""
    import torch

    values, vectors = torch.linalg.eigh(moment)
    values = values.clamp(min=0)
    damped = values + damping * values[-1] + 1e-30
    return (vectors * damped.pow(-1 / degree)) @ vectors.T  # type: ignore[no-any-return]
