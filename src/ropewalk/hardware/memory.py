"""How much is computed at once: the micro-batch that a device takes when the recipe doesn't say."""

from __future__ import annotations

import math

POSITIONS_AT_ONCE = {"cpu": 4096, "cuda": 32768}
"""CPU: matrix products are at full speed from 2,048 rows on (measured: 4.2M parameters, 512 to 8,192 rows), more only
takes memory. CUDA: an estimate, 124M parameters in bf16 below 24 GB."""


def default_micro_batch(num_sequences: int, length: int, device: str) -> int:
    """Sequences to compute at once, even parts of the batch: `default_micro_batch(24, 256, "cpu")` is 12."""
    at_once = POSITIONS_AT_ONCE.get(device.partition(":")[0], POSITIONS_AT_ONCE["cpu"])
    most = max(1, at_once // length)
    return math.ceil(num_sequences / math.ceil(num_sequences / most))
