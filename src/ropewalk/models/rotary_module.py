"""Frequencies of rotary positions: the plain ones, divided by a factor, or by Llama 3's rule."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ropewalk.models.shape import Shape


def frequencies(shape: Shape) -> Tensor:
    """Radians a token for each pair of a head's dimensions."""
    half = torch.arange(0, shape.head_width, 2, dtype=torch.float32) / shape.head_width
    return scaled(1.0 / shape.rope_theta**half, shape.rope_scaling)


def scaled(plain: Tensor, scaling: tuple[float, ...]) -> Tensor:
    """(factor,) divides all; (factor, low, high, original) leaves what turns `high` times or more within the original context as it is,
    divides what turns `low` times or less, and goes smoothly between (Llama 3.1)."""
    if len(scaling) <= 1:
        return plain / scaling[0] if scaling else plain
    factor, low, high, original = scaling
    turns = original * plain / (2 * math.pi)
    share = ((turns - low) / (high - low)).clamp(0, 1)
    return (1 - share) * plain / factor + share * plain
