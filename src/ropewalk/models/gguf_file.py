"""GGUF files as Hugging Face folders: config.json and the tokenizer are made from the file's facts, weights are read when wanted.

The folder stands in the store under the file's hash, with a link to the file. What we don't compute is refused by name.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ropewalk.core.artifact import beside, hash_file
from ropewalk.core.errors import DataError, MissingExtra
from ropewalk.models.gguf_tokenizer import write_tokenizer

if TYPE_CHECKING:
    from gguf import GGUFReader

LINK, TENSORS = "model.gguf", "tensors.json"
_ARCHITECTURES = {"llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
_SIZES = {
    "num_hidden_layers": "block_count",
    "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length",
    "max_position_embeddings": "context_length",
    "num_attention_heads": "attention.head_count",
    "rms_norm_eps": "attention.layer_norm_rms_epsilon",
}
LLAMA3_SCALINGS = ((8.0, 1.0, 4.0, 8192.0), (32.0, 1.0, 4.0, 8192.0))
"""Of Llama 3.1 and 3.2: a file holds only the frequencies that they give."""


def open_gguf(path: Path) -> GGUFReader:
    """Raises MissingExtra without the gguf package, DataError for a file that it can't read."""
    try:
        from gguf import GGUFReader
    except ImportError:
        raise MissingExtra(f"{path}: GGUF files need the package gguf", remedy="pip install 'ropewalk[gguf]'") from None
    try:
        return GGUFReader(path)
    except Exception as error:  # the library raises what its parsing meets
        raise DataError(f"{path}: not a GGUF file, or a damaged one: {error}") from None


def folder_of(path: Path, root: Path) -> Path:
    """The folder below `root` that stands for the file; made when it is not there yet."""
    if not path.is_file():
        raise DataError(f"{path}: no such file", remedy="name a GGUF file behind gguf:")
    place = root / hash_file(path).partition(":")[2]
    if not (place / "config.json").is_file():
        reader = open_gguf(path)
        facts = dict(reader.fields)
        with beside(place) as folder:
            config = _config(path, facts, {tensor.name: tuple(int(n) for n in tensor.shape) for tensor in reader.tensors}, reader)
            special = write_tokenizer(path, facts, folder)
            (folder / TENSORS).write_text(json.dumps(_tensors(reader), indent=1) + "\n", encoding="utf-8")
            (folder / "config.json").write_text(json.dumps(config | special, indent=2, sort_keys=True) + "\n", encoding="utf-8")
            os.rename(folder, place)
    link = place / LINK
    if not (link.exists() and link.samefile(path)):
        link.unlink(missing_ok=True)
        try:
            link.symlink_to(path.resolve())
        except OSError:
            shutil.copyfile(path, link)
    return place


def _tensors(reader: GGUFReader) -> dict[str, dict[str, Any]]:
    """Where each tensor's bytes are: reading the file's facts again would take longer than reading its weights."""
    return {
        tensor.name: {
            "type": int(tensor.tensor_type),
            "shape": [int(size) for size in reversed(tensor.shape)],
            "offset": int(tensor.data_offset),
            "bytes": int(tensor.n_bytes),
        }
        for tensor in reader.tensors
    }


def _config(path: Path, facts: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], reader: GGUFReader) -> dict[str, Any]:
    def fact(name: str, default: Any = None) -> Any:
        return facts[name].contents() if name in facts else default

    kind = fact("general.architecture", "none")
    if kind not in _ARCHITECTURES:
        raise DataError(f"{path}: architecture {kind!r} is not supported", remedy=f"GGUF files of {', '.join(_ARCHITECTURES)} are")
    missing = [f"{kind}.{name}" for name in _SIZES.values() if f"{kind}.{name}" not in facts]
    if missing or "token_embd.weight" not in shapes:
        raise DataError(f"{path}: says nothing of {(missing or ['token_embd.weight'])[0]}")
    config: dict[str, Any] = {name: fact(f"{kind}.{said}") for name, said in _SIZES.items()}
    heads = config["num_attention_heads"]
    if isinstance(heads, list):
        raise DataError(f"{path}: numbers of heads that differ between layers are not supported")
    if fact(f"{kind}.expert_count", 0):
        raise DataError(f"{path}: mixtures of experts are not supported")
    width = int(fact(f"{kind}.attention.key_length", 0) or config["hidden_size"] // heads)
    turned = int(fact(f"{kind}.rope.dimension_count", width))
    if turned != width:
        raise DataError(f"{path}: rotary positions on {turned} of {width} dimensions of a head are not supported")
    theta = float(fact(f"{kind}.rope.freq_base", 10000.0))
    window = int(fact(f"{kind}.attention.sliding_window", 0) or 0)
    return {
        **config,
        "model_type": "mistral" if kind == "llama" and window else _ARCHITECTURES[kind],
        "num_key_value_heads": fact(f"{kind}.attention.head_count_kv", heads),
        "head_dim": width,
        "vocab_size": shapes["token_embd.weight"][-1],
        "tie_word_embeddings": "output.weight" not in shapes,
        "attention_bias": kind == "llama" and "blk.0.attn_q.bias" in shapes,
        "rope_theta": theta,
        "rope_parameters": {"rope_theta": theta, **_scaling(path, kind, fact, reader, width, theta)},
        **({"sliding_window": window, "use_sliding_window": True, "max_window_layers": 0} if window else {}),
    }


def _scaling(path: Path, kind: str, fact: Any, reader: GGUFReader, width: int, theta: float) -> dict[str, Any]:
    """Divided frequencies are said by a factor, or by a tensor of factors that must be those of Llama 3's rule."""
    said = fact(f"{kind}.rope.scaling.type", "none")
    if said == "linear":
        return {"rope_type": "linear", "factor": float(fact(f"{kind}.rope.scaling.factor", 1.0))}
    if said != "none":
        raise DataError(f"{path}: rotary positions of type {said!r} are not supported")
    factors = next((tensor.data for tensor in reader.tensors if tensor.name == "rope_freqs.weight"), None)
    if factors is None:
        return {"rope_type": "default"}
    import torch

    from ropewalk.models.rotary_module import scaled

    plain = 1.0 / theta ** (torch.arange(0, width, 2, dtype=torch.float32) / width)
    wanted = plain / torch.tensor(factors).flatten()
    for scaling in LLAMA3_SCALINGS:
        if wanted.shape == plain.shape and torch.allclose(scaled(plain, scaling), wanted, rtol=1e-4, atol=0):
            names = ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
            return {"rope_type": "llama3", **dict(zip(names, scaling, strict=True))}
    raise DataError(f"{path}: rope_freqs holds factors that are not those of Llama 3.1 or 3.2")
