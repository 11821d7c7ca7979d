"""Which device computes: named, or the best one there is."""

from __future__ import annotations

import ctypes
import sys
from importlib import metadata

from ropewalk.core.errors import MissingExtra


def pick_device(wanted: str) -> str:
    """`auto` is cuda where there is one, else cpu; raises MissingExtra for a device that is not here."""
    if wanted == "cpu" or (wanted == "auto" and not _may_have_cuda()):
        return "cpu"
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise MissingExtra(f"device {wanted}: no CUDA device is here", remedy="set device: auto or cpu, or install a CUDA build of torch")
    try:
        torch.empty(1, device=wanted)
    except (RuntimeError, AssertionError) as error:
        raise MissingExtra(f"device {wanted}: can't be used: {str(error).splitlines()[0]}", remedy="set device: auto") from error
    return wanted


def _may_have_cuda() -> bool:
    """Without importing torch, which takes two seconds: a CPU build or a machine without the driver has no CUDA."""
    try:
        if metadata.version("torch").endswith("+cpu"):
            return False
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except (metadata.PackageNotFoundError, OSError):
        return False
    return True
