"""The loop's arithmetic: sums, weights, steps and rates (O29-O32), clipping, averaging, what it tells."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from ropewalk.core.events import Ended, Event, StepEnded
from ropewalk.data.loader import Loader
from ropewalk.optim.adamw import AdamW
from ropewalk.optim.schedules import Constant, Cosine, Linear, WarmupStableDecay
from ropewalk.tasks.sft import SupervisedFineTuning
from ropewalk.train.settings import Budget
from training_kit import PLAIN, Run, grabbing, make_state, make_tokens, plan, weights

UNEVEN = [1, 1, 1, 1, 30, 30, 30, 30]


def test_accumulation_is_the_big_batch(tmp_path: Path) -> None:
    """O29: means of means would err by a factor here."""
    tokens = make_tokens(tmp_path / "tokens", [n + 5 for n in UNEVEN], 40, "pad", trained=UNEVEN)
    loader = Loader(tokens, "train", 8, seed=1)
    gradients, losses = [], []
    for micro_batch in (8, 4, 3, 1):
        state, update = grabbing()
        run = Run(tmp_path / str(micro_batch))
        run.go(state, loader, plan(1, micro_batch=micro_batch), task=SupervisedFineTuning())
        gradients.append(update.seen[0])
        losses.append(run.of(StepEnded)[0].loss)
    state, _ = grabbing()
    batch = loader.at(0)
    total = torch.zeros(())
    for ids, targets, documents in zip(batch.tokens, batch.targets, batch.documents, strict=True):
        own = documents > 0
        logits = state.model.logits(state.model(torch.tensor(ids[own])[None]))[0]
        total = total + F.cross_entropy(logits, torch.tensor(targets[own]), reduction="sum", ignore_index=-100)
    mean = total / sum(UNEVEN)
    mean.backward()  # type: ignore[no-untyped-call]
    for found, loss in zip(gradients, losses, strict=True):
        assert loss == pytest.approx(mean.item(), rel=1e-6)
        for name, parameter in state.model.named_parameters():
            torch.testing.assert_close(found[name], parameter.grad, rtol=1e-5, atol=1e-6)


def test_the_last_short_batch_is_averaged_over_its_own_tokens(tmp_path: Path) -> None:
    """O30: 10 sequences, 4 an update: three updates an epoch, nothing carried over or lost."""
    counts = [3, 9, 1, 12, 5, 7, 2, 30, 4, 8]
    tokens = make_tokens(tmp_path / "tokens", [n + 3 for n in counts], 40, "pad", trained=counts)
    loader = Loader(tokens, "train", 4, seed=2)
    assert loader.steps_per_epoch == 3
    state, update = grabbing()
    run = Run(tmp_path)
    run.go(state, loader, plan(3, micro_batch=1), task=SupervisedFineTuning())
    assert [len(loader.at(step).sequences) for step in range(3)] == [4, 4, 2]
    for step, told in enumerate(run.of(StepEnded)):
        alone, looked = grabbing()
        single = Run(tmp_path / f"alone{step}")
        alone.step = alone.position = step
        single.go(alone, loader, plan(step + 1, micro_batch=4), task=SupervisedFineTuning())
        assert told.loss == pytest.approx(single.of(StepEnded)[0].loss, rel=1e-6)
        assert told.facts["predicted"] == loader.weight(step)
        for name, gradient in update.seen[step].items():
            torch.testing.assert_close(gradient, looked.seen[0][name], rtol=1e-5, atol=1e-6)
    assert sum(told.facts["predicted"] for told in run.of(StepEnded)) == sum(counts)


def test_epochs_are_whole_and_the_rate_ends_with_them(tmp_path: Path) -> None:
    """O31: each sequence `epochs` times; the final rate at the last update, not before and not after."""
    for n in (1, 7, 8, 9, 260):
        tokens = make_tokens(tmp_path / str(n), [3] * n, 2, "pad")
        for size, accumulation, epochs in itertools.product((1, 4, 16), (1, 2, 3), (1, 2)):
            loader = Loader(tokens, "train", size * accumulation, seed=n)
            total = Budget(epochs=epochs).total_steps(loader.steps_per_epoch, loader.tokens_per_epoch)
            assert total == epochs * math.ceil(math.ceil(n / size) / accumulation)
            seen = Counter(int(row) for step in range(total) for row in loader.at(step).sequences)
            assert seen == Counter(dict.fromkeys(range(n), epochs))
            for schedule in (Linear(), Cosine(), WarmupStableDecay()):
                factors = [schedule.factor(step, total) for step in range(total + 2)]
                assert factors[total - 1 :] == [0.0, 0.0, 0.0] and all(factors[: total - 1])


def test_steps_are_updates_and_not_micro_batches(tmp_path: Path) -> None:
    """O32: 10 updates of 64 micro-batches each; the factor stays between 0 and 1, also past the end."""
    loader = Loader(make_tokens(tmp_path / "tokens", [3] * 80, 2, "pad"), "train", 64, seed=1)
    state, update = grabbing(replace(PLAIN, depth=1))
    run = Run(tmp_path)
    run.go(state, loader, plan(10, micro_batch=1), schedule=Linear(warmup=0.1, final=0.25))
    assert state.step == 10 and len(update.factors) == 10 == len(run.of(StepEnded))
    assert update.factors[0] == 1.0 and update.factors[-1] == 0.25 and sorted(update.factors, reverse=True) == update.factors
    for schedule in (Linear(final=0.25), Cosine(), WarmupStableDecay(), Constant()):
        assert schedule.factor(10, 10) == schedule.factor(9, 10) == schedule.factor(1000, 10)
        assert all(0.0 <= schedule.factor(step, 10) <= 1.0 for step in range(1000))


def test_five_steps_equal_a_bare_loop(tmp_path: Path) -> None:
    """Against whole-batch full-logit cross-entropy, torch's clipping, and the same update."""
    loader = Loader(make_tokens(tmp_path / "tokens", [9, 30, 17, 40, 25, 12], 24), "train", 3, seed=4)
    run = Run(tmp_path)
    ours = run.go(make_state(PLAIN), loader, plan(5, micro_batch=1, clip=0.5))
    bare = make_state(PLAIN)
    bare.model.train()
    for step, told in enumerate(run.of(StepEnded)):
        batch = loader.at(step)
        columns = (batch.tokens, batch.positions, batch.documents)
        logits = bare.model.logits(bare.model(*(torch.tensor(column) for column in columns)))
        loss = F.cross_entropy(logits.flatten(0, 1), torch.tensor(batch.targets).flatten(), ignore_index=-100)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(bare.model.parameters(), 0.5)
        factor = Cosine(warmup=0.2).factor(step, 5)
        bare.update.step(factor)
        bare.update.zero_grad()
        assert told.loss == pytest.approx(loss.item(), rel=1e-5) and told.gradient_norm == pytest.approx(norm.item(), rel=1e-5)
        assert told.learning_rate == 0.01 * factor and told.tokens == int((batch.documents > 0).sum()) and told.seconds > 0
    for one, other in zip(ours.model.parameters(), bare.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=2e-5)
    assert ours.tokens == sum(told.tokens for told in run.of(StepEnded))
    assert run.of(Ended) == [Ended(5, "budget spent")]


@pytest.mark.parametrize("micro_batch", [1, 3, 8])
def test_the_micro_batch_does_not_show_in_the_weights(tmp_path: Path, micro_batch: int) -> None:
    loader = Loader(make_tokens(tmp_path / "tokens", range(3, 40), 32), "train", 8, seed=4)
    one = Run(tmp_path / "a").go(make_state(PLAIN, AdamW(lr=0.001)), loader, plan(4, micro_batch=8))
    other = Run(tmp_path / "b").go(make_state(PLAIN, AdamW(lr=0.001)), loader, plan(4, micro_batch=micro_batch))
    for left, right in zip(one.model.parameters(), other.model.parameters(), strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=1e-6)


def test_a_batch_that_predicts_nothing_moves_nothing(tmp_path: Path) -> None:
    tokens = make_tokens(tmp_path / "tokens", [9, 9, 9], 8, "pad", trained=[0, 0, 0])
    state = make_state()
    before = [parameter.detach().clone() for parameter in state.model.parameters()]
    run = Run(tmp_path)
    run.go(state, Loader(tokens, "train", 2, seed=1), plan(2))
    assert [(told.loss, told.facts["predicted"]) for told in run.of(StepEnded)] == [(0.0, 0), (0.0, 0)]
    assert all(torch.equal(*pair) for pair in zip(before, state.model.parameters(), strict=True))


def test_the_average_follows_the_weights(tmp_path: Path) -> None:
    loader = Loader(make_tokens(tmp_path / "tokens", [20] * 8, 19), "train", 2, seed=4)
    state = make_state(PLAIN, average=True)
    name = "blocks.0.mlp.up.weight"
    course = [state.model.get_parameter(name).detach().clone()]
    run = Run(tmp_path)
    run.go(
        state, loader, plan(4, average_decay=0.2), listener=lambda event: course.append(state.model.get_parameter(name).detach().clone())
    )
    expected = course[0]
    for step, now in enumerate(course[1:5]):
        decay = min(0.2, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * now
    assert state.average is not None
    torch.testing.assert_close(state.average[name], expected)
    assert not torch.equal(state.average[name], course[-1])


def test_evaluation_sees_the_average_without_dropout_and_leaves_no_trace(tmp_path: Path) -> None:
    loader = Loader(make_tokens(tmp_path / "tokens", [20] * 8, 19), "train", 2, seed=4)
    states, seen = [make_state(average=True) for _ in range(2)], []

    def evaluate() -> dict[str, float]:
        model = states[0].model
        assert not any(module.training for module in model.modules())
        seen.append({name: parameter.detach().clone() for name, parameter in model.named_parameters()})
        return {"holdout_loss": 1.0}

    averages = []

    def listen(event: Event) -> None:
        assert states[0].average is not None
        if isinstance(event, StepEnded):
            averages.append({name: tensor.clone() for name, tensor in states[0].average.items()})

    chosen = plan(3, average_decay=0.5, evaluate_every=1)
    Run(tmp_path / "a").go(states[0], loader, chosen, evaluate=evaluate, listener=listen)
    Run(tmp_path / "b").go(states[1], loader, plan(3, average_decay=0.5))
    assert weights(states[0]) == weights(states[1])
    assert len(seen) == 3
    for looked, average in zip(seen, averages, strict=True):
        assert all(torch.equal(looked[name], average[name]) for name in average)


def test_bf16_products_leave_fp32_weights_and_nearly_the_same_loss(tmp_path: Path) -> None:
    loader = Loader(make_tokens(tmp_path / "tokens", [20] * 8, 19), "train", 4, seed=4)
    runs = [Run(tmp_path / name) for name in ("fp32", "bf16")]
    for run, autocast in zip(runs, (None, torch.bfloat16), strict=True):
        state = run.go(make_state(replace(PLAIN, qk_norm=False)), loader, plan(2, autocast=autocast))
        assert {parameter.dtype for parameter in state.model.parameters()} == {torch.float32}
    losses = [[told.loss for told in run.of(StepEnded)] for run in runs]
    assert losses[0] != losses[1] and losses[0] == pytest.approx(losses[1], rel=0.02)
