"""Named shapes; a recipe's own fields win over them."""

from __future__ import annotations

from typing import Any

_GPT2: dict[str, Any] = {
    "norm": "layer",
    "position": "learned",
    "activation": "gelu",
    "qk_norm": False,
    "bias": True,
    "tied": True,
    "norm_epsilon": 1e-5,
    "context": 1024,
}
_LLAMA: dict[str, Any] = {"norm": "rms", "position": "rope", "activation": "swiglu", "qk_norm": False, "bias": False, "tied": True}
_QWEN3: dict[str, Any] = {**_LLAMA, "qk_norm": True}
_LLAMA3: dict[str, Any] = {"rope_theta": 500000.0, "rope_scaling": (32.0, 1.0, 4.0, 8192.0), "norm_epsilon": 1e-5}
_FAR: dict[str, Any] = {"rope_theta": 1000000.0, "context": 40960}

PRESETS: dict[str, dict[str, Any]] = {
    "gpt2-tiny": {**_GPT2, "depth": 4, "width": 256, "heads": 4},
    "gpt2-124m": {**_GPT2, "depth": 12, "width": 768, "heads": 12},
    "gpt2-350m": {**_GPT2, "depth": 24, "width": 1024, "heads": 16},
    "llama-tiny": {**_LLAMA, "depth": 4, "width": 256, "heads": 4, "mlp_width": 704, "context": 1024},
    "llama-60m": {**_LLAMA, "depth": 8, "width": 512, "heads": 8, "mlp_width": 1376, "context": 1024},
    "qwen3-tiny": {**_QWEN3, "depth": 4, "width": 256, "heads": 4, "mlp_width": 704, "context": 1024},
    "qwen3-60m": {**_QWEN3, "depth": 8, "width": 512, "heads": 8, "kv_heads": 4, "mlp_width": 1536, "context": 2048},
    "llama-1b": {**_LLAMA, "depth": 16, "width": 2048, "heads": 32, "kv_heads": 8, "mlp_width": 8192, "context": 131072, **_LLAMA3},
    "qwen3-0.6b": {**_QWEN3, "depth": 28, "width": 1024, "heads": 16, "kv_heads": 8, "head_width": 128, "mlp_width": 3072, **_FAR},
    "dial": {**_QWEN3, "tied": False, "context": 2048},
}
PRESETS["124m"], PRESETS["350m"] = PRESETS["gpt2-124m"], PRESETS["gpt2-350m"]
