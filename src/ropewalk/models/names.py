"""The decoder's weights by the names of GPT-2, Llama, Mistral, Qwen2 and Qwen3, and back; no name is guessed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ropewalk.models.shape import Shape

if TYPE_CHECKING:
    from torch import Tensor

_NORMS = {"norm1.weight": "input_layernorm.weight", "norm2.weight": "post_attention_layernorm.weight"}


def outward(shape: Shape, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The decoder's weights under their names in transformers; split and transposed as those want them."""
    if shape.family == "ropewalk":
        return dict(weights)
    result: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        result.update(_gpt2(name, tensor) if shape.family == "gpt2" else _llama(name, tensor, shape))
    return result


def _gpt2(name: str, tensor: Tensor) -> dict[str, Tensor]:
    outer = {
        "embed.weight": "transformer.wte.weight",
        "positions.weight": "transformer.wpe.weight",
        "norm.weight": "transformer.ln_f.weight",
        "norm.bias": "transformer.ln_f.bias",
        "head.weight": "lm_head.weight",
    }
    if name in outer:
        return {outer[name]: tensor}
    _, layer, part, *rest = name.split(".")
    inner = {"norm1": "ln_1", "norm2": "ln_2", "qkv": "attn.c_attn", "out": "attn.c_proj", "up": "mlp.c_fc", "down": "mlp.c_proj"}
    leaf = inner[part if part.startswith("norm") else rest[0]]
    return {f"transformer.h.{layer}.{leaf}.{rest[-1]}": tensor.T.contiguous() if tensor.dim() == 2 else tensor}


def _llama(name: str, tensor: Tensor, shape: Shape) -> dict[str, Tensor]:
    outer = {"embed.weight": "model.embed_tokens.weight", "norm.weight": "model.norm.weight", "head.weight": "lm_head.weight"}
    if name in outer:
        return {outer[name]: tensor}
    _, layer, rest = name.split(".", 2)
    head = f"model.layers.{layer}."
    if rest in _NORMS:
        return {head + _NORMS[rest]: tensor}
    kind = rest.rpartition(".")[2]
    if rest.startswith("attention.qkv."):
        sizes = [shape.heads * shape.head_width, shape.kv_heads * shape.head_width, shape.kv_heads * shape.head_width]
        pieces = tensor.split_with_sizes(sizes)
        return {f"{head}self_attn.{part}_proj.{kind}": piece.contiguous() for part, piece in zip("qkv", pieces, strict=True)}
    if rest.startswith("mlp.up."):
        return {f"{head}mlp.{part}_proj.{kind}": piece.contiguous() for part, piece in zip(("gate", "up"), tensor.chunk(2), strict=True)}
    same = {
        f"attention.out.{kind}": f"self_attn.o_proj.{kind}",
        "attention.q_norm.weight": "self_attn.q_norm.weight",
        "attention.k_norm.weight": "self_attn.k_norm.weight",
        f"mlp.down.{kind}": f"mlp.down_proj.{kind}",
    }
    return {head + same[rest]: tensor}


def inward(shape: Shape, own: dict[str, Tensor], found: Mapping[str, Tensor]) -> tuple[list[str], list[str]]:
    """Copy transformers' weights into the decoder's (`own`, changed in place); returns (missing names, unknown names)."""
    import torch

    wanted = {name: list(outward(shape, {name: tensor})) for name, tensor in own.items()}
    missing, used = [], set()
    with torch.no_grad():
        for name, sources in wanted.items():
            absent = [source for source in sources if source not in found]
            missing += absent
            if absent:
                continue
            used.update(sources)
            pieces = [found[source] for source in sources]
            if shape.family == "gpt2" and name.startswith("blocks.") and own[name].dim() == 2:
                pieces = [piece.T for piece in pieces]
            joined = torch.cat(pieces) if len(pieces) > 1 else pieces[0]
            if joined.shape != own[name].shape:
                missing.append(f"{sources[0]} of shape {list(own[name].shape)} (there it is {list(joined.shape)})")
            else:
                own[name].copy_(joined)
    return missing, sorted(set(found) - used)
