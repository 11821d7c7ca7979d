"""From the loader's numpy batch to tensors on the device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ropewalk.tasks.task import Answers, TorchBatch

if TYPE_CHECKING:
    from ropewalk.data.loader import Batch


def to_torch(batch: Batch, device: str) -> TorchBatch:
    """The batch as tensors; document ids are left out where plain causal attention gives the same, which is faster.

    That is so where every row holds one document (and padding, which stands at the end and is predicted by nothing).
    """
    if batch.answers:
        return answers_to_torch(batch, device)
    rows = np.flatnonzero(batch.targets.reshape(-1) >= 0)
    documents = batch.documents
    several = batch.features is not None or bool(((documents[:, 1:] != documents[:, :-1]) & (documents[:, 1:] != 0)).any())
    return TorchBatch(
        tokens=_move(batch.tokens, device),
        targets=_move(batch.targets, device),
        positions=_move(batch.positions, device) if several else None,
        documents=_move(batch.documents, device) if several else None,
        trained=None if rows.size == batch.targets.size else _move(rows, device),
        weight=int(rows.size),
        features=None if batch.features is None else _move(batch.features, device),
    )


def answers_to_torch(batch: Batch, device: str) -> TorchBatch:
    """Groups of answers, put anew into as few rows as hold them: padding each to the longest tripled a batch of short answers.

    Best-fit decreasing; attention stays inside each answer.
    """
    groups, size = len(batch.sequences), batch.answers
    found = [(np.flatnonzero(batch.documents[group] == number + 1), group, number) for group in range(groups) for number in range(size)]
    parts = [(place[0], len(place), group, number) for place, group, number in found if len(place)]
    width = max(length for _, length, _, _ in parts)
    rows: list[list[tuple[int, int, int, int]]] = []
    room: list[int] = []
    for part in sorted(parts, key=lambda part: -part[1]):
        fitting = [(space, row) for row, space in enumerate(room) if space >= part[1]]
        row = min(fitting)[1] if fitting else len(rows)
        if not fitting:
            rows.append([])
            room.append(width)
        rows[row].append(part)
        room[row] -= part[1]
    shape = (len(rows), width)
    tokens, targets = np.zeros(shape, np.int64), np.full(shape, -100, np.int64)
    positions, documents, owners = np.zeros(shape, np.int64), np.zeros(shape, np.int32), np.zeros(shape, np.int64)
    for row, held in enumerate(rows):
        at = 0
        for number, (start, length, group, answer) in enumerate(held, 1):
            here, there = slice(at, at + length), slice(start, start + length)
            tokens[row, here], targets[row, here] = batch.tokens[group, there], batch.targets[group, there]
            positions[row, here], documents[row, here], owners[row, here] = np.arange(length), number, group * size + answer
            at += length
    several = any(len(held) > 1 for held in rows)
    trained = np.flatnonzero(targets.reshape(-1) >= 0)
    owner = owners.reshape(-1)[trained]
    scored = np.bincount(owner, minlength=groups * size).reshape(groups, size).astype(np.float32)
    reference = batch.columns.get("reference")
    return TorchBatch(
        tokens=_move(tokens, device),
        targets=_move(targets, device),
        positions=_move(positions, device) if several else None,
        documents=_move(documents, device) if several else None,
        trained=_move(trained, device),
        weight=groups,
        answers=Answers(_move(owner, device), _move(scored, device), None if reference is None else _move(reference, device)),
    )


def _move(values: np.ndarray, device: str) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).to(device)
