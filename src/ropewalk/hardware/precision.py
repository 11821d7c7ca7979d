"""Which number format matrix products use; weights and optimizer state stay in fp32."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ropewalk.core.errors import MissingExtra

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "fp32", "bf16", "fp16"]


def resolve_precision(wanted: Precision, device: str) -> Literal["fp32", "bf16", "fp16"]:
    """What `auto` means on a device: bf16 where CUDA computes it natively, fp32 on every CPU.

    A CPU without bf16 instructions runs bf16 products seven times slower than fp32, and one with them gives other
    weights than its neighbour: fp32 is the same result on all. fp16 is for GPUs without bf16; its gradients are scaled.
    Raises MissingExtra for bf16 where a GPU lacks it.
    """
    if wanted == "fp16":
        return "fp16"
    if wanted == "fp32" or (wanted == "auto" and device == "cpu"):
        return "fp32"
    if device == "cpu":
        return "bf16"
    import torch

    native = device.startswith("cuda") and torch.cuda.is_bf16_supported(including_emulation=False)
    if wanted == "bf16" and device.startswith("cuda") and not native:
        raise MissingExtra("precision bf16: this GPU does not compute it", remedy="set precision: fp32")
    return "bf16" if wanted == "bf16" or native else "fp32"


def autocast_type(precision: str) -> torch.dtype | None:
    """The type in which matrix products are computed; None for fp32, which needs no context."""
    import torch

    return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
