"""Bodies of forecasters: a window's past and the features known ahead become one hidden state for each row of the horizon."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ropewalk.models.dropout_module import Draws
from ropewalk.models.forecaster import ForecastShape


class Block(nn.Module):
    """Attention and a feed-forward part, both ways along the sequence; with `conditioned` shifted and gated by a vector (adaLN-zero)."""

    def __init__(self, shape: ForecastShape, draws: Draws, place: int, *, conditioned: bool = False) -> None:
        super().__init__()
        width = shape.width
        self.shape, self.draws, self.place = shape, draws, place
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)
        self.norm_first = nn.LayerNorm(width, elementwise_affine=not conditioned)
        self.norm_second = nn.LayerNorm(width, elementwise_affine=not conditioned)
        self.embed_condition = nn.Linear(width, 6 * width) if conditioned else None

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        rows, length, width = x.shape
        first, second = self.norm_first(x), self.norm_second
        gate: Tensor | float = 1.0
        later: Tensor | float = 1.0
        shift, scale = None, None
        if self.embed_condition is not None:
            assert condition is not None, "a conditioned block needs its condition"
            before, stretch, gate, shift, scale, later = self.embed_condition(F.silu(condition)).unsqueeze(1).chunk(6, -1)  # (B, 1, D)
            first = first * (1 + stretch) + before
        query, key, value = self.qkv(first).view(rows, length, 3, self.shape.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(rows, length, width)
        x = x + gate * self._dropped(self.out(mixed), 0)
        inner = second(x)
        if shift is not None and scale is not None:
            inner = inner * (1 + scale) + shift
        return x + later * self._dropped(self.down(F.gelu(self.up(inner))), 1)

    def _dropped(self, x: Tensor, place: int) -> Tensor:
        return self.draws.dropout(x, self.shape.dropout, self.training, self.place + place)


class Spread(nn.Module):
    """One state of the window, set out over the horizon beside what is known of each row."""

    def __init__(self, shape: ForecastShape) -> None:
        super().__init__()
        window = shape.window
        self.positions = nn.Parameter(torch.zeros(window.horizon, shape.width))
        self.embed_known = nn.Linear(window.known, shape.width, bias=False) if window.known else None
        self.over = nn.Linear(shape.width, shape.width)
        self.after = nn.Linear(shape.width, shape.width)

    def forward(self, state: Tensor, known: Tensor) -> Tensor:
        rows = self.over(state).unsqueeze(1) + self.positions  # (B, H, D)
        if self.embed_known is not None:
            rows = rows + self.embed_known(known)
        return F.gelu(self.after(F.gelu(rows)))


class LSTMBody(nn.Module):
    """Layers of LSTM over the rows; the last state is spread."""

    def __init__(self, shape: ForecastShape, draws: Draws) -> None:
        super().__init__()
        sizes = [shape.window.channels, *[shape.width] * (shape.depth - 1)]
        self.layers = nn.ModuleList(nn.LSTM(size, shape.width, batch_first=True) for size in sizes)
        self.spread = Spread(shape)
        self.shape, self.draws = shape, draws

    def forward(self, past: Tensor, known: Tensor) -> Tensor:
        x = past
        for place, layer in enumerate(self.layers):
            x = self.draws.dropout(layer(x)[0], self.shape.dropout, self.training, place)
        return self.spread(x[:, -1], known)  # type: ignore[no-any-return]


class PatchBody(nn.Module):
    """Patches of the window, attention among them, all of them read into one state that is spread."""

    def __init__(self, shape: ForecastShape, draws: Draws) -> None:
        super().__init__()
        window = shape.window
        self.patches = -(-window.context // shape.patch)
        self.embed = nn.Linear(shape.patch * window.channels, shape.width)
        self.positions = nn.Parameter(torch.zeros(self.patches, shape.width))
        self.blocks = nn.ModuleList(Block(shape, draws, 2 * place) for place in range(shape.depth))
        self.norm = nn.LayerNorm(shape.width)
        self.read = nn.Linear(self.patches * shape.width, shape.width)
        self.spread = Spread(shape)
        self.shape = shape

    def forward(self, past: Tensor, known: Tensor) -> Tensor:
        lacking = self.patches * self.shape.patch - past.size(1)
        x = F.pad(past, (0, 0, lacking, 0)).reshape(past.size(0), self.patches, -1)
        x = self.embed(x) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.spread(F.gelu(self.read(self.norm(x).flatten(1))), known)  # type: ignore[no-any-return]
