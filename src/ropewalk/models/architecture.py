"""The family of models that can be made new: a config that tells its cost without torch and builds the module with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ropewalk.core.component import Component
from ropewalk.models.shape import Shape

if TYPE_CHECKING:
    from ropewalk.models.gpt_module import Decoder


class Architecture(Component, family="model", folders=("ropewalk.models",)):
    """What a new model looks like."""

    def shape(self) -> Shape:
        """The resolved dimensions."""
        raise TypeError(f"model {self.tag!r} has no shape()")

    def build(self, vocab_size: int, seed: int) -> Decoder:
        """A freshly initialised module on the CPU in fp32; equal seeds give equal weights."""
        raise TypeError(f"model {self.tag!r} has no build()")
