"""The decoder's module. Queries, keys and values come from one product, and so do the two halves of swiglu."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ropewalk.core.seed import torch_generator
from ropewalk.models.dropout_module import Draws
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
        self.qkv = nn.Linear(shape.width, inner + 2 * shape.kv_heads * shape.head_width, bias=shape.bias)
        self.out = nn.Linear(inner, shape.width, bias=shape.bias)
        if shape.qk_norm:
            self.q_norm = RMSNorm(shape.head_width, shape.norm_epsilon)
            self.k_norm = RMSNorm(shape.head_width, shape.norm_epsilon)

    def forward(self, x: Tensor, rotary: tuple[Tensor, Tensor] | None, mask: Tensor | None, cache: Cache | None, layer: int) -> Tensor:
        shape, (rows, length, _) = self.shape, x.shape
        sizes = [shape.heads * shape.head_width, shape.kv_heads * shape.head_width, shape.kv_heads * shape.head_width]
        query, key, value = (
            part.view(rows, length, -1, shape.head_width).transpose(1, 2) for part in self.qkv(x).split(sizes, -1)
        )  # (B, H, T, d)
        if shape.qk_norm:
            query, key = self.q_norm(query), self.k_norm(key)
        if rotary is not None:
            query, key = _rotate(query, *rotary), _rotate(key, *rotary)
        if cache is not None:
            if layer < len(cache):
                key, value = torch.cat([cache[layer][0], key], 2), torch.cat([cache[layer][1], value], 2)
                cache[layer] = (key, value)
            else:
                cache.append((key, value))
        if shape.kv_heads != shape.heads:
            repeats = shape.heads // shape.kv_heads
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

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.up(x)
        if self.gated:
            gate, hidden = hidden.chunk(2, -1)
            hidden = F.silu(gate) * hidden
        else:
            hidden = F.gelu(hidden, approximate="tanh")
        return self.down(hidden)  # type: ignore[no-any-return]


class Block(nn.Module):
    """Norm, attention, add; norm, feed-forward, add."""

    def __init__(self, shape: Shape, draws: Draws) -> None:
        super().__init__()
        self.norm1, self.attention = _norm(shape), Attention(shape)
        self.norm2, self.mlp = _norm(shape), FeedForward(shape)
        self.dropout, self.draws = shape.dropout, draws

    def forward(self, x: Tensor, rotary: tuple[Tensor, Tensor] | None, mask: Tensor | None, cache: Cache | None, layer: int) -> Tensor:
        drop, place = self.draws.dropout, 2 * layer + 1
        x = x + drop(self.attention(self.norm1(x), rotary, mask, cache, layer), self.dropout, self.training, place)
        return x + drop(self.mlp(self.norm2(x)), self.dropout, self.training, place + 1)


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
        self.blocks = nn.ModuleList(Block(shape, self.draws) for _ in range(shape.depth))
        self.norm = _norm(shape)
        if not shape.tied:
            self.head = nn.Linear(shape.width, vocab_size, bias=False)
        if shape.position == "rope":
            half = torch.arange(0, shape.head_width, 2, dtype=torch.float32) / shape.head_width
            angles = torch.outer(torch.arange(shape.context, dtype=torch.float32), 1.0 / shape.rope_theta**half)
            self.register_buffer("cosines", angles.cos(), persistent=False)
            self.register_buffer("sines", angles.sin(), persistent=False)
        self._initialise(seed)

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
        cache: Cache | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Hidden states (B, T, D) of token ids (B, T).

        `positions` (B, T) count within a document, from 0 when left out; `documents` (B, T) are segment ids that
        attention never crosses. `cache` holds the keys and values of earlier tokens, and is extended. `mask` (B, 1, T, past + T)
        says in their place who looks at whom.
        """
        assert cache is None or documents is None, "a cache continues one document a row"
        past = cache[0][0].size(2) if cache else 0
        length = tokens.size(1)
        assert mask is not None or past + length <= self.shape.context, (
            f"{past + length} tokens are more than the context of {self.shape.context}"
        )
        x = self.embed(tokens)
        rotary = None
        if self.shape.position == "learned":
            x = x + (self.positions.weight[past : past + length] if positions is None else self.positions(positions))
        elif positions is None:
            rotary = (self.cosines[past : past + length], self.sines[past : past + length])
        else:
            rotary = (self.cosines[positions].unsqueeze(1), self.sines[positions].unsqueeze(1))
        x = self.draws.dropout(x, self.shape.dropout, self.training, 0)
        if mask is None:
            mask = _mask(documents, length, past, tokens.device)
        for layer, block in enumerate(self.blocks):
            if self.checkpointing and self.training:
                x = checkpoint(block, x, rotary, mask, cache, layer, use_reentrant=False)
            else:
                x = block(x, rotary, mask, cache, layer)
        return self.norm(x)  # type: ignore[no-any-return]

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores of every token for each hidden state."""
        return F.linear(hidden, self.head_weight)


def _rotate(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021), halves paired as in Llama."""
    first, second = x.chunk(2, -1)
    cosines, sines = cosines.to(x.dtype), sines.to(x.dtype)
    return torch.cat([first * cosines - second * sines, second * cosines + first * sines], -1)


def _mask(documents: Tensor | None, length: int, past: int, device: torch.device) -> Tensor | None:
    """(B, 1, T, T) of who may look at whom; None where causal order is all there is to say."""
    if documents is None:
        if past == 0 or length == 1:
            return None
        return torch.ones(length, past + length, dtype=torch.bool, device=device).tril(past)
    causal = torch.ones(length, length, dtype=torch.bool, device=device).tril()
    return ((documents[:, :, None] == documents[:, None, :]) & causal).unsqueeze(1)
