"""Muon (Jordan et al. 2024): momentum made orthogonal by Newton-Schulz for hidden matrices, AdamW for all the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from ropewalk.optim.adamw import AdamWUpdate
from ropewalk.optim.matrix_update import Gradients, MatrixUpdate, split
from ropewalk.optim.optimizer import Named, Optimizer, Update

if TYPE_CHECKING:
    from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # quintic of the reference: singular values end between 0.7 and 1.2
GRAM_ASPECT = 2  # longer matrices than that are cheaper by their small side: 1536 x 384 takes half the time


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
        hidden, rest = split(parameters)
        return MatrixUpdate(hidden, MuonRule(hidden, self), AdamWUpdate(rest, self.adam_lr, 0.9, self.beta2, 1e-8, 0.0))


def orthogonal(matrices: Tensor, iterations: int) -> Tensor:
    """Newton-Schulz on a stack (K, R, C): each matrix towards U V' of its singular value decomposition.

    Computed in bf16 on CUDA, else in fp32: a CPU without bf16 instructions is 13 times slower in bf16.
    """
    import torch

    x = matrices.bfloat16() if matrices.is_cuda else matrices.float()
    tall = x.size(-2) > x.size(-1)
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    long = x.size(-1) >= GRAM_ASPECT * x.size(-2) and x.dtype == torch.float32
    x = _by_gram(x, iterations) if long else _by_matrix(x, iterations)
    return (x.mT if tall else x).to(matrices.dtype)


def _by_matrix(x: Tensor, iterations: int) -> Tensor:
    import torch

    a, b, c = COEFFICIENTS
    for _ in range(iterations):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _by_gram(x: Tensor, iterations: int) -> Tensor:
    """The same polynomials gathered on the small side: x' = p(G) x has G' = p(G) G p(G), for they commute.

    For n rows and m columns 4 n^3 operations an iteration in place of n^3 + 2 n^2 m; bf16 would lose the small values.
    """
    import torch

    a, b, c = COEFFICIENTS
    gram, whole = x @ x.mT, None
    for iteration in range(iterations):
        step = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        step.diagonal(dim1=-2, dim2=-1).add_(a)
        whole = step if whole is None else step @ whole
        if iteration < iterations - 1:
            gram = step @ gram @ step
    return x if whole is None else whole @ x


class MuonRule:
    """Matrices of one shape are made orthogonal together."""

    def __init__(self, hidden: Named, config: Muon) -> None:
        import torch

        self.config = config
        self.tensors = {f"momentum.{name}": torch.zeros_like(parameter) for name, parameter in hidden}

    def step(self, named: Gradients, factor: float) -> None:
        import torch

        config = self.config
        shapes: dict[torch.Size, Gradients] = {}
        for name, parameter, gradient in named:
            momentum = self.tensors[f"momentum.{name}"]
            momentum.lerp_(gradient, 1 - config.momentum)
            gradient.lerp_(momentum, config.momentum)
            shapes.setdefault(parameter.shape, []).append((name, parameter, gradient))
        for shape, group in shapes.items():
            updates = orthogonal(torch.stack([gradient for _, _, gradient in group]), config.iterations)
            scale = config.lr * factor * max(1.0, shape[0] / shape[1]) ** 0.5
            for (_, parameter, _), update in zip(group, updates, strict=True):
                if config.weight_decay:
                    parameter.mul_(1 - config.lr * factor * config.weight_decay)
                parameter.add_(update, alpha=-scale)
