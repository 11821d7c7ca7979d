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

PRESETS: dict[str, dict[str, Any]] = {
    "gpt2-tiny": {**_GPT2, "depth": 4, "width": 256, "heads": 4},
    "gpt2-124m": {**_GPT2, "depth": 12, "width": 768, "heads": 12},
    "gpt2-350m": {**_GPT2, "depth": 24, "width": 1024, "heads": 16},
    "llama-tiny": {**_LLAMA, "depth": 4, "width": 256, "heads": 4, "mlp_width": 704, "context": 1024},
    "llama-60m": {**_LLAMA, "depth": 8, "width": 512, "heads": 8, "mlp_width": 1376, "context": 1024},
    "qwen3-tiny": {**_QWEN3, "depth": 4, "width": 256, "heads": 4, "mlp_width": 704, "context": 1024},
    "qwen3-60m": {**_QWEN3, "depth": 8, "width": 512, "heads": 8, "kv_heads": 4, "mlp_width": 1536, "context": 2048},
}
PRESETS["124m"] = PRESETS["gpt2-124m"]
