"""Cross-entropy that never holds the full logits: a chunk of rows at a time, with gradients made on the way forward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

CHUNK_BYTES = 8 << 20  # of logits held at once: what stays in the cache is fastest, and memory is bounded for any vocabulary


Options = tuple[int, float, float]


def rows_at_once(weight: Tensor) -> int:
    """Rows whose fp32 logits over the weight's vocabulary fill CHUNK_BYTES, 64 at least."""
    return max(64, CHUNK_BYTES // (4 * weight.size(0)))


class _CrossEntropySum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, options: Options, wants_gradient: bool) -> Tensor:
        chunk_rows, z_loss, smoothing = options
        wanted = wants_gradient and (hidden.requires_grad or weight.requires_grad)
        kernel = weight.to(hidden.dtype)
        total = hidden.new_zeros((), dtype=torch.float64)
        hidden_gradient = torch.empty_like(hidden) if wanted else None
        wants_weight, weight_gradient = wanted and weight.requires_grad, None
        for start in range(0, hidden.size(0), chunk_rows):
            rows, wished = hidden[start : start + chunk_rows], targets[start : start + chunk_rows]
            logits = (rows @ kernel.T).float()
            normaliser = logits.logsumexp(-1, keepdim=True)
            chosen = logits.gather(1, wished.unsqueeze(1))
            loss = (normaliser - (1 - smoothing) * chosen).sum()
            if smoothing:
                loss = loss - smoothing * logits.mean(-1).sum()
            if z_loss:
                loss = loss + z_loss * normaliser.square().sum()
            total += loss.double()
            if hidden_gradient is not None:
                slope = logits.sub_(normaliser).exp_()
                if z_loss:
                    slope *= 1 + 2 * z_loss * normaliser
                slope.scatter_add_(1, wished.unsqueeze(1), slope.new_full((len(wished), 1), smoothing - 1))
                if smoothing:
                    slope -= smoothing / slope.size(1)
                slope = slope.to(hidden.dtype)
                torch.matmul(slope, kernel, out=hidden_gradient[start : start + chunk_rows])
                if wants_weight and weight_gradient is None:
                    weight_gradient = (slope.T @ rows).to(weight.dtype)
                elif weight_gradient is not None and weight.dtype == slope.dtype:
                    weight_gradient.addmm_(slope.T, rows)
                elif weight_gradient is not None:
                    weight_gradient += slope.T @ rows
        ctx.gradients = (hidden_gradient, weight_gradient)
        return total.float()

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        hidden_gradient, weight_gradient = ctx.gradients
        ctx.gradients = None
        factor = outer[0]
        of_weight = None if weight_gradient is None else weight_gradient.mul_(factor)
        return hidden_gradient.mul_(factor), of_weight, None, None, None


def cross_entropy_sum(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    chunk_rows: int = 0,
    z_loss: float = 0.0,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Sum over rows of -log softmax(hidden (N, D) @ weight (V, D).T)[targets (N,)], in nats; backward works once.

    `chunk_rows` are computed at once, so many as CHUNK_BYTES hold when it is 0.
    """
    options = (chunk_rows or rows_at_once(weight), z_loss, label_smoothing)
    if torch.is_autocast_enabled(hidden.device.type):
        hidden = hidden.to(torch.get_autocast_dtype(hidden.device.type))
    with torch.autocast(hidden.device.type, enabled=False):
        result: Tensor = _CrossEntropySum.apply(hidden, weight, targets, options, torch.is_grad_enabled())  # type: ignore[no-untyped-call]
    return result


@torch.no_grad()
def token_nll(hidden: Tensor, weight: Tensor, targets: Tensor, chunk_rows: int = 0) -> Tensor:
    """-log p of each target (N,) in nats, fp32."""
    chunk_rows = chunk_rows or rows_at_once(weight)
    parts = []
    for start in range(0, hidden.size(0), chunk_rows):
        logits = (hidden[start : start + chunk_rows] @ weight.to(hidden.dtype).T).float()
        chosen = logits.gather(1, targets[start : start + chunk_rows].unsqueeze(1)).squeeze(1)
        parts.append(logits.logsumexp(-1) - chosen)
    return torch.cat(parts) if parts else hidden.new_zeros(0, dtype=torch.float32)
