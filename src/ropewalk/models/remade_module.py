"""Tensors that are cheap to make again are not kept for the way back: an activation is half of what a block would hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

LEAST_BYTES = 1 << 20  # below it the calls cost more than the memory is worth


class _Left(NamedTuple):
    """How the tensor that was left out lay in its storage."""

    size: torch.Size
    stride: tuple[int, ...]
    offset: int


class remade(torch.autograd.graph.saved_tensors_hooks):
    """`with remade(made, make, source): down(made)`: autograd keeps `source` where it would keep `made`.

    On the way back it calls `make(source)`, which must give the same bits. Other tensors are kept as they are.
    """

    def __init__(self, made: Tensor, make: Callable[[Tensor], Tensor], source: Tensor) -> None:
        self.sought = [made.untyped_storage()] if made.nbytes >= LEAST_BYTES else []
        sought, kept = self.sought, source.detach()

        def pack(tensor: Tensor) -> Tensor | _Left:
            if not sought or tensor.untyped_storage() is not sought[0]:
                return tensor
            return _Left(tensor.size(), tensor.stride(), int(tensor.storage_offset()))

        def unpack(packed: Tensor | _Left) -> Tensor:
            if isinstance(packed, Tensor):
                return packed
            with torch.no_grad():
                return make(kept).as_strided(*packed)

        super().__init__(pack, unpack)

    def __exit__(self, *error: object) -> None:
        self.sought.clear()  # autograd keeps the functions, and they must not keep what was made
        super().__exit__(*error)
