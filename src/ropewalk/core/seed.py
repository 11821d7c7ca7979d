"""Random draws come from a generator named by (seed, purpose, step); there is no global random state."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch


def derive(seed: int, *names: Any) -> int:
    """A 63-bit seed for a purpose: `derive(7, "dropout", step)`; equal on every machine and Python."""
    text = "\0".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def numpy_generator(seed: int, *names: Any) -> np.random.Generator:
    import numpy as np

    return np.random.Generator(np.random.PCG64(derive(seed, *names)))


def torch_generator(seed: int, *names: Any, device: str = "cpu") -> torch.Generator:
    import torch

    generator = torch.Generator(device=device)
    generator.manual_seed(derive(seed, *names))
    return generator
