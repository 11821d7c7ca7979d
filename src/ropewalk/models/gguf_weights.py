"""The tensors of a GGUF file under transformers' names, dequantised one at a time when they are asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ropewalk.core.errors import DataError
from ropewalk.models.gguf_file import LINK, TENSORS
from ropewalk.models.shape import Shape

_OUTER = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_INNER = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
}
_LAYER = re.compile(r"blk\.([0-9]+)\.(\w+)\.(weight|bias)")


class GGUFWeights(Mapping[str, Tensor]):
    """Looks like a dict of fp32 tensors; `folder` is what `gguf_file.folder_of` made."""

    def __init__(self, folder: Path, shape: Shape) -> None:
        self._shape, self._path = shape, folder / LINK
        self._bytes = np.memmap(self._path, mode="r")
        found = json.loads((folder / TENSORS).read_text(encoding="utf-8"))
        self._tensors = {_outward(name): facts for name, facts in found.items() if name != "rope_freqs.weight"}
        # Files of Llama turn neighbouring dimensions of a head; those of Qwen turn its two halves, as transformers and we do.
        self._paired = shape.family in ("llama", "mistral")

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __getitem__(self, name: str) -> Tensor:
        from gguf import GGMLQuantizationType, dequantize, quant_shape_to_byte_shape

        facts = self._tensors[name]
        kind = GGMLQuantizationType(facts["type"])
        stored = self._bytes[facts["offset"] : facts["offset"] + facts["bytes"]]
        try:
            values = dequantize(stored.reshape(quant_shape_to_byte_shape(facts["shape"], kind)), kind)
        except NotImplementedError:
            raise DataError(f"{self._path}: {name} is of type {kind.name}, which the gguf package can't read") from None
        tensor = torch.from_numpy(np.array(values, np.float32))
        heads = {"q_proj": self._shape.heads, "k_proj": self._shape.kv_heads}.get(name.split(".")[-2])
        if not self._paired or heads is None:
            return tensor
        return tensor.view(heads, -1, 2, *tensor.shape[1:]).transpose(1, 2).reshape(tensor.shape)


def _outward(name: str) -> str:
    match = _LAYER.fullmatch(name)
    if match and match[2] in _INNER:
        return f"model.layers.{match[1]}.{_INNER[match[2]]}.{match[3]}"
    return _OUTER.get(name, name)
