"""The family of adapters: a few trained parameters beside a model whose own weights stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ropewalk.core.component import Component

if TYPE_CHECKING:
    from torch import nn


class Adapter(Component, family="adapter", folders=("ropewalk.models",)):
    """What is trained in place of a model's own weights."""

    quantise: Literal["nf4"] | None = None
    """Holds the model's own matrices in 4 bits (QLoRA, through bitsandbytes: extra qlora); null leaves them as they are."""

    def attach(self, module: nn.Module, seed: int) -> None:
        """Freeze the module and put the adapter into it, so that it computes at first what it did before."""
        raise TypeError(f"adapter {self.tag!r} has no attach()")

    def save(self, module: nn.Module, folder: Path, base: Mapping[str, Any]) -> None:
        """Write the adapter's own parameters; `base` says which model they belong to: its key, and its path where it is in no store."""
        raise TypeError(f"adapter {self.tag!r} has no save()")
