"""Windows of series as tensors on the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from ropewalk.data.series_loader import SeriesBatch


@dataclass(frozen=True)
class TorchWindows:
    """A micro-batch; see `data/series_loader.py` for what the columns mean."""

    past: torch.Tensor  # (B, T, C)
    known: torch.Tensor  # (B, H, K)
    target: torch.Tensor  # (B, H)
    keys: torch.Tensor  # (B,) int64, on the CPU
    weight: int
    """Number of forecast numbers."""


def windows_to_torch(batch: SeriesBatch, device: str) -> TorchWindows:
    past, known, target = (torch.from_numpy(values).to(device) for values in (batch.past, batch.known, batch.target))
    return TorchWindows(past, known, target, torch.from_numpy(batch.keys), int(batch.target.size))
