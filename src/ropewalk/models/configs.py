"""config.json of transformers for a shape, and the shape that one describes; what would compute otherwise is refused by name."""

from __future__ import annotations

from typing import Any

from ropewalk.models.shape import Shape

_OWN = (
    *("norm", "position", "activation", "qk_norm", "bias", "dropout"),
    *("qkv_bias", "out_bias", "window", "window_from", "rope_scaling"),
)
_LLAMA_LIKE = {"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}
KNOWN = "GPT-2, Llama, Mistral, Qwen2 and Qwen3"


def config_of(shape: Shape, vocab_size: int, special: dict[str, int | None]) -> dict[str, Any]:
    """config.json for a shape; `special` holds bos_token_id, eos_token_id and pad_token_id."""
    common: dict[str, Any] = {"vocab_size": vocab_size, "tie_word_embeddings": shape.tied, "torch_dtype": "float32", **special}
    family = shape.family
    if family == "gpt2":
        sizes = {"n_layer": shape.depth, "n_embd": shape.width, "n_head": shape.heads}
        sizes |= {"n_inner": shape.mlp_width, "n_positions": shape.context}
        drops = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
        rest = {"activation_function": "gelu_new", "layer_norm_epsilon": shape.norm_epsilon}
        return {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", **common, **sizes, **drops, **rest}
    common |= {
        "num_hidden_layers": shape.depth,
        "hidden_size": shape.width,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_width,
        "intermediate_size": shape.mlp_width,
        "max_position_embeddings": shape.context,
        "hidden_act": "silu",
        "rms_norm_eps": shape.norm_epsilon,
        "rope_theta": shape.rope_theta,
        "attention_bias": shape.bias or shape.out_bias,
        "rope_parameters": {"rope_theta": shape.rope_theta, **_rope(shape.rope_scaling)},
    }
    if shape.rope_scaling:
        common["rope_scaling"] = common["rope_parameters"]  # what transformers before 5 reads
    if family == "ropewalk":
        own = {name: getattr(shape, name) for name in _OWN}
        return {"architectures": ["RopewalkGPT"], "model_type": "ropewalk_gpt", **common, **own}
    rest = {}
    if family == "llama":
        rest = {"mlp_bias": shape.bias}
    elif family == "mistral":
        rest = {"sliding_window": shape.window}
    else:
        rest = {"use_sliding_window": bool(shape.window)}
        if shape.window:
            kinds = ["sliding_attention" if layer >= shape.window_from else "full_attention" for layer in range(shape.depth)]
            rest |= {"sliding_window": shape.window, "max_window_layers": shape.window_from, "layer_types": kinds}
    return {"architectures": [_LLAMA_LIKE[family]], "model_type": family, **common, **rest}


def _rope(scaling: tuple[float, ...]) -> dict[str, Any]:
    if not scaling:
        return {"rope_type": "default"}
    if len(scaling) == 1:
        return {"rope_type": "linear", "factor": scaling[0]}
    names = ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
    return {"rope_type": "llama3", **dict(zip(names, scaling, strict=True))}


class _Refused(Exception):
    """A config that is read, and describes something else than our decoder computes."""


def shape_of(config: dict[str, Any]) -> Shape | str:
    """The shape that a config.json describes, or what about it is not supported."""
    try:
        kind = config.get("model_type")
        if kind == "gpt2":
            return _gpt2(config)
        if kind in _LLAMA_LIKE or kind == "ropewalk_gpt":
            return _llama(config)
    except _Refused as error:
        return str(error)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        return f"a config.json with a faulty or missing {error}"
    return f"model_type {kind!r}"


def _gpt2(config: dict[str, Any]) -> Shape:
    if config.get("activation_function", "gelu_new") not in ("gelu_new", "gelu_pytorch_tanh"):
        raise _Refused(f"activation {config['activation_function']!r}")
    for name, usual in (("scale_attn_by_inverse_layer_idx", False), ("add_cross_attention", False), ("scale_attn_weights", True)):
        if config.get(name, usual) is not usual:
            raise _Refused(f"{name}: {config[name]}")
    width, heads = config["n_embd"], config["n_head"]
    mlp_width, context = config.get("n_inner") or 4 * width, config.get("n_positions", 1024)
    fixed: dict[str, Any] = {"norm": "layer", "position": "learned", "activation": "gelu", "qk_norm": False, "bias": True}
    fixed |= {"tied": bool(config.get("tie_word_embeddings", True)), "norm_epsilon": config.get("layer_norm_epsilon", 1e-5)}
    return Shape(int(config["n_layer"]), width, heads, heads, width // heads, mlp_width, context, **fixed)


def _llama(config: dict[str, Any]) -> Shape:
    kind = config["model_type"]
    if config.get("hidden_act", "silu") != "silu":
        raise _Refused(f"hidden_act {config['hidden_act']!r}")
    width, heads, depth = config["hidden_size"], config["num_attention_heads"], int(config["num_hidden_layers"])
    theta, scaling = _rotary(config)
    fields: dict[str, Any] = {"rope_scaling": scaling, **_biases(config, kind), **_window(config, kind, depth), "qk_norm": kind == "qwen3"}
    if kind == "ropewalk_gpt":
        fields = {name: config[name] for name in _OWN if name in config}  # those that it lacks came later, and are off
        fields["rope_scaling"] = tuple(fields.get("rope_scaling", ()))
    return Shape(
        depth=depth,
        width=width,
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_width=config.get("head_dim") or (128 if kind == "qwen3" else width // heads),
        mlp_width=int(config["intermediate_size"]),
        context=int(config["max_position_embeddings"]),
        tied=bool(config.get("tie_word_embeddings", False)),
        rope_theta=theta,
        norm_epsilon=config.get("rms_norm_eps", 1e-6),
        **fields,
    )


def _rotary(config: dict[str, Any]) -> tuple[float, tuple[float, ...]]:
    """(base, scaling)"""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if rope.get("partial_rotary_factor", config.get("partial_rotary_factor", 1.0)) != 1.0:
        raise _Refused("rotary positions on a part of each head")
    theta = float(rope.get("rope_theta") or config.get("rope_theta") or 10000.0)
    if kind == "default":
        return theta, ()
    if kind == "linear":
        return theta, (float(rope["factor"]),)
    if kind == "llama3":
        original = rope.get("original_max_position_embeddings") or config["max_position_embeddings"]
        return theta, (float(rope["factor"]), float(rope["low_freq_factor"]), float(rope["high_freq_factor"]), float(original))
    raise _Refused(f"rotary positions of type {kind!r}")


def _biases(config: dict[str, Any], kind: str) -> dict[str, bool]:
    attention, feed_forward = bool(config.get("attention_bias")), bool(config.get("mlp_bias"))
    if kind == "qwen2":
        return {"qkv_bias": True}
    if feed_forward and not attention:
        raise _Refused("biases in the feed-forward part alone (mlp_bias)")
    return {"bias": True} if feed_forward else {"qkv_bias": attention, "out_bias": attention}


def _window(config: dict[str, Any], kind: str, depth: int) -> dict[str, int]:
    """Sliding windows that begin at some layer and hold for all behind it."""
    size = int(config.get("sliding_window") or 0)
    kinds = config.get("layer_types")
    if kinds is None:
        slides = size > 0 if kind == "mistral" else bool(config.get("use_sliding_window")) and kind in ("qwen2", "qwen3")
        first = int(config.get("max_window_layers", 0)) if kind != "mistral" else 0
        return {"window": size, "window_from": first} if slides and first < depth else {}
    slid = [layer for layer, name in enumerate(kinds) if name == "sliding_attention"]
    if strange := set(kinds) - {"sliding_attention", "full_attention"}:
        raise _Refused(f"attention of type {min(strange)!r}")
    if not slid:
        return {}
    if not size:
        raise _Refused("a sliding window without a size")
    if slid != list(range(slid[0], depth)):
        raise _Refused("a sliding window in every few layers (layer_types)")
    return {"window": size, "window_from": slid[0]}
