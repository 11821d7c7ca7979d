"""A model as one GGUF file, for llama.cpp and what builds on it; written in full precision and read back to be compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ropewalk.core.errors import DataError
from ropewalk.core.extras import extra_version
from ropewalk.models.configs import shape_of
from ropewalk.models.folder_module import read_weights
from ropewalk.models.shape import Shape

LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def write_gguf(folder: Path, place: Path) -> dict[str, float]:
    """Write a model's folder as a GGUF file; returns its size and the largest difference of a weight when it is read back."""
    extra_version("gguf", "gguf", "format gguf")
    import gguf

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    shape = shape_of(config)
    if isinstance(shape, str) or shape.family == "ropewalk":
        raise DataError(f"{folder}: GGUF has no architecture for {config.get('model_type')!r}", remedy="leave out the format gguf")
    writer = gguf.GGUFWriter(place, shape.family)
    _facts(writer, shape, config)
    _vocabulary(writer, folder, config)
    tensors = _tensors(gguf, shape, read_weights(folder))
    for name, values in tensors.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return {"gguf_bytes": place.stat().st_size, "gguf_max_difference": _compared(gguf, place, tensors)}


def _facts(writer: Any, shape: Shape, config: dict[str, Any]) -> None:
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.depth)
    writer.add_feed_forward_length(shape.mlp_width)
    writer.add_head_count(shape.heads)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(0)  # all fp32
    if shape.family == "gpt2":
        writer.add_layer_norm_eps(shape.norm_epsilon)
        return
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_width)
    writer.add_value_length(shape.head_width)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(shape.rope_theta)
    writer.add_layer_norm_rms_eps(shape.norm_epsilon)


def _vocabulary(writer: Any, folder: Path, config: dict[str, Any]) -> None:
    """Byte-level BPE only: tokens, their kinds, merges, control ids, chat template."""
    found = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    names = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    if found["model"]["type"] != "BPE":
        raise DataError(f"{folder}: a {found['model']['type']} tokenizer can't be written as GGUF yet", remedy="leave out the format gguf")
    added = {token["id"]: token for token in found.get("added_tokens", [])}
    texts = {number: text for text, number in found["model"]["vocab"].items()}
    texts |= {number: token["content"] for number, token in added.items()}
    size = config["vocab_size"]
    tokens = [texts.get(number, f"[PAD{number}]") for number in range(size)]
    kinds = [3 if number in added else 1 if number in texts else 5 for number in range(size)]  # control, normal, unused
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in found["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_rule(folder, found))
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    for role, add in (("bos", writer.add_bos_token_id), ("eos", writer.add_eos_token_id), ("pad", writer.add_pad_token_id)):
        if config.get(f"{role}_token_id") is not None:
            add(config[f"{role}_token_id"])
    writer.add_add_bos_token(True)
    if names.get("chat_template"):
        writer.add_chat_template(names["chat_template"])


def _rule(folder: Path, tokenizer: dict[str, Any]) -> str:
    """llama.cpp's name of the rule that cuts text into words: it has its own code for each, and another one would be silently wrong."""
    rule = tokenizer.get("pre_tokenizer") or {}
    parts = [part for part in rule.get("pretokenizers", [rule]) if part]
    match [part.get("type") for part in parts]:
        case ["ByteLevel"] if parts[0].get("use_regex", True) and not parts[0].get("add_prefix_space"):
            return "gpt-2"
        case ["Split", "ByteLevel"] if parts[0]["pattern"].get("Regex") == LLAMA3 and not parts[1].get("use_regex", True):
            return "llama-bpe"
    raise DataError(f"{folder}: llama.cpp has no name for how this tokenizer cuts text into words", remedy="leave out the format gguf")


def _tensors(gguf: Any, shape: Shape, weights: dict[str, Tensor]) -> dict[str, NDArray[np.float32]]:
    """By GGUF's names; llama's rotary rows in the interleaved order that its architecture has there."""
    kinds = {"gpt2": gguf.MODEL_ARCH.GPT2, "llama": gguf.MODEL_ARCH.LLAMA, "qwen3": gguf.MODEL_ARCH.QWEN3}
    names = gguf.get_tensor_name_map(kinds[shape.family], shape.depth)
    found = {}
    for name, tensor in weights.items():
        if name == "lm_head.weight" and shape.tied:
            continue
        place = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if place is None:
            raise DataError(f"GGUF has no name for {name}")
        values = tensor.float().numpy()
        if shape.family == "gpt2" and values.ndim == 2 and ".h." in name:
            values = values.T
        if shape.family == "llama" and name.endswith(("q_proj.weight", "k_proj.weight")):
            values = interleaved(values, shape.head_width)
        found[place] = np.ascontiguousarray(values)
    return found


def interleaved(values: NDArray[np.float32], head_width: int) -> NDArray[np.float32]:
    """Rows of each head from halves (first, second) to pairs, as llama.cpp rotates them."""
    return values.reshape(-1, 2, head_width // 2, values.shape[1]).swapaxes(1, 2).reshape(values.shape)


def _compared(gguf: Any, place: Path, tensors: dict[str, NDArray[np.float32]]) -> float:
    read = {tensor.name: tensor.data for tensor in gguf.GGUFReader(place).tensors}
    if set(read) != set(tensors):
        raise DataError(f"{place}: {sorted(set(read) ^ set(tensors))[:3]} are not the tensors that were written")
    return max(float(np.abs(read[name].reshape(values.shape) - values).max()) for name, values in tensors.items())
