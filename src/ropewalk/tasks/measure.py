"""The mean loss of a task over fixed sequences: one sum over all of them, so no batch size shows in it."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import torch

from ropewalk.core.errors import DataError
from ropewalk.tasks.torch_batch import to_torch

if TYPE_CHECKING:
    from torch import Tensor

    from ropewalk.data.loader import Batches
    from ropewalk.models.gpt_module import Decoder
    from ropewalk.tasks.task import Task


def mean_loss(
    task: Task, model: Decoder, loader: Batches, micro_batch: int, device: str, precision: AbstractContextManager[object]
) -> float:
    """Nats per predicted token, or per group of answers; see `measured`."""
    return measured(task, model, loader, micro_batch, device, precision)["loss"]


def measured(
    task: Task, model: Decoder, loader: Batches, micro_batch: int, device: str, precision: AbstractContextManager[object]
) -> dict[str, float]:
    """`loss` and the task's own measures over the loader's first batch, which holds the sequences to be measured.

    `precision` is entered once around all of it. Raises DataError when the sequences predict nothing.
    """
    totals: dict[str, list[Tensor]] = {}
    weight = 0
    with torch.no_grad(), precision:
        for part in loader.micro_batches(loader.at(0), micro_batch):
            tensors = to_torch(part, device)
            if tensors.weight:
                loss = task.loss(model, tensors)
                for name, value in {"loss": loss.total, **loss.measures}.items():
                    totals.setdefault(name, []).append(value)
                weight += loss.weight
    if not weight:
        raise DataError("the sequences to be evaluated hold no token to predict", remedy="evaluate more sequences, or look at the masks")
    return {name: mean_of(values, weight) for name, values in totals.items()}


def mean_of(totals: list[Tensor], weight: int) -> float:
    """The sum of micro-batches' sums over the weight of all; 0 where there is none."""
    return math.fsum(total.item() for total in totals) / weight if weight else 0.0
