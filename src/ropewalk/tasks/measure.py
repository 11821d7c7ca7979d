"""The mean loss of a task over fixed sequences: one sum over all of them, so no batch size shows in it."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import torch

from ropewalk.core.errors import DataError
from ropewalk.tasks.torch_batch import to_torch

if TYPE_CHECKING:
    from ropewalk.data.loader import Batches
    from ropewalk.models.gpt_module import Decoder
    from ropewalk.tasks.task import Task


def mean_loss(
    task: Task, model: Decoder, loader: Batches, micro_batch: int, device: str, precision: AbstractContextManager[object]
) -> float:
    """Nats per predicted token over the loader's first batch, which holds the sequences to be measured.

    `precision` is entered once around all of it. Raises DataError when the sequences predict nothing.
    """
    totals, weight = [], 0
    with torch.no_grad(), precision:
        for part in loader.micro_batches(loader.at(0), micro_batch):
            tensors = to_torch(part, device)
            if tensors.weight:
                loss = task.loss(model, tensors)
                totals.append(loss.total)
                weight += loss.weight
    if not weight:
        raise DataError("the sequences to be evaluated hold no token to predict", remedy="evaluate more sequences, or look at the masks")
    return math.fsum(total.item() for total in totals) / weight
