"""Heads over an encoder or over features, and the module that the trainer trains: an encoder where the rows are tokens, and a head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ropewalk.models.encoder_shape import EncoderShape

if TYPE_CHECKING:
    from ropewalk.models.encoder_module import Encoder


class FeatureHead(nn.Module):
    """A score for each place from its features, of which the first ones are brought to one scale; zero before training."""

    mean: Tensor
    scale: Tensor

    def __init__(self, features: int, mean: Tensor | None = None, scale: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features) if mean is None else mean)
        self.register_buffer("scale", torch.ones(features) if scale is None else scale)
        self.head = nn.Linear(features, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def scaled(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.scale

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, F) to (B, C)."""
        return self.head(self.scaled(features)).squeeze(-1)  # type: ignore[no-any-return]


class PairHead(nn.Module):
    """Logits of A, B and tie from the features of both answers; swapping the answers swaps A and B to the last bit.

    A and B come from the features' difference, whose sign alone turns; the tie from its size and from the sum, which stay.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, features: int, davidson: bool, mean: Tensor | None = None, scale: Tensor | None = None) -> None:
        super().__init__()
        self.davidson = davidson
        self.register_buffer("mean", torch.zeros(features) if mean is None else mean)
        self.register_buffer("scale", torch.ones(features) if scale is None else scale)
        self.head = nn.Linear(features, 1, bias=False)
        self.tie_head = nn.Linear(2 * features, 1)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)
        self.tie_head.weight.requires_grad_(not davidson)

    def forward(self, features: Tensor) -> Tensor:
        """(B, 2, F) to (B, 3)."""
        first, second = ((features - self.mean) / self.scale).unbind(1)
        gap = first - second
        strength = self.head(gap)  # (B, 1)
        kept = torch.cat([gap.abs(), (first + second) / 2], -1)
        tie = self.tie_head.bias.expand_as(strength) if self.davidson else self.tie_head(kept)
        return torch.cat([strength, -strength, tie], -1)


class SpanHead(nn.Module):
    """Logits that a token begins or ends an answer; BERT's initialisation."""

    def __init__(self, width: int, seed: int = 0) -> None:
        super().__init__()
        self.head = nn.Linear(width, 2)
        with torch.no_grad():
            self.head.weight.normal_(0.0, 0.02, generator=torch.Generator().manual_seed(seed))
            self.head.bias.zero_()

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, T, D) to (B, T, 2)."""
        return self.head(hidden)  # type: ignore[no-any-return]


class Headed(nn.Module):
    """What a head's task trains; `encoder` is None where the rows are features that were made with it."""

    checkpointing = False

    def __init__(self, head: nn.Module, encoder: Encoder | None, kind: str, spec: Mapping[str, Any]) -> None:
        super().__init__()
        self.head, self.encoder, self.kind, self.spec = head, encoder, kind, dict(spec)
        self.shape = encoder.shape if encoder is not None else EncoderShape(0, 0, 1, 0, context=2**31)

    def forward(self, tokens: Tensor, kinds: Tensor, features: Tensor) -> Tensor:
        """The head's logits for a batch of rows."""
        if self.encoder is None:
            found: Tensor = self.head(features)
            return found
        return self.head(self.encoder(tokens, kinds))  # type: ignore[no-any-return]

    def freeze(self, layers: int) -> None:
        """Leave the embeddings and the lowest layers as they are; 0 trains all."""
        if self.encoder is None or not layers:
            return
        for module in (self.encoder.embeddings, *self.encoder.layers()[:layers]):
            module.requires_grad_(False)


def choice_nll(logits: Tensor, targets: Tensor) -> Tensor:
    """Sum over rows of -log softmax(logits (B, 3))[targets (B,)]."""
    return functional.cross_entropy(logits.float(), targets, reduction="sum")
