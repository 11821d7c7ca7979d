"""lm and sft: sums of next-token losses, equal to the plain computation over full logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ropewalk.core.errors import DataError
from ropewalk.data.loader import Batch, Loader
from ropewalk.tasks.lm import LanguageModelling
from ropewalk.tasks.measure import mean_loss
from ropewalk.tasks.sft import SupervisedFineTuning
from ropewalk.tasks.task import Task
from ropewalk.tasks.torch_batch import to_torch
from training_kit import PLAIN, make_state, make_tokens

TASKS = [LanguageModelling(), SupervisedFineTuning()]


@torch.no_grad()
def reference(model: Any, batch: Batch, **more: Any) -> float:
    """Each document of each row by itself, full logits, torch's cross-entropy."""
    total = 0.0
    for tokens, targets, documents in zip(batch.tokens, batch.targets, batch.documents, strict=True):
        for document in set(documents.tolist()) - {0}:
            own = documents == document
            logits = model.logits(model(torch.tensor(tokens[own])[None]))[0]
            total += F.cross_entropy(logits, torch.tensor(targets[own]), reduction="sum", ignore_index=-100, **more).item()
    return total


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    tokens = make_tokens(tmp_path / "tokens", [5, 20, 9, 3, 12, 16, 7], 20, trained=[2, 15, 4, 1, 6, 15, 1])
    return Loader(tokens, "train", 4, seed=1).at(0)


@pytest.mark.parametrize("task", TASKS)
def test_the_sum_is_that_of_each_document_by_itself(task: Task, batch: Batch) -> None:
    model = make_state(PLAIN).model
    loss = task.loss(model, to_torch(batch, "cpu"))
    assert loss.weight == (batch.targets >= 0).sum() == 44
    assert loss.total.item() == pytest.approx(reference(model, batch), rel=1e-5)


@pytest.mark.parametrize("task", [LanguageModelling(label_smoothing=0.1), SupervisedFineTuning(label_smoothing=0.1)])
def test_smoothing_is_for_training_only(task: Task, batch: Batch) -> None:
    model = make_state(PLAIN).model
    model.train()
    assert task.loss(model, to_torch(batch, "cpu")).total.item() == pytest.approx(reference(model, batch, label_smoothing=0.1), rel=1e-5)
    model.eval()
    assert task.loss(model, to_torch(batch, "cpu")).total.item() == pytest.approx(reference(model, batch), rel=1e-5)


def test_z_loss_adds_the_squared_normaliser(batch: Batch) -> None:
    model = make_state(PLAIN).model
    model.train()
    tensors = to_torch(batch, "cpu")
    logits = model.logits(model(tensors.tokens, tensors.positions, tensors.documents))[tensors.targets >= 0]
    extra = LanguageModelling(z_loss=0.01).loss(model, tensors).total - LanguageModelling().loss(model, tensors).total
    assert extra.item() == pytest.approx(0.01 * logits.logsumexp(-1).square().sum().item(), rel=1e-3)


def test_document_ids_are_left_out_only_where_that_changes_nothing(tmp_path: Path) -> None:
    model = make_state(PLAIN).model
    single = Loader(make_tokens(tmp_path / "pad", [5, 20, 9], 20, "pad"), "train", 3, seed=1).at(0)
    tensors = to_torch(single, "cpu")
    assert tensors.documents is None and tensors.positions is None
    assert LanguageModelling().loss(model, tensors).total.item() == pytest.approx(reference(model, single), rel=1e-5)
    packed = to_torch(Loader(make_tokens(tmp_path / "fit", [5, 20, 9], 20), "train", 2, seed=1).at(0), "cpu")
    assert packed.documents is not None and packed.positions is not None
    crossing = to_torch(Loader(make_tokens(tmp_path / "cross", [5, 20, 9], 20, attend="sequence"), "train", 2, seed=1).at(0), "cpu")
    assert crossing.documents is None and crossing.positions is None


def test_rows_are_selected_only_where_some_predict_nothing(tmp_path: Path) -> None:
    full = to_torch(Loader(make_tokens(tmp_path / "full", [21, 21], 20), "train", 2, seed=1).at(0), "cpu")
    assert full.trained is None and full.weight == 40
    part = to_torch(Loader(make_tokens(tmp_path / "part", [21, 21], 20, trained=[3, 4]), "train", 2, seed=1).at(0), "cpu")
    assert part.trained is not None and part.trained.tolist() == np.flatnonzero(part.targets.numpy() >= 0).tolist()


COUNTS = [1, 2, 3, 5, 8, 9, 10, 11, 12]  # 61 trained tokens in 9 samples


@pytest.mark.parametrize("micro_batch", [1, 2, 4, 9])
@pytest.mark.parametrize("packing", ["pad", "best_fit"])
def test_a_measured_loss_does_not_show_batch_size_or_packing(tmp_path: Path, packing: str, micro_batch: int) -> None:
    """O34: one sum over 61 tokens, divided once."""
    tokens = make_tokens(tmp_path / "tokens", [n + 4 for n in COUNTS], 64, packing, trained=COUNTS)
    model = make_state(PLAIN).model.eval()
    loader = Loader(tokens, "train", len(tokens.sequences("train")), seed=3)
    assert loader.weight(0) == 61
    truth = (
        reference(model, Loader(make_tokens(tmp_path / "p", [n + 4 for n in COUNTS], 64, "pad", trained=COUNTS), "train", 9, 0).at(0)) / 61
    )
    assert mean_loss(SupervisedFineTuning(), model, loader, micro_batch, "cpu", torch.no_grad()) == pytest.approx(truth, rel=1e-5)


def test_sequences_that_predict_nothing_can_not_be_measured(tmp_path: Path) -> None:
    loader = Loader(make_tokens(tmp_path / "tokens", [9, 9], 8, trained=[0, 0]), "train", 2, seed=3)
    with pytest.raises(DataError, match="no token to predict"):
        mean_loss(SupervisedFineTuning(), make_state(PLAIN).model.eval(), loader, 1, "cpu", torch.no_grad())
