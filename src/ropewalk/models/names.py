"""The decoder's weights by the names of GPT-2, Llama and Qwen3, and back; no name is guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ropewalk.models.shape import Shape

if TYPE_CHECKING:
    from torch import Tensor

_NORMS = {"norm1.weight": "input_layernorm.weight", "norm2.weight": "post_attention_layernorm.weight"}


def config_of(shape: Shape, vocab_size: int, special: dict[str, int | None]) -> dict[str, Any]:
    """config.json for a shape; `special` holds bos_token_id, eos_token_id and pad_token_id."""
    common: dict[str, Any] = {"vocab_size": vocab_size, "tie_word_embeddings": shape.tied, "torch_dtype": "float32", **special}
    if shape.family == "gpt2":
        sizes = {"n_layer": shape.depth, "n_embd": shape.width, "n_head": shape.heads}
        sizes |= {"n_inner": shape.mlp_width, "n_positions": shape.context}
        drops = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
        rest = {"activation_function": "gelu_new", "layer_norm_epsilon": shape.norm_epsilon}
        return {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", **common, **sizes, **drops, **rest}
    sizes = {
        "num_hidden_layers": shape.depth,
        "hidden_size": shape.width,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_width,
        "intermediate_size": shape.mlp_width,
        "max_position_embeddings": shape.context,
    }
    rest = {"hidden_act": "silu", "rms_norm_eps": shape.norm_epsilon, "rope_theta": shape.rope_theta, "attention_bias": False}
    rope = {"rope_parameters": {"rope_type": "default", "rope_theta": shape.rope_theta}}
    if shape.family == "llama":
        return {"architectures": ["LlamaForCausalLM"], "model_type": "llama", **common, **sizes, **rest, **rope, "mlp_bias": False}
    if shape.family == "qwen3":
        return {
            "architectures": ["Qwen3ForCausalLM"],
            "model_type": "qwen3",
            **common,
            **sizes,
            **rest,
            **rope,
            "use_sliding_window": False,
        }
    own = {name: getattr(shape, name) for name in ("norm", "position", "activation", "qk_norm", "bias", "dropout")}
    return {"architectures": ["RopewalkGPT"], "model_type": "ropewalk_gpt", **common, **sizes, **rest, **own}


def shape_of(config: dict[str, Any]) -> Shape | str:
    """The shape that a config.json describes, or what about it is not supported."""
    try:
        return _shape_of(config)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        return f"a config.json with a faulty or missing {error}"


def _shape_of(config: dict[str, Any]) -> Shape | str:
    kind = config.get("model_type")
    tied = bool(config.get("tie_word_embeddings", kind == "gpt2"))
    if kind == "gpt2":
        if config.get("activation_function", "gelu_new") not in ("gelu_new", "gelu_pytorch_tanh"):
            return f"activation {config['activation_function']!r}"
        for name, usual in (("scale_attn_by_inverse_layer_idx", False), ("add_cross_attention", False), ("scale_attn_weights", True)):
            if config.get(name, usual) is not usual:
                return f"{name}: {config[name]}"
        width, heads = config["n_embd"], config["n_head"]
        mlp_width, context = config.get("n_inner") or 4 * width, config.get("n_positions", 1024)
        fixed: dict[str, Any] = {"norm": "layer", "position": "learned", "activation": "gelu", "qk_norm": False, "bias": True, "tied": tied}
        epsilon = config.get("layer_norm_epsilon", 1e-5)
        return Shape(int(config["n_layer"]), width, heads, heads, width // heads, mlp_width, context, norm_epsilon=epsilon, **fixed)
    if kind not in ("llama", "qwen3", "ropewalk_gpt"):
        return f"model_type {kind!r}"
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    scaled = rope.get("rope_type", rope.get("type", "default"))
    if scaled != "default" or rope.get("partial_rotary_factor", config.get("partial_rotary_factor", 1.0)) != 1.0:
        return f"rotary positions of type {scaled!r} or on a part of each head"
    slides = config.get("use_sliding_window") or "sliding_attention" in (config.get("layer_types") or [])
    if config.get("attention_bias") or config.get("mlp_bias") or slides:
        return "biases or a sliding window"
    if config.get("hidden_act", "silu") != "silu":
        return f"hidden_act {config['hidden_act']!r}"
    width, heads = config["hidden_size"], config["num_attention_heads"]
    own = {name: config[name] for name in ("norm", "position", "activation", "qk_norm", "bias", "dropout") if kind == "ropewalk_gpt"}
    return Shape(
        depth=int(config["num_hidden_layers"]),
        width=width,
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_width=config.get("head_dim") or (128 if kind == "qwen3" else width // heads),
        mlp_width=int(config["intermediate_size"]),
        context=int(config["max_position_embeddings"]),
        tied=tied,
        rope_theta=float(rope.get("rope_theta") or config.get("rope_theta") or 10000.0),
        norm_epsilon=config.get("rms_norm_eps", 1e-6),
        **{"qk_norm": kind == "qwen3", **own},
    )


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
    if rest == "attention.qkv.weight":
        sizes = [shape.heads * shape.head_width, shape.kv_heads * shape.head_width, shape.kv_heads * shape.head_width]
        pieces = tensor.split_with_sizes(sizes)
        return {f"{head}self_attn.{part}_proj.weight": piece.contiguous() for part, piece in zip("qkv", pieces, strict=True)}
    if rest == "mlp.up.weight":
        return {f"{head}mlp.{part}_proj.weight": piece.contiguous() for part, piece in zip(("gate", "up"), tensor.chunk(2), strict=True)}
    same = {
        "attention.out.weight": "self_attn.o_proj.weight",
        "attention.q_norm.weight": "self_attn.q_norm.weight",
        "attention.k_norm.weight": "self_attn.k_norm.weight",
        "mlp.down.weight": "mlp.down_proj.weight",
    }
    return {head + same[rest]: tensor}


def inward(shape: Shape, own: dict[str, Tensor], found: dict[str, Tensor]) -> tuple[list[str], list[str]]:
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
