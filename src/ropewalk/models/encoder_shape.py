"""The dimensions of an encoder, and what of a config.json they are read from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class EncoderShape:
    """BERT's dimensions."""

    depth: int
    width: int
    heads: int
    mlp_width: int
    context: int
    types: int = 2
    norm_epsilon: float = 1e-12
    activation: Literal["gelu", "relu"] = "gelu"
    dropout: float = 0.0
    """None: windows are trained for a few epochs, and rows of features don't pass the encoder."""


def encoder_shape(config: Mapping[str, Any]) -> EncoderShape | str:
    """The shape that a config.json of model_type bert describes, or what about it is not supported."""
    if config.get("hidden_act", "gelu") not in ("gelu", "relu"):
        return f"hidden_act {config['hidden_act']!r}"
    if config.get("position_embedding_type", "absolute") != "absolute":
        return f"position_embedding_type {config['position_embedding_type']!r}"
    if config.get("is_decoder"):
        return "a BERT that is a decoder"
    try:
        return EncoderShape(
            depth=int(config["num_hidden_layers"]),
            width=int(config["hidden_size"]),
            heads=int(config["num_attention_heads"]),
            mlp_width=int(config["intermediate_size"]),
            context=int(config["max_position_embeddings"]),
            types=int(config.get("type_vocab_size", 2)),
            norm_epsilon=float(config.get("layer_norm_eps", 1e-12)),
            activation=config.get("hidden_act", "gelu"),
        )
    except (KeyError, TypeError, ValueError) as error:
        return f"a config.json with a faulty or missing {error}"
