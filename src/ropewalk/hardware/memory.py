"""How much is computed at once, how much memory there is for it, and what to do when it runs out."""

from __future__ import annotations

import functools
import gc
import math
import sys
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from ropewalk.core.errors import ran_out_of_memory

R = TypeVar("R")

POSITIONS_AT_ONCE = {"cpu": 4096, "cuda": 32768}
"""CPU: matrix products are at full speed from 2,048 rows on (measured: 4.2M parameters, 512 to 8,192 rows), more only
takes memory. CUDA: an estimate, 124M parameters in bf16 below 24 GB."""


def default_micro_batch(num_sequences: int, length: int, device: str) -> int:
    """Sequences to compute at once, even parts of the batch: `default_micro_batch(24, 256, "cpu")` is 12."""
    at_once = POSITIONS_AT_ONCE.get(device.partition(":")[0], POSITIONS_AT_ONCE["cpu"])
    most = max(1, at_once // length)
    return math.ceil(num_sequences / math.ceil(num_sequences / most))


def available_bytes(device: str) -> int:
    """Memory that a new piece of work may take: free on the GPU, or on the machine within its control group's limit."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    free = [_meminfo("MemAvailable")]
    with suppress(OSError, ValueError):  # a container's limit; "max" where there is none
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        free.append(limit - int(Path("/sys/fs/cgroup/memory.current").read_text()))
    known = [value for value in free if value > 0]
    return min(known) if known else sys.maxsize


def _meminfo(name: str) -> int:
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1]) * 1024
    return 0


def give_back(device: str = "cpu") -> None:
    """Collect what nobody holds, and empty the GPU allocator's cache."""
    gc.collect()
    if device.startswith("cuda"):
        import torch

        torch.cuda.empty_cache()


@dataclass
class MicroBatch:
    """Sequences computed at once; `shrink` halves it after memory ran out. Everyone who computes reads `size`."""

    size: int
    retries: int = 0

    def shrink(self) -> bool:
        """False at one sequence, which can't be halved."""
        if self.size <= 1:
            return False
        self.size = math.ceil(self.size / 2)
        self.retries += 1
        return True


class catching(AbstractContextManager["catching"]):
    """Swallows an error that says memory ran out, frees what the block held and tells: `with catching() as ran: ...`.

    Any other error passes.
    """

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        self.out_of_memory = False
        self.message = ""
        """The first line of what was said."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if error is None or not ran_out_of_memory(error):
            return False
        self.out_of_memory, self.message = True, (str(error).splitlines() or [type(error).__name__])[0]
        traceback.clear_frames(trace)  # they hold the tensors that did not fit
        give_back(self.device)
        return True


def retrying(function: Callable[..., R]) -> Callable[..., R]:
    """Decorates a function whose first argument is a micro-batch: called again with half of it when memory runs out.

    Raises MemoryError when one sequence does not fit.
    """

    @functools.wraps(function)
    def called(micro_batch: int, *args: Any, **options: Any) -> R:
        sizes = MicroBatch(micro_batch)
        while True:
            with catching() as ran:
                return function(sizes.size, *args, **options)
            if not sizes.shrink():
                raise MemoryError(f"one sequence does not fit: {ran.message}")

    return called


def find_micro_batch(attempt: Callable[[int], object], largest: int, device: str = "cpu") -> int:
    """The largest of `largest`, half of it, a quarter ... for which `attempt(size)` does not run out of memory; 0 for none."""
    sizes = MicroBatch(largest)
    while True:
        with catching(device) as ran:
            attempt(sizes.size)
        if not ran.out_of_memory:
            return sizes.size
        if not sizes.shrink():
            return 0
