"""The decoder's module. Queries, keys and values come from one product, and so do the two halves of swiglu."""

from __future__ import annotations

from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ropewalk.core.seed import torch_generator
from ropewalk.models.cache_module import KeyValues
from ropewalk.models.dropout_module import Draws
from ropewalk.models.remade_module import remade
from ropewalk.models.rotary_module import frequencies
from ropewalk.models.shape import Shape

Cache = list[tuple[Tensor, Tensor]]


class RMSNorm(nn.Module):
    """x / rms(x) * weight (Zhang and Sennrich 2019)."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, (x.size(-1),), self.weight.to(x.dtype), self.epsilon)


def _norm(shape: Shape) -> nn.Module:
    if shape.norm == "rms":
        return RMSNorm(shape.width, shape.norm_epsilon)
    return nn.LayerNorm(shape.width, eps=shape.norm_epsilon)


class Attention(nn.Module):
    """Causal self-attention with grouped keys and values."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        inner = shape.heads * shape.head_width
        self.qkv = nn.Linear(shape.width, inner + 2 * shape.kv_heads * shape.head_width, bias=shape.bias or shape.qkv_bias)
        self.out = nn.Linear(inner, shape.width, bias=shape.bias or shape.out_bias)
        if shape.qk_norm:
            self.q_norm = RMSNorm(shape.head_width, shape.norm_epsilon)
            self.k_norm = RMSNorm(shape.head_width, shape.norm_epsilon)

    def forward(
        self, x: Tensor, rotary: tuple[Tensor, Tensor] | None, mask: Tensor | None, cache: Cache | KeyValues | None, layer: int
    ) -> Tensor:
        shape, (rows, length, _) = self.shape, x.shape
        sizes = [shape.heads * shape.head_width, shape.kv_heads * shape.head_width, shape.kv_heads * shape.head_width]
        query, key, value = (
            part.view(rows, length, -1, shape.head_width).transpose(1, 2) for part in self.qkv(x).split(sizes, -1)
        )  # (B, H, T, d)
        if shape.qk_norm:
            query, key = self.q_norm(query), self.k_norm(key)
        if rotary is not None:
            query, key = _rotate(query, *rotary), _rotate(key, *rotary)
        if isinstance(cache, KeyValues):
            key, value = cache.write(layer, key, value)
        elif cache is not None:
            if layer < len(cache):
                key, value = torch.cat([cache[layer][0], key], 2), torch.cat([cache[layer][1], value], 2)
                cache[layer] = (key, value)
            else:
                cache.append((key, value))
        repeats = shape.heads // shape.kv_heads
        if repeats > 1 and length == 1 and cache is not None:  # heads of a group as rows of one query: copies no keys
            query = query.reshape(rows, shape.kv_heads, repeats, shape.head_width)
            mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
            return self.out(mixed.reshape(rows, 1, -1))  # type: ignore[no-any-return]
        if repeats > 1:
            key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
        causal = mask is None and query.size(2) == key.size(2)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=causal)
        return self.out(mixed.transpose(1, 2).reshape(rows, length, -1))  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """gelu (tanh form, as GPT-2's) or swiglu (Shazeer 2020)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gated = shape.activation == "swiglu"
        self.up = nn.Linear(shape.width, shape.mlp_width * (2 if self.gated else 1), bias=shape.bias)
        self.down = nn.Linear(shape.mlp_width, shape.width, bias=shape.bias)

    def forward(self, x: Tensor, thrifty: bool) -> Tensor:
        """`thrifty` keeps what `up` gives for the way back, not also what the activation makes of it."""
        hidden = self.up(x)
        active = self.activation(hidden, thrifty)
        with remade(active, self.activation, hidden) if thrifty else nullcontext():
            return self.down(active)  # type: ignore[no-any-return]

    def activation(self, hidden: Tensor, thrifty: bool = False) -> Tensor:
        if not self.gated:
            return F.gelu(hidden, approximate="tanh")
        gate, hidden = hidden.chunk(2, -1)
        opened = F.silu(gate)
        with remade(opened, F.silu, gate) if thrifty else nullcontext():
            return opened * hidden


class Block(nn.Module):
    """Norm, attention, add; norm, feed-forward, add."""

    def __init__(self, shape: Shape, draws: Draws) -> None:
        super().__init__()
        self.norm1, self.attention = _norm(shape), Attention(shape)
        self.norm2, self.mlp = _norm(shape), FeedForward(shape)
        self.dropout, self.draws = shape.dropout, draws

    def forward(
        self,
        x: Tensor,
        rotary: tuple[Tensor, Tensor] | None,
        mask: Tensor | None,
        cache: Cache | KeyValues | None,
        layer: int,
        thrifty: bool,
    ) -> Tensor:
        drop, place = self.draws.dropout, 2 * layer + 1
        normal = self.norm1(x)
        with remade(normal, self.norm1, x) if thrifty else nullcontext():
            mixed = self.attention(normal, rotary, mask, cache, layer)
        x = x + drop(mixed, self.dropout, self.training, place)
        normal = self.norm2(x)
        with remade(normal, self.norm2, x) if thrifty else nullcontext():
            made = self.mlp(normal, thrifty)
        return x + drop(made, self.dropout, self.training, place + 1)


class Decoder(nn.Module):
    """Token ids to hidden states; logits are made where they are needed, by rows, from `head_weight`."""

    def __init__(self, shape: Shape, vocab_size: int, seed: int = 0) -> None:
        super().__init__()
        self.shape, self.vocab_size = shape, vocab_size
        self.checkpointing = False
        self.cosines: Tensor
        self.sines: Tensor
        self.embed = nn.Embedding(vocab_size, shape.width)
        if shape.position == "learned":
            self.positions = nn.Embedding(shape.context, shape.width)
        self.draws = Draws()
        self.windows = tuple(shape.window if layer >= shape.window_from else 0 for layer in range(shape.depth))
        self.blocks = nn.ModuleList(Block(shape, self.draws) for _ in range(shape.depth))
        self.norm = _norm(shape)
        if not shape.tied:
            self.head = nn.Linear(shape.width, vocab_size, bias=False)
        self.place_rotary()
        self._initialise(seed)

    def place_rotary(self) -> None:
        """The tables of rotary positions; they are no weights, and no file holds them."""
        if self.shape.position == "rope":
            angles = torch.outer(torch.arange(self.shape.context, dtype=torch.float32), frequencies(self.shape))
            self.register_buffer("cosines", angles.cos(), persistent=False)
            self.register_buffer("sines", angles.sin(), persistent=False)

    @property
    def head_weight(self) -> Tensor:
        """The output layer's weight (V, D); the embedding's own when tied."""
        return self.embed.weight if self.shape.tied else self.head.weight

    def _initialise(self, seed: int) -> None:
        """Inner products start at 1/sqrt(width), what writes to the residual stream at zero: each block begins as identity."""
        generator = torch_generator(seed, "weights")
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if parameter.dim() < 2:
                    parameter.fill_(0.0 if name.endswith("bias") else 1.0)
                elif name.endswith(("out.weight", "down.weight", "head.weight")):
                    parameter.zero_()
                elif name.endswith(("qkv.weight", "up.weight")):
                    parameter.normal_(std=self.shape.width**-0.5, generator=generator)
                else:
                    parameter.normal_(std=0.02, generator=generator)

    def forward(
        self,
        tokens: Tensor,
        positions: Tensor | None = None,
        documents: Tensor | None = None,
        cache: Cache | KeyValues | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Hidden states (B, T, D) of token ids (B, T).

        `positions` (B, T) count within a document, from 0 when left out; `documents` (B, T) are segment ids that
        attention never crosses. `cache` holds the keys and values of earlier tokens, and is extended. `mask` (B, 1, T, past + T)
        says in their place who looks at whom.
        """
        assert cache is None or documents is None, "a cache continues one document a row"
        past = max(cache.lengths) if isinstance(cache, KeyValues) else cache[0][0].size(2) if cache else 0
        length = tokens.size(1)
        assert mask is not None or past + length <= self.shape.context, (
            f"{past + length} tokens are more than the context of {self.shape.context}"
        )
        if isinstance(cache, KeyValues) and (past or not cache.even):
            positions = cache.positions(length, tokens.device)
        x = self.embed(tokens)
        rotary = None
        if self.shape.position == "learned":
            x = x + (self.positions.weight[past : past + length] if positions is None else self.positions(positions))
        elif positions is None:
            rotary = (self.cosines[past : past + length], self.sines[past : past + length])
        else:
            rotary = (self.cosines[positions].unsqueeze(1), self.sines[positions].unsqueeze(1))
        x = self.draws.dropout(x, self.shape.dropout, self.training, 0)
        masks = {
            window: self._mask(documents, length, past, cache, window, tokens.device) if mask is None else mask
            for window in set(self.windows)
        }
        for layer, (block, window) in enumerate(zip(self.blocks, self.windows, strict=True)):
            if self.checkpointing and self.training:
                x = checkpoint(block, x, rotary, masks[window], cache, layer, False, use_reentrant=False)
            else:
                x = block(x, rotary, masks[window], cache, layer, self.training)
        return self.norm(x)  # type: ignore[no-any-return]

    def _mask(
        self, documents: Tensor | None, length: int, past: int, cache: Cache | KeyValues | None, window: int, device: torch.device
    ) -> Tensor | None:
        if isinstance(cache, KeyValues):
            return cache.mask(cache.positions(length, device), window)
        return _mask(documents, length, past, window, device)

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores of every token for each hidden state."""
        return F.linear(hidden, self.head_weight)


def _rotate(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021), halves paired as in Llama."""
    first, second = x.chunk(2, -1)
    cosines, sines = cosines.to(x.dtype), sines.to(x.dtype)
    return torch.cat([first * cosines - second * sines, second * cosines + first * sines], -1)


def _mask(documents: Tensor | None, length: int, past: int, window: int, device: torch.device) -> Tensor | None:
    """(B, 1, T, T) of who may look at whom, at most `window` tokens back (0: all); None where causal order is all there is to say."""
    far = bool(window) and past + length > window
    if documents is None and not far and (past == 0 or length == 1):
        return None
    allowed = torch.ones(length, past + length, dtype=torch.bool, device=device).tril(past)
    if far:
        allowed = allowed.triu(past - window + 1)
    if documents is None:
        return allowed
    return ((documents[:, :, None] == documents[:, None, :]) & allowed).unsqueeze(1)
