"""Keys and values of many rows, each row with a length of its own: tensors of a fixed size that grow by blocks.

A token stands in the slot of its position, so rows are padded on the right and what lies behind a row's end is masked
and later written over: a row's result does not depend on the rows beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

BLOCK_SLOTS = 256


class KeyValues:
    """For `Decoder.forward(tokens, cache=...)`: it writes the tokens' keys and values behind each row's end; `advance` moves the ends."""

    def __init__(self, rows: int, context: int) -> None:
        self.lengths = [0] * rows
        self.context = context
        self.layers: list[tuple[Tensor, Tensor]] = []  # (B, H, slots, d) each

    def advance(self, counts: Sequence[int]) -> None:
        """So many of the tokens just written belong to each row; what was written behind them is padding."""
        self.lengths = [length + count for length, count in zip(self.lengths, counts, strict=True)]

    def positions(self, count: int, device: torch.device) -> Tensor:
        """(B, count), or (1, count) where all rows are equally long."""
        ends = self.lengths[:1] if self.even else self.lengths
        return torch.tensor(ends, device=device)[:, None] + torch.arange(count, device=device)

    @property
    def even(self) -> bool:
        """Whether all rows are equally long."""
        return len(set(self.lengths)) <= 1

    def mask(self, positions: Tensor, window: int) -> Tensor | None:
        """(B, 1, T, slots) of who may look at whom, in a layer whose attention reaches `window` tokens back (0: all); None where causal
        order is all there is to say."""
        last = max(self.lengths) + positions.size(1)
        near = not window or last <= window
        if near and self.even and (positions.size(1) == 1 or not self.lengths[0]):
            return None
        slots = torch.arange(last, device=positions.device)
        allowed = slots <= positions[:, :, None]
        if not near:
            allowed &= slots > positions[:, :, None] - window
        return allowed.unsqueeze(1)

    def write(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Place new keys and values (B, H, T, d) of a layer; gives all that the rows have, up to the longest row's end."""
        count, last = key.size(2), max(self.lengths) + key.size(2)
        if layer == len(self.layers):
            slots = self._slots(last)
            self.layers.append((_empty(key, slots), _empty(value, slots)))
        elif last > self.layers[layer][0].size(2):
            slots = self._slots(last)
            self.layers[layer] = tuple(_grown(old, slots) for old in self.layers[layer])  # type: ignore[assignment]
        for store, new in zip(self.layers[layer], (key, value), strict=True):
            if self.even:
                store[:, :, self.lengths[0] : last] = new
            else:
                rows = torch.arange(len(self.lengths), device=new.device)[:, None]
                store[rows, :, self.positions(count, new.device)] = new.transpose(1, 2)
        keys, values = self.layers[layer]
        return keys[:, :, :last], values[:, :, :last]

    def keep(self, rows: Sequence[int]) -> None:
        """Only these rows, in this order."""
        self.lengths = [self.lengths[row] for row in rows]
        for layer, (keys, values) in enumerate(self.layers):
            chosen = torch.tensor(rows, device=keys.device, dtype=torch.long)
            self.layers[layer] = (keys.index_select(0, chosen), values.index_select(0, chosen))

    def join(self, other: KeyValues) -> None:
        """Another cache's rows behind these."""
        self.lengths = self.lengths + other.lengths
        for layer, pair in enumerate(other.layers):
            if layer == len(self.layers):
                self.layers.append(pair)
                continue
            slots = max(pair[0].size(2), self.layers[layer][0].size(2))
            both = zip(self.layers[layer], pair, strict=True)
            self.layers[layer] = tuple(torch.cat([_grown(a, slots), _grown(b, slots)]) for a, b in both)  # type: ignore[assignment]

    def _slots(self, needed: int) -> int:
        return min(self.context, -(-needed // BLOCK_SLOTS) * BLOCK_SLOTS)


def _empty(like: Tensor, slots: int) -> Tensor:
    """Zeros, not whatever memory holds: a masked NaN would still spoil the sum."""
    return like.new_zeros(like.size(0), like.size(1), slots, like.size(3))


def _grown(old: Tensor, slots: int) -> Tensor:
    if old.size(2) == slots:
        return old
    new = _empty(old, slots)
    new[:, :, : old.size(2)] = old
    return new
