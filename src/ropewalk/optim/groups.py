"""Which parameters get what, by rule: decay for matrices that multiply, Muon for hidden ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

_OUTER = ("embed", "positions", "wte", "wpe", "head", "lora_", "norm")


def is_hidden_matrix(name: str, parameter: nn.Parameter) -> bool:
    """A weight between hidden states: not an embedding, head, norm, bias or adapter (also when tied)."""
    return parameter.dim() == 2 and not any(part.startswith(_OUTER) or part.endswith("_head") for part in name.split("."))


def decays(name: str, parameter: nn.Parameter) -> bool:
    """Whether weight decay applies: hidden matrices and an untied output layer, never norms, biases or embeddings."""
    return is_hidden_matrix(name, parameter) or (parameter.dim() == 2 and "head" in name)
