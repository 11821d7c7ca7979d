"""From the loader's numpy batch to tensors on the device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ropewalk.data.series_loader import SeriesBatch
from ropewalk.tasks.task import TorchBatch
from ropewalk.tasks.torch_windows import windows_to_torch

if TYPE_CHECKING:
    from ropewalk.data.loader import Batch


def to_torch(batch: Batch, device: str) -> TorchBatch:
    """The batch as tensors; document ids are left out where plain causal attention gives the same, which is faster.

    That is so where every row holds one document (and padding, which stands at the end and is predicted by nothing).
    """
    if isinstance(batch, SeriesBatch):  # stands in for a Batch wherever task forecast does: the loop asks both for the same things
        return windows_to_torch(batch, device)  # type: ignore[return-value]
    rows = np.flatnonzero(batch.targets.reshape(-1) >= 0)
    documents = batch.documents
    several = bool(((documents[:, 1:] != documents[:, :-1]) & (documents[:, 1:] != 0)).any())
    return TorchBatch(
        tokens=_move(batch.tokens, device),
        targets=_move(batch.targets, device),
        positions=_move(batch.positions, device) if several else None,
        documents=_move(batch.documents, device) if several else None,
        trained=None if rows.size == batch.targets.size else _move(rows, device),
        weight=int(rows.size),
    )


def _move(values: np.ndarray, device: str) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).to(device)
