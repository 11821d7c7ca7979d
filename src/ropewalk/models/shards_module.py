"""A model's weights in several safetensors files with an index, as transformers reads them."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from ropewalk.models.folder_module import INDEX, WEIGHTS


def write_sharded(folder: Path, weights: dict[str, Tensor], shard_bytes: int) -> int:
    """Write the weights in files of at most so many bytes (more where one tensor is larger); returns how many files."""
    shards: list[dict[str, Tensor]] = [{}]
    filled = 0
    for name, tensor in weights.items():
        size = tensor.numel() * tensor.element_size()
        if shards[-1] and filled + size > shard_bytes:
            shards.append({})
            filled = 0
        shards[-1][name] = tensor
        filled += size
    if len(shards) == 1:
        save_file(shards[0], folder / WEIGHTS, {"format": "pt"})
        return 1
    names = [f"model-{number:05d}-of-{len(shards):05d}.safetensors" for number in range(1, len(shards) + 1)]
    for file, shard in zip(names, shards, strict=True):
        save_file(shard, folder / file, {"format": "pt"})
    total = sum(tensor.numel() * tensor.element_size() for tensor in weights.values())
    where = {name: file for file, shard in zip(names, shards, strict=True) for name in shard}
    body = {"metadata": {"total_size": total}, "weight_map": dict(sorted(where.items()))}
    (folder / INDEX).write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")
    return len(shards)
