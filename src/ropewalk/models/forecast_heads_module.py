"""Heads of forecasters: from the horizon's hidden states to a loss and to quantiles. All are sums in fp32 over rows and horizon."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from ropewalk.models.dropout_module import Draws
from ropewalk.models.forecaster import ForecastShape
from ropewalk.models.window_module import Block

MOST_WEIGHT = 10.0  # of the least noisy training draws: their error divided by the noise alone would drown all others


def normal_quantile(levels: Tensor) -> Tensor:
    """Quantiles of the standard normal distribution."""
    found: Tensor = torch.special.ndtri(levels)
    return found


class QuantileHead(nn.Module):
    """A number for each level, learned by the pinball loss; its mean over the levels, doubled, is the CRPS."""

    levels: Tensor

    def __init__(self, shape: ForecastShape) -> None:
        super().__init__()
        self.register_buffer("levels", torch.tensor(shape.levels), persistent=False)
        self.head = nn.Linear(shape.width, len(shape.levels))

    def begin(self) -> None:
        """As the normal distribution of the scaled target."""
        self.head.weight.zero_()
        self.head.bias.copy_(normal_quantile(self.levels))

    def loss_sum(self, states: Tensor, shift: Tensor, target: Tensor, keys: Tensor) -> Tensor:
        error = target.unsqueeze(2) - self._all(states, shift)  # (B, H, Q)
        return 2 * torch.maximum(self.levels * error, (self.levels - 1) * error).mean(2).sum()

    def quantiles(self, states: Tensor, shift: Tensor, levels: Tensor, keys: Tensor) -> Tensor:
        """Between two learned levels on the line that joins them in the normal distribution's units, beyond the last as that goes on."""
        found = self._all(states, shift).sort(2).values
        known, wanted = normal_quantile(self.levels), normal_quantile(levels)
        if len(known) == 1:
            return found + wanted - known
        upper = torch.searchsorted(known, wanted).clamp(1, len(known) - 1)
        share = (wanted - known[upper - 1]) / (known[upper] - known[upper - 1])
        return torch.lerp(found[:, :, upper - 1], found[:, :, upper], share)

    def _all(self, states: Tensor, shift: Tensor) -> Tensor:
        return self.head(states).float() + shift.unsqueeze(2)  # type: ignore[no-any-return]


class GaussianHead(nn.Module):
    """A mean and a spread for each row of the horizon, learned by likelihood."""

    def __init__(self, shape: ForecastShape) -> None:
        super().__init__()
        self.head = nn.Linear(shape.width, 2)

    def begin(self) -> None:
        self.head.weight.zero_()
        self.head.bias.zero_()

    def loss_sum(self, states: Tensor, shift: Tensor, target: Tensor, keys: Tensor) -> Tensor:
        mean, log_spread = self._both(states, shift)
        return (0.5 * ((target - mean) * torch.exp(-log_spread)).square() + log_spread + 0.5 * math.log(2 * math.pi)).sum()

    def quantiles(self, states: Tensor, shift: Tensor, levels: Tensor, keys: Tensor) -> Tensor:
        mean, log_spread = self._both(states, shift)
        return mean.unsqueeze(2) + torch.exp(log_spread).unsqueeze(2) * normal_quantile(levels)

    def _both(self, states: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_spread = self.head(states).float().unbind(2)
        return mean + shift, log_spread.clamp(-7, 7)


class DiffusionHead(nn.Module):
    """Tells what the highway misses, in units of its spread, from a mixture with noise x = (1 - t) r + t e, given state and t (adaLN).

    The highway and the spread are learned by likelihood beside it: without that unit, what is told was a tenth of the noise, and
    samples came out too close together. Sampling goes from t = 1 to 0 in few steps of second order (DPM-Solver++ 2M, Lu et al.
    2022): with plain ones samples of a normal target had 0.8 of its spread. A row's noise is named by its key, so that no batch
    size changes it.
    """

    def __init__(self, shape: ForecastShape, draws: Draws) -> None:
        super().__init__()
        self.shape = shape
        self.log_spread = nn.Parameter(torch.zeros(shape.window.horizon))
        self.embed = nn.Linear(1, shape.width)
        self.embed_time = nn.Linear(32, shape.width)
        self.blocks = nn.ModuleList(Block(shape, draws, 100 + 2 * place, conditioned=True) for place in range(shape.depth))
        self.norm = nn.LayerNorm(shape.width)
        self.head = nn.Linear(shape.width, 1)

    def begin(self) -> None:
        self.head.weight.zero_()
        self.head.bias.zero_()
        for block in self.blocks:
            assert isinstance(block, Block) and block.embed_condition is not None, "its blocks are conditioned"
            block.embed_condition.weight.zero_()

    def loss_sum(self, states: Tensor, shift: Tensor, target: Tensor, keys: Tensor) -> Tensor:
        missed = (target - shift) * torch.exp(-self.log_spread)
        likelihood = (0.5 * missed.square() + self.log_spread).sum()
        drawn = _noise(keys, 1, target.size(1) + 1, target.device)[:, 0]  # (B, H + 1)
        missed, noise = missed.detach(), drawn[:, 1:]
        time = torch.special.ndtr(drawn[:, :1]).clamp(min=1e-3)  # uniform
        told = self._told((1 - time) * missed + time * noise, time, states)
        total: Tensor = likelihood + ((told - missed).square() * time.reciprocal().square().clamp(max=MOST_WEIGHT)).sum()
        return total

    def quantiles(self, states: Tensor, shift: Tensor, levels: Tensor, keys: Tensor) -> Tensor:
        courses = self.courses(states, shift, keys)  # (B, S, H)
        return torch.quantile(courses, levels, dim=1).permute(1, 2, 0)

    def courses(self, states: Tensor, shift: Tensor, keys: Tensor) -> Tensor:
        """(B, S, H) samples of the horizon."""
        number, horizon = self.shape.samples, states.size(1)
        states = states.repeat_interleave(number, 0)
        x = _noise(keys, number, horizon, states.device).flatten(0, 1)  # (B * S, H)
        times = torch.linspace(1.0, 0.0, self.shape.sampling_steps + 1).square()
        marks, before, width = times.tolist(), None, math.inf
        for now, then in pairwise(marks):
            told = self._told(x, torch.full_like(x[:, :1], now), states)
            step = _log_ratio(then) - _log_ratio(now)
            bent = told if before is None or math.isinf(step + width) else torch.lerp(before, told, 1 + step / width / 2)
            x = bent + then / now * (x - bent)
            before, width = told, step
        return shift.unsqueeze(1) + torch.exp(self.log_spread) * x.view(-1, number, horizon)

    def _told(self, x: Tensor, time: Tensor, states: Tensor) -> Tensor:
        hidden = self.embed(x.unsqueeze(2)) + states
        waves = time * torch.logspace(0, 2, 16, device=x.device) * math.pi
        condition = self.embed_time(torch.cat([waves.sin(), waves.cos()], 1)) + states.mean(1)
        for block in self.blocks:
            hidden = block(hidden, condition)
        return self.head(self.norm(hidden)).squeeze(2).float()  # type: ignore[no-any-return]


def _log_ratio(time: float) -> float:
    """Of what is told to the noise."""
    return math.inf if time == 0 else -math.inf if time == 1 else math.log((1 - time) / time)


def _noise(keys: Tensor, samples: int, size: int, device: torch.device) -> Tensor:
    """(B, samples, size) normal draws, each row's from its own key; drawn on the CPU, for equal bits on every device."""
    generator = torch.Generator()
    drawn = torch.empty(len(keys), samples, size)
    for row, key in enumerate(keys.tolist()):
        drawn[row].normal_(generator=generator.manual_seed(key))
    return drawn.to(device)


def open_head(shape: ForecastShape, draws: Draws) -> QuantileHead | GaussianHead | DiffusionHead:
    """The head that a shape names."""
    if shape.head == "diffusion":
        return DiffusionHead(shape, draws)
    return QuantileHead(shape) if shape.head == "quantile" else GaussianHead(shape)
