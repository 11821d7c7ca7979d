"""Dropout whose draws belong to a row and a place in the model: no micro-batch, rank or recomputation changes them.

torch's own draws from one stream, so that another micro-batch gives other draws. Here the generator of a mask is named by
(the row's seed, the place), and the loop names a row by (seed, step, row of the global batch).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_PLACES = 1_000_003  # a prime above the number of places in any model: seeds of neighbouring rows never meet


class Draws:
    """The seeds of the rows now in the model; a model's blocks share one. Without seeds, torch's own dropout is used."""

    def __init__(self) -> None:
        self.rows: tuple[int, ...] = ()

    def dropout(self, x: Tensor, share: float, training: bool, place: int) -> Tensor:
        """x (B, ...) with a share of its values zeroed and the others scaled; rows past the seeds begin again, drawn otherwise."""
        if not training or share == 0.0:
            return x
        if not self.rows:
            return F.dropout(x, share)
        generator = torch.Generator(device=x.device)
        mask = torch.empty_like(x)
        for row, part in enumerate(mask):
            again, own = divmod(row, len(self.rows))
            generator.manual_seed((self.rows[own] + again * _PLACES + place) & (2**63 - 1))
            part.bernoulli_(1 - share, generator=generator)
        return x * mask.mul_(1 / (1 - share))
