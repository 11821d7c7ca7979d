"""torch.compile where it pays: in place, so that no name of a weight changes, and off with the reason said when it fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from ropewalk.core.log import LOGGER

if TYPE_CHECKING:
    from torch import nn

Compile = Literal["auto", "on", "off"]
WORTH_FLOPS = 1e15
"""Compiling takes one to two minutes of a GPU's time, and gives 10 to 20% of a run: below this, that is not earned back."""


def wants_compile(wanted: Compile, device: str, flops: float) -> bool:
    """What `auto` means: on a GPU, for a run of at least WORTH_FLOPS. A CPU gains too little on dense layers (see docs/performance.md)."""
    return wanted == "on" or (wanted == "auto" and device.startswith("cuda") and flops >= WORTH_FLOPS)


def compiled(module: nn.Module, attempt: Callable[[], object]) -> bool:
    """Compile the module in place and try it; False, and the module as it was, when the attempt fails."""
    module.compile(dynamic=None)
    try:
        attempt()
    except Exception as error:  # compilers fail in many ways: none of them may end a run
        module._compiled_call_impl = None  # noqa: SLF001 torch has no public way back
        LOGGER.warning("compile: off: %s: %s", type(error).__name__, (str(error).splitlines() or [""])[0])
        return False
    return True
