"""The tensors of a GGUF file under transformers' names, dequantised one at a time when they are asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ropewalk.core.errors import DataError
from ropewalk.models.gguf_file import open_gguf
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
    """Looks like a dict of fp32 tensors."""

    def __init__(self, path: Path, shape: Shape) -> None:
        reader = open_gguf(path)
        self._path, self._shape = path, shape
        self._paired = reader.fields["general.architecture"].contents() == "llama"
        self._tensors = {_outward(tensor.name): tensor for tensor in reader.tensors if tensor.name != "rope_freqs.weight"}

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __getitem__(self, name: str) -> Tensor:
        from gguf import dequantize

        stored = self._tensors[name]
        try:
            values = dequantize(stored.data, stored.tensor_type)
        except NotImplementedError:
            raise DataError(
                f"{self._path}: {stored.name} is of type {stored.tensor_type.name}, which the gguf package can't read"
            ) from None
        tensor = torch.from_numpy(values.copy()).float()
        heads = {"q_proj": self._shape.heads, "k_proj": self._shape.kv_heads}.get(name.split(".")[-2])
        if not self._paired or heads is None:
            return tensor
        # Files of Llama turn neighbouring dimensions, transformers and we turn the two halves of a head.
        return tensor.view(heads, -1, 2, *tensor.shape[1:]).transpose(1, 2).reshape(tensor.shape)


def _outward(name: str) -> str:
    match = _LAYER.fullmatch(name)
    if match and match[2] in _INNER:
        return f"model.layers.{match[1]}.{_INNER[match[2]]}.{match[3]}"
    return _OUTER.get(name, name)
