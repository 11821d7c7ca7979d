"""BERT's encoder: its weights have the names that transformers gives them, so that a folder is read and written as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from ropewalk.models.encoder_shape import EncoderShape


class _Embeddings(nn.Module):
    def __init__(self, shape: EncoderShape, vocab_size: int) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(vocab_size, shape.width)
        self.position_embeddings = nn.Embedding(shape.context, shape.width)
        self.token_type_embeddings = nn.Embedding(shape.types, shape.width)
        self.LayerNorm = nn.LayerNorm(shape.width, eps=shape.norm_epsilon)

    def forward(self, tokens: Tensor, types: Tensor) -> Tensor:
        positions = torch.arange(tokens.size(1), device=tokens.device)
        found: Tensor = self.word_embeddings(tokens) + self.position_embeddings(positions) + self.token_type_embeddings(types)
        return self.LayerNorm(found)  # type: ignore[no-any-return]


class _Attention(nn.Module):
    """Heads over `inner` projections, added to what came in and normalised after; `self` is the name in the folder."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        width = shape.width
        self.heads = shape.heads
        self.self = nn.ModuleDict({name: nn.Linear(width, width) for name in ("query", "key", "value")})
        self.output = nn.ModuleDict({"dense": nn.Linear(width, width), "LayerNorm": nn.LayerNorm(width, eps=shape.norm_epsilon)})

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        batch, length, width = hidden.shape
        query, key, value = (
            self.self[name](hidden).view(batch, length, self.heads, width // self.heads).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        joined = self.output["dense"](seen.transpose(1, 2).reshape(batch, length, width))
        found: Tensor = self.output["LayerNorm"](joined + hidden)
        return found


class _Layer(nn.Module):
    """Attention and feed-forward part, each added and normalised after."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        width, norm = shape.width, shape.norm_epsilon
        self.activation = functional.gelu if shape.activation == "gelu" else functional.relu
        self.attention = _Attention(shape)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, shape.mlp_width)})
        self.output = nn.ModuleDict({"dense": nn.Linear(shape.mlp_width, width), "LayerNorm": nn.LayerNorm(width, eps=norm)})

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        hidden = self.attention(hidden, mask)
        grown = self.activation(self.intermediate["dense"](hidden))
        found: Tensor = self.output["LayerNorm"](self.output["dense"](grown) + hidden)
        return found


class Encoder(nn.Module):
    """Embeddings and layers; `embeddings.*` and `encoder.layer.N.*` are the names in the folder."""

    def __init__(self, shape: EncoderShape, vocab_size: int, seed: int | None = None) -> None:
        super().__init__()
        self.shape, self.vocab_size = shape, vocab_size
        self.embeddings = _Embeddings(shape, vocab_size)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(_Layer(shape) for _ in range(shape.depth))})
        if seed is not None:
            self._initialise(seed)

    def _initialise(self, seed: int) -> None:
        """Normal with a deviation of 0.02, biases zero: BERT's own."""
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if parameter.dim() == 2:
                    parameter.normal_(0.0, 0.02, generator=generator)
                elif name.endswith("bias"):
                    parameter.zero_()

    def forward(self, tokens: Tensor, kinds: Tensor) -> Tensor:
        """Hidden states (B, T, D); `kinds` (B, T) is 0 for padding, 1 for the first text and 2 for the second."""
        mask = kinds != 0
        types = (kinds == 2).long() if self.shape.types > 1 else torch.zeros_like(tokens)
        hidden = self.embeddings(tokens, types)
        seen = None if bool(mask.all()) else mask[:, None, None, :]
        for layer in self.layers():
            hidden = layer(hidden, seen)
        return hidden  # type: ignore[no-any-return]

    def layers(self) -> nn.ModuleList:
        """From the lowest to the highest."""
        return self.encoder["layer"]  # type: ignore[return-value]

    def embed(self, tokens: Tensor) -> Tensor:
        """Unit vectors (B, D) of texts of one length: the mean of all hidden states, as sentence-transformers has it."""
        hidden = self(tokens, torch.ones_like(tokens))
        return functional.normalize(hidden.mean(1), dim=-1)
