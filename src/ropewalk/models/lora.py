"""LoRA (Hu et al. 2022) and DoRA (Liu et al. 2024): low-rank updates of linear layers, to and from peft's folders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from ropewalk.models.adapter import Adapter

if TYPE_CHECKING:
    from torch import nn

Targets = Literal["all", "attention", "mlp"] | Annotated[list[str], Field(min_length=1)]


class LoRA(Adapter, type="lora"):
    """Adds scale * B A x to linear layers, scale = alpha / rank; B begins at zero."""

    rank: int = Field(default=8, gt=0)
    """Rows of A."""
    alpha: float = Field(default=16.0, gt=0)
    """The update is scaled by alpha / rank."""
    targets: Targets = "all"
    """Which linear layers of the blocks: all, attention, mlp, or names as transformers has them, such as [q_proj, v_proj]."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """On what A reads."""
    rank_stabilised: bool = False
    """Scales by alpha / sqrt(rank) (Kalajdzievski 2023)."""
    magnitude: bool = False
    """DoRA: also learns each output row's length."""

    @property
    def scale(self) -> float:
        return float(self.alpha / (self.rank**0.5 if self.rank_stabilised else self.rank))

    def attach(self, module: nn.Module, seed: int) -> None:
        from ropewalk.models.adapter_module import attach_lora

        attach_lora(module, self, seed)

    def save(self, module: nn.Module, folder: Path, base: Mapping[str, Any]) -> None:
        from ropewalk.models.peft_module import save_adapter

        save_adapter(folder, module, self, base)
