"""Shampoo against a plain double-precision reference, SOAP against pytorch-optimizer's; which matrices they take."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ropewalk.optim.matrix_update import split
from ropewalk.optim.optimizer import Named, Optimizer
from ropewalk.optim.shampoo import Shampoo, inverse_root
from ropewalk.optim.soap import Soap

SHAPES = {"a.weight": (12, 5), "b.weight": (6, 6), "c.weight": (4, 30)}


def start() -> Named:
    generator = torch.Generator().manual_seed(1)
    return [(name, nn.Parameter(torch.randn(shape, generator=generator))) for name, shape in SHAPES.items()]


def draws(named: Named, step: int) -> None:
    """Gradients with a few strong directions."""
    generator = torch.Generator().manual_seed(100 + step)
    for _, parameter in named:
        rows, columns = parameter.shape
        strong = torch.randn(rows, 2, generator=generator) @ torch.randn(2, columns, generator=generator)
        parameter.grad = strong + 0.1 * torch.randn(rows, columns, generator=generator)


def power(moment: Tensor, exponent: float, damping: float) -> Tensor:
    values, vectors = torch.linalg.eigh(moment)
    return vectors @ torch.diag((values.clamp(min=0) + damping * values.max()) ** exponent) @ vectors.T


def reference(named: Named, steps: int, config: Shampoo, factor: float) -> None:
    """The formulas as the papers write them, one matrix at a time, in double precision."""
    for index, (name, parameter) in enumerate(named):
        rows, columns = SHAPES[name]
        weight, left, right = parameter.detach().double(), torch.zeros(rows, rows).double(), torch.zeros(columns, columns).double()
        first, second = torch.zeros_like(weight), torch.zeros_like(weight)
        for step in range(1, steps + 1):
            draws(named, step)
            gradient = named[index][1].grad
            assert gradient is not None
            gradient = gradient.double()
            left = config.beta2 * left + (1 - config.beta2) * gradient @ gradient.T
            right = config.beta2 * right + (1 - config.beta2) * gradient.T @ gradient
            first = config.beta1 * first + (1 - config.beta1) * gradient
            second = config.beta2 * second + (1 - config.beta2) * gradient**2
            if (step - 1) % config.every == 0:
                both = max(rows, columns) <= config.largest
                exponent = -1 / 4 if both else -1 / 2
                of_left = power(left, exponent, config.damping) if rows <= config.largest else torch.eye(rows).double()
                of_right = power(right, exponent, config.damping) if columns <= config.largest else torch.eye(columns).double()
            adam = (first / (1 - config.beta1**step)) / ((second / (1 - config.beta2**step)).sqrt() + 1e-8)
            direction = of_left @ first @ of_right
            weight = weight * (1 - config.lr * factor * config.weight_decay)
            weight = weight - config.lr * factor * adam.norm() / direction.norm() * direction
        with torch.no_grad():
            parameter.copy_(weight)


@pytest.mark.parametrize("largest", [64, 8])
def test_shampoo_is_what_the_papers_say(largest: int) -> None:
    config = Shampoo(lr=0.05, every=3, largest=largest, damping=1e-3)
    ours, theirs = start(), start()
    update = config.build(ours)
    for step in range(1, 8):
        draws(ours, step)
        update.step(0.5)
    reference(theirs, 7, config, 0.5)
    for (_, mine), (_, other) in zip(ours, theirs, strict=True):
        assert torch.allclose(mine, other, atol=2e-4)


def test_soap_equals_pytorch_optimizers() -> None:
    package = pytest.importorskip("pytorch_optimizer")
    ours, theirs = start(), start()
    update = Soap(lr=0.02, every=3, largest=20, beta1=0.9, beta2=0.97, weight_decay=0.1).build(ours)
    other = package.SOAP(
        [p for _, p in theirs],
        lr=0.01,
        betas=(0.9, 0.97),
        precondition_frequency=3,
        max_precondition_dim=20,
        normalize_gradient=False,
        weight_decay=0.1,
    )
    for step in range(8):
        draws(ours, step)
        draws(theirs, step)
        update.step(0.5)
        other.step()
    for (_, mine), (_, expected), (_, begun) in zip(ours, theirs, start(), strict=True):
        assert torch.allclose(mine, expected, atol=1e-4) and not torch.allclose(mine, begun, atol=1e-2)


def test_inverse_roots_undo_the_moment() -> None:
    half = torch.randn(9, 20, generator=torch.Generator().manual_seed(0))
    moment = half @ half.T
    root = inverse_root(moment, 4, 1e-12)
    assert torch.allclose(root @ root @ root @ root @ moment, torch.eye(9), atol=1e-3)
    assert inverse_root(torch.zeros(3, 3), 4, 1e-6).isfinite().all(), "no gradient yet, or one of nothing"


@pytest.mark.parametrize("tag", ["shampoo", "soap"])
def test_matrices_with_two_long_sides_get_adamw(tag: str) -> None:
    hidden, rest = split(start(), 5)
    assert [name for name, _ in hidden] == ["a.weight", "c.weight"] and [name for name, _ in rest] == ["b.weight"]
    names = Optimizer.model_validate({"type": tag, "largest": 5}).build(start()).state()
    assert "adamw.first.b.weight" in names and "moment1.a.weight" in names and "moment0.a.weight" not in names


@pytest.mark.parametrize("tag", ["shampoo", "soap", "muon"])
def test_a_gradient_of_nought_moves_nothing_and_stays_finite(tag: str) -> None:
    named = start()
    update = Optimizer.model_validate({"type": tag, "weight_decay": 0.0}).build(named)
    for _ in range(3):
        for _, parameter in named:
            parameter.grad = torch.zeros_like(parameter)
        update.step(1.0)
    assert all(torch.equal(parameter, begun) for (_, parameter), (_, begun) in zip(named, start(), strict=True))
