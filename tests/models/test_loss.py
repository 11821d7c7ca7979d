"""The chunked cross-entropy against torch's own, values and gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from ropewalk.models.loss_module import cross_entropy_sum, token_nll


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(37, 16, generator=generator, requires_grad=True)
    weight = torch.randn(50, 16, generator=generator, requires_grad=True)
    return hidden, weight, torch.randint(0, 50, (37,), generator=generator)


@pytest.mark.parametrize("chunk", [1, 8, 37, 100])
@pytest.mark.parametrize(("z_loss", "smoothing"), [(0.0, 0.0), (1e-2, 0.0), (0.0, 0.1), (1e-2, 0.1)])
def test_values_and_gradients_equal_torchs(chunk: int, z_loss: float, smoothing: float) -> None:
    hidden, weight, targets = inputs()
    logits = hidden @ weight.T
    expected = F.cross_entropy(logits, targets, reduction="sum", label_smoothing=smoothing) + z_loss * logits.logsumexp(-1).square().sum()
    expected_gradients = torch.autograd.grad(expected / 7, [hidden, weight])
    ours = cross_entropy_sum(hidden, weight, targets, chunk, z_loss, smoothing)
    gradients = torch.autograd.grad(ours / 7, [hidden, weight])
    assert torch.allclose(ours, expected, rtol=1e-6)
    for mine, theirs in zip(gradients, expected_gradients, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-5)


def test_without_gradients_it_only_sums() -> None:
    hidden, weight, targets = inputs()
    with torch.no_grad():
        total = cross_entropy_sum(hidden.detach(), weight.detach(), targets, 8)
    assert torch.allclose(total, token_nll(hidden, weight, targets, 5).sum(), rtol=1e-6)
    assert token_nll(hidden[:0], weight, targets[:0]).shape == (0,)


def test_no_gradient_is_computed_that_nobody_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, weight, targets = inputs()
    frozen = weight.detach()
    total = cross_entropy_sum(hidden, frozen, targets, 8)
    total.backward()
    assert hidden.grad is not None and frozen.grad is None
    monkeypatch.setattr(torch, "empty_like", lambda *arguments: pytest.fail("a gradient buffer under no_grad"))
    with torch.no_grad():
        assert torch.allclose(cross_entropy_sum(hidden, weight, targets), total)


def test_autocast_computes_in_its_format_and_returns_fp32() -> None:
    hidden, weight, targets = inputs()
    exact = cross_entropy_sum(hidden, weight, targets)
    with torch.autocast("cpu", torch.bfloat16):
        rough = cross_entropy_sum(hidden, weight, targets)
    rough.backward()
    assert rough.dtype == torch.float32 and abs(rough.item() - exact.item()) / exact.item() < 0.02
    assert weight.grad is not None and weight.grad.dtype == torch.float32
