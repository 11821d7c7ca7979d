"""A linear layer with a low-rank update beside it, put around any `nn.Linear`; the layer's own weights are never written.

A layer whose output is several of transformers' layers at once (queries, keys, values) has an update for each of those.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ropewalk.core.errors import DataError
from ropewalk.core.load import nearest
from ropewalk.core.seed import torch_generator
from ropewalk.models.gpt_module import Decoder
from ropewalk.models.huggingface_module import HuggingFaceDecoder
from ropewalk.models.names import outward

if TYPE_CHECKING:
    from ropewalk.models.lora import LoRA


@dataclass(frozen=True)
class Part:
    """Rows of a layer's output that are one layer in transformers: its short name here, its full name there."""

    name: str
    outside: str
    start: int
    stop: int


class AdaptedLinear(nn.Module):
    """base(x) + scale * B A x on the rows of each part; with magnitudes, DoRA's rescaled rows."""

    def __init__(self, base: nn.Linear, parts: list[Part], rank: int, scale: float, dropout: float, magnitude: bool) -> None:
        super().__init__()
        self.base, self.parts, self.scale, self.dropout = base, parts, scale, dropout
        self.enabled = True
        device = base.weight.device
        self.lora_A = nn.ParameterDict({part.name: torch.zeros(rank, base.in_features, device=device) for part in parts})
        self.lora_B = nn.ParameterDict({part.name: torch.zeros(part.stop - part.start, rank, device=device) for part in parts})
        weight = own_weight(base) if magnitude else None
        self.lora_magnitude = (
            None if weight is None else nn.ParameterDict({part.name: weight[part.start : part.stop].float().norm(dim=1) for part in parts})
        )

    def initialise(self, seed: int, name: str) -> None:
        """A as torch begins a linear layer, B zero."""
        with torch.no_grad():
            for part, matrix in self.lora_A.items():
                generator = torch_generator(seed, "adapter", name, part)
                reach = 1 / math.sqrt(matrix.size(1))
                matrix.copy_(torch.empty(matrix.shape).uniform_(-reach, reach, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.base(x)
        if not self.enabled:
            return result
        read = x if torch.is_autocast_enabled(x.device.type) else x.to(next(iter(self.lora_A.values())).dtype)
        if self.dropout and self.training:
            read = F.dropout(read, self.dropout)
        matrices = [self.lora_A[part.name] for part in self.parts]  # a ParameterDict's own order is the alphabet's
        low = F.linear(read, torch.cat(matrices))  # (..., parts * rank)
        ranks = [matrix.size(0) for matrix in matrices]
        pieces = [F.linear(part, self.lora_B[p.name]) for p, part in zip(self.parts, low.split_with_sizes(ranks, -1), strict=True)]
        update = self.scale * self._spread(pieces, result.size(-1))
        if self.lora_magnitude is None:
            return result + update.to(result.dtype)
        bias = self.base.bias
        plain = result if bias is None else result - bias
        scaled = self._factors() * (plain + update.to(result.dtype))
        return scaled if bias is None else scaled + bias

    def _spread(self, pieces: list[Tensor], size: int) -> Tensor:
        """The parts' outputs in their places, zeros between them."""
        at, found = 0, []
        for part, piece in zip(self.parts, pieces, strict=True):
            found += [piece.new_zeros(*piece.shape[:-1], part.start - at)] if part.start > at else []
            found.append(piece)
            at = part.stop
        found += [pieces[0].new_zeros(*pieces[0].shape[:-1], size - at)] if at < size else []
        return torch.cat(found, -1) if len(found) > 1 else found[0]

    def _factors(self) -> Tensor:
        """Magnitude over the length of each updated row; the length gives no gradient, as in the paper."""
        assert self.lora_magnitude is not None
        rows = self.base.out_features
        with torch.no_grad():
            lengths = (own_weight(self.base).float() + self.delta()).norm(dim=1)
        factors = [self.lora_magnitude[part.name] / lengths[part.start : part.stop] for part in self.parts]
        return 1 + self._spread([factor - 1 for factor in factors], rows)

    def delta(self) -> Tensor:
        """scale * B A of all rows."""
        pieces = [(self.lora_B[part.name] @ self.lora_A[part.name]).T for part in self.parts]
        return self.scale * self._spread(pieces, self.base.out_features).T

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """A plain layer of the same outputs; a quantised base is first put back into full precision."""
        weight = own_weight(self.base).float() + self.delta()
        if self.lora_magnitude is not None:
            weight = self._factors().unsqueeze(1) * weight
        layer = nn.Linear(self.base.in_features, self.base.out_features, bias=self.base.bias is not None, device=weight.device)
        layer.weight.copy_(weight)
        if self.base.bias is not None:
            layer.bias.copy_(self.base.bias)
        return layer


def own_weight(layer: nn.Linear) -> Tensor:
    """The layer's weight in full precision; of a quantised one, what it stands for."""
    state = getattr(layer.weight, "quant_state", None)
    if state is None:
        return layer.weight.detach()
    from bitsandbytes.functional import dequantize_4bit

    found: Tensor = dequantize_4bit(layer.weight.data, state)
    return found


def parts_of(module: nn.Module, name: str, layer: nn.Linear) -> list[Part]:
    """What a layer is in transformers; for a module that is no decoder of ours, itself."""
    if not isinstance(module, Decoder):
        own = name.removeprefix("model.") if isinstance(module, HuggingFaceDecoder) else name
        return [Part("own", own, 0, layer.out_features)]
    sizes = torch.empty(layer.out_features, layer.in_features, device="meta")
    found, at = [], 0
    for outside, tensor in outward(module.shape, {f"{name}.weight": sizes}).items():
        rows = tensor.size(1) if module.shape.family == "gpt2" else tensor.size(0)
        path = outside.removesuffix(".weight")
        found.append(Part(path.rpartition(".")[2], path, at, at + rows))
        at += rows
    return found


def linear_layers(module: nn.Module) -> list[tuple[str, nn.Linear]]:
    """The layers that an adapter may change: those of a decoder's blocks; of another module all but its output layer."""
    found = [(name, layer) for name, layer in module.named_modules() if isinstance(layer, nn.Linear)]
    return [(name, layer) for name, layer in found if not name.rpartition(".")[2].endswith("head")]


def wanted(part: Part, name: str, targets: list[str] | str) -> bool:
    """Whether the rule names the part: a group of our own names, or the end of a path in transformers."""
    if isinstance(targets, str):
        return targets == "all" or f".{targets}." in f".{name}." or (targets == "attention" and "attn" in name)
    return any(part.outside == target or part.outside.endswith(f".{target}") for target in targets)


def attach_lora(module: nn.Module, config: LoRA, seed: int) -> None:
    """Freeze the module and adapt its targets; raises DataError for a target that names nothing, or when nothing is trained."""
    layers = linear_layers(module)
    known = {name: parts_of(module, name, layer) for name, layer in layers}
    if isinstance(config.targets, list):
        endings = sorted({part.outside.rpartition(".")[2] for parts in known.values() for part in parts})
        for target in config.targets:
            if not any(wanted(part, name, [target]) for name, parts in known.items() for part in parts):
                raise DataError(
                    f"adapter.targets: the model has no layer {target!r} ({nearest(target, endings)}; has {', '.join(endings)})"
                )
    module.requires_grad_(False)
    if config.quantise is not None:
        from ropewalk.models.quantise_module import quantised

        layers = [(name, quantised(module, name, layer)) for name, layer in layers]
    for name, layer in layers:
        parts = [part for part in known[name] if wanted(part, name, config.targets)]
        if parts:
            adapted = AdaptedLinear(layer, parts, config.rank, config.scale, config.dropout, config.magnitude)
            adapted.initialise(seed, name)
            replace_layer(module, name, adapted)
    if not has_adapters(module):
        raise DataError("the adapter has no trainable parameter: no layer fits adapter.targets", remedy="set targets: all")


def replace_layer(module: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(module.get_submodule(parent), leaf, layer)


def adapted_layers(module: nn.Module) -> list[tuple[str, AdaptedLinear]]:
    return [(name, layer) for name, layer in module.named_modules() if isinstance(layer, AdaptedLinear)]


def has_adapters(module: nn.Module) -> bool:
    return bool(adapted_layers(module))


@contextmanager
def without_adapters(module: nn.Module) -> Iterator[None]:
    """The module as it was before it was adapted."""
    layers = [layer for _, layer in adapted_layers(module)]
    for layer in layers:
        layer.enabled = False
    try:
        yield
    finally:
        for layer in layers:
            layer.enabled = True


def merge_adapters(module: nn.Module) -> None:
    """Put plain layers of the same outputs in place of the adapted ones."""
    for name, layer in adapted_layers(module):
        replace_layer(module, name, layer.merged())
    module.requires_grad_(True)


def without_dropout(module: nn.Module) -> None:
    """No draws in the model or its adapters: a difference of two log-probabilities would be mostly their noise."""
    for block in module.blocks if isinstance(module, Decoder) else ():
        block.dropout = 0.0  # type: ignore[assignment]
    for layer in module.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
        elif isinstance(layer, AdaptedLinear):
            layer.dropout = 0.0
        elif isinstance(getattr(layer, "attention_dropout", None), float):  # transformers' attention layers
            layer.attention_dropout = 0.0  # type: ignore[assignment]
