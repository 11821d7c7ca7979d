"""Tasks on answers: losses and gradients are the papers', written out over full logits; packing and micro-batches change nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from preference_kit import make_answers
from ropewalk.core.errors import DataError
from ropewalk.data.loader import Batch, Loader
from ropewalk.data.tokens import Tokens
from ropewalk.models.answer_loss_module import token_losses
from ropewalk.models.gpt_module import Decoder
from ropewalk.models.lora import LoRA
from ropewalk.tasks.answers_module import log_probabilities
from ropewalk.tasks.dpo import DPO
from ropewalk.tasks.kto import KTO
from ropewalk.tasks.lm import LanguageModelling
from ropewalk.tasks.measure import measured
from ropewalk.tasks.orpo import ORPO
from ropewalk.tasks.simpo import SimPO
from ropewalk.tasks.task import Task
from ropewalk.tasks.torch_batch import to_torch
from training_kit import PLAIN, make_state

Sides = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
BETA = 0.3


def value(tensor: Tensor) -> float:
    return float(tensor.detach())


def alone(model: Decoder, batch: Batch, group: int, number: int) -> tuple[Tensor, int]:
    """(log-probability, scored tokens) of one answer by itself, from its full logits."""
    place = np.flatnonzero(batch.documents[group] == number + 1)
    if not len(place):
        return torch.zeros(()), 0
    tokens, targets = (torch.from_numpy(np.ascontiguousarray(values[group, place])) for values in (batch.tokens, batch.targets))
    logits = model.logits(model(tokens[None]))[0]
    wanted = targets >= 0
    return F.log_softmax(logits, -1)[wanted].gather(1, targets[wanted, None]).sum(), int(wanted.sum())


def papers(model: Decoder, batch: Batch, loss: Callable[..., Tensor]) -> Tensor:
    """The mean over pairs of a paper's formula."""
    losses = []
    for group in range(len(batch.sequences)):
        (chosen, size), (rejected, other) = alone(model, batch, group, 0), alone(model, batch, group, 1)
        before = torch.from_numpy(batch.columns["reference"][group])
        losses.append(loss(chosen, rejected, before[0], before[1], size, other))
    return torch.stack(losses).mean()


def odds(mean: Tensor) -> Tensor:
    return torch.log(mean.exp() / (1 - mean.exp()))


FORMULAS: dict[str, tuple[Task, Callable[..., Tensor]]] = {
    "sigmoid": (DPO(beta=BETA), lambda c, r, p, q, n, m: -torch.log(torch.sigmoid(BETA * ((c - p) - (r - q))))),
    "conservative": (
        DPO(beta=BETA, label_smoothing=0.2),
        lambda c, r, p, q, n, m: (
            -0.8 * torch.log(torch.sigmoid(BETA * (c - p - r + q))) - 0.2 * torch.log(torch.sigmoid(BETA * (r - q - c + p)))
        ),
    ),
    "robust": (
        DPO(beta=BETA, form="robust", label_smoothing=0.2),
        lambda c, r, p, q, n, m: (
            (-0.8 * torch.log(torch.sigmoid(BETA * (c - p - r + q))) + 0.2 * torch.log(torch.sigmoid(BETA * (r - q - c + p)))) / 0.6
        ),
    ),
    "hinge": (DPO(beta=BETA, form="hinge"), lambda c, r, p, q, n, m: torch.clamp(1 - BETA * (c - p - r + q), min=0)),
    "ipo": (DPO(beta=BETA, form="ipo"), lambda c, r, p, q, n, m: ((c - p) / n - (r - q) / m - 1 / (2 * BETA)) ** 2),
    "simpo": (SimPO(beta=2.5, gamma=0.7), lambda c, r, p, q, n, m: -torch.log(torch.sigmoid(2.5 * (c / n - r / m) - 0.7))),
    "orpo": (
        ORPO(weight=0.25),
        lambda c, r, p, q, n, m: -c / n - 0.25 * torch.log(torch.sigmoid(odds(c / n) - odds(r / m))),
    ),
}


@pytest.fixture
def pairs(tmp_path: Path) -> Tokens:
    return make_answers(tmp_path / "pairs", [(9, 4, 6), (5, 7, 2), (12, 3, 11), (6, 6, 6), (4, 9, 3)])


def loader_of(tokens: Tokens, size: int = 5) -> Loader:
    reference = np.random.default_rng(0).normal(-20, 2, (tokens.num_sequences("train"), tokens.answers)).astype(np.float32)
    return Loader(tokens, "train", size, seed=3, columns={"reference": reference})


def gradients(model: Decoder) -> Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None])


@pytest.mark.parametrize("name", FORMULAS)
def test_losses_and_gradients_are_the_papers(pairs: Tokens, name: str) -> None:
    task, formula = FORMULAS[name]
    batch = loader_of(pairs).at(0)
    plain, model = make_state(PLAIN).model, make_state(PLAIN).model
    expected = papers(plain.train(), batch, formula)
    expected.backward()
    loss = task.loss(model.train(), to_torch(batch, "cpu"))
    assert loss.weight == 5
    (loss.total / loss.weight).backward()
    assert value(loss.total / loss.weight) == pytest.approx(value(expected), rel=1e-5)
    assert torch.allclose(gradients(model), gradients(plain), rtol=1e-4, atol=1e-5 * float(gradients(plain).abs().max()))


@pytest.mark.parametrize("name", FORMULAS)
def test_no_micro_batch_changes_a_gradient(pairs: Tokens, name: str) -> None:
    task, loader = FORMULAS[name][0], loader_of(pairs)
    found = []
    for size in (5, 2, 1):
        model = make_state(PLAIN).model.train()
        for part in loader.micro_batches(loader.at(0), size):
            torch.autograd.backward(task.loss(model, to_torch(part, "cpu")).total / 5)
        found.append(gradients(model))
    assert all(torch.allclose(found[0], other, rtol=1e-4, atol=1e-6 * float(found[0].abs().max())) for other in found[1:])


def test_short_answers_share_rows_and_attention_stays_in_each(pairs: Tokens) -> None:
    batch = loader_of(pairs).at(0)
    tensors, model = to_torch(batch, "cpu"), make_state(PLAIN).model
    assert tensors.tokens.shape[0] < 10, "10 answers are in fewer rows"
    found = log_probabilities(model, tensors)
    for group in range(5):
        for number in range(2):
            wanted, size = alone(model, batch, group, number)
            assert value(found[group, number]) == pytest.approx(value(wanted), rel=1e-5)
            assert tensors.answers is not None and int(tensors.answers.scored[group, number]) == size


def test_smoothing_is_for_training_only(pairs: Tokens) -> None:
    tensors, model = to_torch(loader_of(pairs).at(0), "cpu"), make_state(PLAIN).model.eval()
    smooth, plain = (DPO(label_smoothing=wrong).loss(model, tensors).total for wrong in (0.3, 0.0))
    assert torch.equal(smooth, plain)
    assert not torch.equal(DPO(label_smoothing=0.3).loss(model.train(), tensors).total, plain)


def test_measures_say_what_rewards_are(pairs: Tokens) -> None:
    loader = loader_of(pairs)
    batch, model = loader.at(0), make_state(PLAIN).model.eval()
    with torch.no_grad():
        own = np.array([[float(alone(model, batch, group, number)[0]) for number in range(2)] for group in range(5)])
        sizes = np.array([[alone(model, batch, group, number)[1] for number in range(2)] for group in range(5)])
    ratios = own - batch.columns["reference"]
    found = measured(DPO(beta=BETA), model, loader, 2, "cpu", torch.no_grad())
    assert found["margin"] == pytest.approx(BETA * (ratios[:, 0] - ratios[:, 1]).mean(), rel=1e-4)
    assert found["reward_chosen"] == pytest.approx(BETA * ratios[:, 0].mean(), rel=1e-4)
    assert found["accuracy"] == (ratios[:, 0] > ratios[:, 1]).mean()
    assert found["kl"] == pytest.approx(-(ratios / sizes).mean(), rel=1e-4)


def test_a_model_equal_to_its_reference_has_the_loss_of_a_coin(pairs: Tokens) -> None:
    loader = Loader(pairs, "train", 5, seed=3)
    model = make_state(PLAIN).model.eval()
    LoRA(rank=2).attach(model, 0)
    found = measured(DPO(), model, loader, 5, "cpu", torch.no_grad())
    assert found["loss"] == pytest.approx(math.log(2), abs=1e-6) and found["accuracy"] == 0.5 and found["margin"] == 0.0


def test_an_adapters_reference_is_its_base(pairs: Tokens) -> None:
    """The same as with log-probabilities that the base gave before."""
    batch = Loader(pairs, "train", 5, seed=3).at(0)
    base, model = make_state(PLAIN).model, make_state(PLAIN).model
    LoRA(rank=2).attach(model, 0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(generator=torch.Generator().manual_seed(1))
        before = log_probabilities(base, to_torch(batch, "cpu")).numpy()
    known = Batch(batch.tokens, batch.targets, batch.positions, batch.documents, batch.sequences, 2, {"reference": before})
    own, named = (DPO().loss(model.train(), to_torch(one, "cpu")).total for one in (batch, known))
    assert value(own) == pytest.approx(value(named), rel=1e-5) and abs(value(own) - 5 * math.log(2)) > 1e-3


def test_without_reference_or_answers_the_error_says_what_to_do(pairs: Tokens, tmp_path: Path) -> None:
    model = make_state(PLAIN).model
    with pytest.raises(DataError, match="none is named"):
        DPO().loss(model, to_torch(Loader(pairs, "train", 5, seed=3).at(0), "cpu"))
    from training_kit import make_tokens

    plain = Loader(make_tokens(tmp_path / "plain", [9, 9], 16), "train", 2, seed=0).at(0)
    with pytest.raises(DataError, match="render_pairs"):
        SimPO().loss(model, to_torch(plain, "cpu"))


def test_kto_is_the_papers(tmp_path: Path) -> None:
    tokens = make_answers(tmp_path / "judged", [(5, 4, 0, 6), (7, 0, 3, 2), (4, 8, 0, 5)])
    loader = loader_of(tokens, 3)
    batch = loader.at(0)
    task = KTO(beta=BETA, good_weight=1.5, bad_weight=0.5)

    def expected(model: Decoder) -> Tensor:
        found = [[alone(model, batch, group, number) for number in range(3)] for group in range(3)]
        before = torch.from_numpy(batch.columns["reference"])
        point = torch.stack([found[g][2][0] - before[g, 2] for g in range(3)]).mean().clamp(min=0).detach()
        losses = []
        for group, (good, bad, _) in enumerate(found):
            if good[1]:
                losses.append(1.5 * (1 - torch.sigmoid(BETA * (good[0] - before[group, 0] - point))))
            else:
                losses.append(0.5 * (1 - torch.sigmoid(BETA * (point - bad[0] + before[group, 1]))))
        return torch.stack(losses).mean()

    plain, model = make_state(PLAIN).model, make_state(PLAIN).model
    wanted = expected(plain)
    wanted.backward()
    loss = task.loss(model.train(), to_torch(batch, "cpu"))
    (loss.total / 3).backward()
    assert value(loss.total / 3) == pytest.approx(value(wanted), rel=1e-5)
    assert torch.allclose(gradients(model), gradients(plain), rtol=1e-4, atol=1e-5 * float(gradients(plain).abs().max()))


@pytest.mark.parametrize("kept", [True, False])
def test_each_tokens_loss_has_its_own_gradient(kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ropewalk.models.answer_loss_module.KEPT_BYTES", 1 << 20 if kept else 0)
    monkeypatch.setattr("ropewalk.models.answer_loss_module.rows_at_once", lambda weight: 3)
    generator = torch.Generator().manual_seed(0)
    hidden, weight, factors = (torch.randn(shape, generator=generator) for shape in ((8, 5), (11, 5), (8,)))
    targets = torch.randint(11, (8,), generator=generator)
    results: list[Any] = []
    for loss in (token_losses, lambda h, w, t: F.cross_entropy(h @ w.T, t, reduction="none")):
        inputs = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
        found = loss(*inputs, targets)  # type: ignore[operator]
        (found * factors).sum().backward()
        results.append([found.detach(), *(value.grad for value in inputs)])
    assert all(torch.allclose(ours, theirs, atol=1e-5) for ours, theirs in zip(*results, strict=True))
    frozen = token_losses(hidden.clone().requires_grad_(), weight, targets)
    frozen.sum().backward()


def test_language_modelling_is_not_a_task_for_answers() -> None:
    assert LanguageModelling().reads == "sequences" and KTO().whole_batch
