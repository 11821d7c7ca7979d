"""Any causal language model of transformers, from a folder: for architectures that our own decoder does not compute."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ropewalk.core.artifact import hash_file
from ropewalk.core.errors import DataError
from ropewalk.core.extras import extra_version
from ropewalk.models.architecture import Architecture
from ropewalk.models.shape import Shape

if TYPE_CHECKING:
    from ropewalk.models.gpt_module import Decoder


class HuggingFace(Architecture, type="huggingface"):
    """A transformers folder; slower than `gpt`, which reads GPT-2, Llama, Mistral, Qwen2 and Qwen3 folders by `init: path:FOLDER`."""

    folder: Path
    """Holds config.json, and model.safetensors where the weights are kept."""
    weights: Literal["kept", "new"] = "kept"
    """Go on with the folder's weights, or draw new ones for its config."""

    def fingerprint(self) -> Any:
        files = sorted([*self.folder.glob("config.json"), *(self.folder.glob("*.safetensors") if self.weights == "kept" else ())])
        return {"transformers": extra_version("transformers", "hf", "model huggingface"), **{path.name: hash_file(path) for path in files}}

    def shape(self) -> Shape:
        """What the config says by the names that most architectures share; parameters are estimated from it."""
        return rough_shape(read_config(self.folder))

    def build(self, vocab_size: int, seed: int) -> Decoder:
        from ropewalk.models.huggingface_module import build

        return build(self.folder, vocab_size, seed if self.weights == "new" else None)


def read_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder / 'config.json'}: can't be read: {error}") from None
    if not isinstance(config, dict):
        raise DataError(f"{folder / 'config.json'}: no object")
    return config


def rough_shape(config: dict[str, Any]) -> Shape:
    """Raises DataError for a config that doesn't tell depth, width, heads and context."""

    def first(*names: str) -> int:
        found = next((config[name] for name in names if isinstance(config.get(name), int)), None)
        if found is None:
            raise DataError(f"config.json of a {config.get('model_type')!r} says none of {', '.join(names)}")
        return int(found)

    width, heads = first("hidden_size", "n_embd", "d_model"), first("num_attention_heads", "n_head", "num_heads")
    inner = next((config[name] for name in ("intermediate_size", "ffn_dim", "n_inner") if config.get(name)), 4 * width)
    return Shape(
        depth=first("num_hidden_layers", "n_layer", "num_layers"),
        width=width,
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_width=config.get("head_dim") or width // heads,
        mlp_width=inner,
        context=first("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx"),
        norm="layer",
        position="rope",
        activation="gelu",
        qk_norm=False,
        bias=True,
        tied=bool(config.get("tie_word_embeddings")),
    )
