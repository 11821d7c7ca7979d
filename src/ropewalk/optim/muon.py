"""Muon (Jordan et al. 2024): momentum made orthogonal by Newton-Schulz for hidden matrices, AdamW for all the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from ropewalk.optim.adamw import AdamWUpdate
from ropewalk.optim.groups import is_hidden_matrix
from ropewalk.optim.optimizer import Named, Optimizer, Update

if TYPE_CHECKING:
    from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # quintic of the reference: singular values end between 0.7 and 1.2


class Muon(Optimizer, type="muon"):
    """Orthogonal updates for hidden matrices; embeddings, heads, norms and biases get AdamW."""

    lr: Annotated[float, Field(gt=0)] = 0.02
    """Learning rate of the hidden matrices at the top of the schedule; the update is scaled by max(1, rows/columns)^0.5."""
    adam_lr: Annotated[float, Field(gt=0)] = 0.008
    """Learning rate of everything else."""
    momentum: float = Field(default=0.95, ge=0, lt=1)
    """Decay of the gradient's running mean (Nesterov)."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Pulls hidden matrices to zero, times the learning rate."""
    iterations: int = Field(default=5, ge=1)
    """Newton-Schulz steps."""
    beta2: float = Field(default=0.95, ge=0, lt=1)
    """AdamW's decay of the squared gradient's running mean."""

    def build(self, parameters: Named) -> Update:
        hidden = [(name, parameter) for name, parameter in parameters if is_hidden_matrix(name, parameter)]
        names = {name for name, _ in hidden}
        rest = [(name, parameter) for name, parameter in parameters if name not in names]
        return MuonUpdate(hidden, AdamWUpdate(rest, self.adam_lr, 0.9, self.beta2, 1e-8, 0.0), self)


def orthogonal(matrices: Tensor, iterations: int) -> Tensor:
    """Newton-Schulz on a stack (K, R, C): each matrix towards U V' of its singular value decomposition.

    Computed in bf16 on CUDA, else in fp32: a CPU without bf16 instructions is 13 times slower in bf16.
    """
    import torch

    a, b, c = COEFFICIENTS
    x = matrices.bfloat16() if matrices.is_cuda else matrices.float()
    tall = x.size(-2) > x.size(-1)
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(iterations):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(matrices.dtype)


class MuonUpdate:
    """Matrices of one shape are made orthogonal together."""

    def __init__(self, hidden: Named, rest: AdamWUpdate, config: Muon) -> None:
        import torch

        self.hidden, self.rest, self.config = dict(hidden), rest, config
        self.momentum = {name: torch.zeros_like(parameter) for name, parameter in hidden}

    def step(self, factor: float) -> None:
        import torch

        config = self.config
        with torch.no_grad():
            shapes: dict[torch.Size, list[str]] = {}
            for name, parameter in self.hidden.items():
                if parameter.grad is not None:
                    shapes.setdefault(parameter.shape, []).append(name)
            for shape, names in shapes.items():
                for name in names:
                    gradient = self.hidden[name].grad
                    assert gradient is not None
                    self.momentum[name].lerp_(gradient, 1 - config.momentum)
                    gradient.lerp_(self.momentum[name], config.momentum)
                stacked = torch.stack([gradient for name in names if (gradient := self.hidden[name].grad) is not None])
                updates = orthogonal(stacked, config.iterations)
                scale = config.lr * factor * max(1.0, shape[0] / shape[1]) ** 0.5
                for name, update in zip(names, updates, strict=True):
                    if config.weight_decay:
                        self.hidden[name].mul_(1 - config.lr * factor * config.weight_decay)
                    self.hidden[name].add_(update, alpha=-scale)
        self.rest.step(factor)

    def zero_grad(self) -> None:
        for parameter in self.hidden.values():
            parameter.grad = None
        self.rest.zero_grad()

    def state(self) -> dict[str, Tensor]:
        own = {f"momentum.{name}": tensor for name, tensor in self.momentum.items()}
        return {**own, **{f"adamw.{name}": tensor for name, tensor in self.rest.state().items()}}

    def load(self, state: dict[str, Tensor]) -> None:
        own = {f"momentum.{name}": tensor for name, tensor in self.momentum.items()}
        rest = {name.removeprefix("adamw."): tensor for name, tensor in state.items() if name.startswith("adamw.")}
        if unknown := {name for name in state if not name.startswith("adamw.")} ^ set(own):
            raise KeyError(", ".join(sorted(unknown)[:5]))
        for name, tensor in own.items():
            tensor.copy_(state[name])
        self.rest.load(rest)
