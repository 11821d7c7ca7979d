"""Running out of memory changes nothing but the micro-batch: the same batches, the same draws, the same weights (R6)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from ropewalk.core.errors import OutOfMemory
from ropewalk.core.events import Ended, Recovered, StepEnded
from ropewalk.data.loader import Loader
from ropewalk.hardware.memory import MicroBatch, catching, find_micro_batch, retrying
from ropewalk.models.gpt_module import Decoder
from ropewalk.optim.adamw import AdamW
from ropewalk.optim.muon import Muon
from ropewalk.tasks.lm import LanguageModelling
from ropewalk.tasks.task import Loss, TorchBatch
from ropewalk.train.faults import Faults
from ropewalk.train.state import TrainState
from training_kit import Run, make_state, make_tokens, plan, weights

STEPS = 6


@pytest.fixture
def loader(tmp_path: Path) -> Loader:
    return Loader(make_tokens(tmp_path / "tokens", [9 + n % 12 for n in range(24)], 20, "pad", holdout=4), "train", 8, seed=3)


def close(ours: TrainState, theirs: TrainState) -> None:
    for name, parameter in ours.model.state_dict().items():
        torch.testing.assert_close(parameter, theirs.model.state_dict()[name], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("optimizer", [AdamW(lr=1e-3), Muon(lr=0.01, adam_lr=1e-3)], ids=["adamw", "muon"])
@pytest.mark.parametrize("where", ["forward", "backward", "optimizer", "evaluate"])
def test_a_run_that_ran_out_equals_one_that_did_not(tmp_path: Path, loader: Loader, where: Any, optimizer: Any) -> None:
    """With dropout, clipping and an average; at the first update, in the middle and at the last."""
    chosen = plan(STEPS, micro_batch=8, evaluate_every=1, clip=0.5, average_decay=0.9)
    calm = make_state(optimizer=optimizer, average=True)
    Run(tmp_path / "calm").go(calm, loader, chosen, evaluate=lambda: {"holdout_loss": 1.0})
    run, state = Run(tmp_path / "hit"), make_state(optimizer=optimizer, average=True)
    faults = Faults(oom_at=[1, 3, STEPS], where=where)
    run.go(state, loader, chosen, evaluate=lambda: {"holdout_loss": 1.0}, faults=faults)
    close(state, calm)
    said = [event.what for event in run.of(Recovered)]
    assert len(said) == 3 and all("out of memory at update" in what for what in said)
    assert run.sizes.size == (8 if where == "optimizer" else 1) and state.step == STEPS


def test_each_attempt_halves_until_recomputation_and_then_a_save(tmp_path: Path, loader: Loader) -> None:
    """At most log2(micro-batch) + 2 attempts; the state before the step is saved, and the error says what helps."""
    run, state = Run(tmp_path), make_state()
    with pytest.raises(OutOfMemory, match="one sequence at a time does not fit") as caught:
        run.go(state, loader, plan(STEPS, micro_batch=8), faults=Faults(oom_at=[3] * 9))
    assert caught.value.exit_code == 5 and "smaller model" in caught.value.remedy
    assert len(run.of(Recovered)) == math.log2(8) + 1 and run.checkpoints.steps() == [2]
    assert "recomputed activations" in run.of(Recovered)[-1].what and run.of(Ended)[-1].step == 2
    healed, fresh = Run(tmp_path / "healed"), make_state()
    healed.go(fresh, loader, plan(STEPS, micro_batch=8))
    went_on = Run(tmp_path)
    went_on.go(state, loader, plan(STEPS, micro_batch=8))
    close(state, fresh)


def test_recomputed_activations_draw_the_same_dropout(tmp_path: Path, loader: Loader) -> None:
    plain, again = make_state(), make_state()
    again.model.checkpointing = True
    Run(tmp_path / "a").go(plain, loader, plan(3))
    Run(tmp_path / "b").go(again, loader, plan(3))
    assert weights(plain) == weights(again)


@pytest.mark.parametrize("micro_batch", [1, 3, 8])
def test_dropout_does_not_know_the_micro_batch(tmp_path: Path, loader: Loader, micro_batch: int) -> None:
    whole, parts = make_state(optimizer=AdamW(lr=1e-3)), make_state(optimizer=AdamW(lr=1e-3))
    Run(tmp_path / "a").go(whole, loader, plan(4, micro_batch=8))
    Run(tmp_path / "b").go(parts, loader, plan(4, micro_batch=micro_batch))
    close(parts, whole)


class HalfWay:
    """An update that runs out of memory after it has moved a weight."""

    def __init__(self, state: TrainState) -> None:
        self.model = state.model

    def step(self, factor: float) -> None:
        with torch.no_grad():
            next(self.model.parameters()).add_(1.0)
        raise torch.OutOfMemoryError("no more")

    def zero_grad(self) -> None:
        self.model.zero_grad()

    def state(self) -> dict[str, torch.Tensor]:
        return {}

    def load(self, state: dict[str, torch.Tensor]) -> None:
        assert not state


def test_weights_spoilt_half_way_are_never_saved(tmp_path: Path, loader: Loader) -> None:
    run, state = Run(tmp_path), make_state()
    state.update = HalfWay(state)
    with pytest.raises(OutOfMemory, match="in the middle of the update"):
        run.go(state, loader, plan(2))
    assert run.checkpoints.steps() == []


class Greedy(LanguageModelling):
    """Wants more memory than there is for more than two rows, as the CPU's allocator says it."""

    def loss(self, model: Decoder, batch: TorchBatch) -> Loss:
        if len(batch.tokens) > 2:
            torch.empty(1 << 60)
        return super().loss(model, batch)


def test_a_real_refusal_of_the_allocator_is_understood(tmp_path: Path, loader: Loader) -> None:
    run, state = Run(tmp_path), make_state()
    run.go(state, loader, plan(2, micro_batch=8), task=Greedy())
    assert run.sizes.size == 2 and [event.step for event in run.of(StepEnded)] == [1, 2]


def test_the_parts_of_the_ladder_can_be_used_alone() -> None:
    tried: list[int] = []

    def attempt(size: int) -> int:
        tried.append(size)
        if size > 3:
            raise MemoryError
        return size

    assert find_micro_batch(attempt, 20) == 3 and tried == [20, 10, 5, 3]
    assert find_micro_batch(lambda size: attempt(9), 4) == 0
    assert retrying(attempt)(12) == 3
    with pytest.raises(MemoryError, match="one sequence does not fit"):
        retrying(lambda size: attempt(9))(2)
    with catching() as ran:
        pass
    assert not ran.out_of_memory
    with pytest.raises(KeyError), catching():
        raise KeyError("another error passes")
    sizes = MicroBatch(3)
    assert sizes.shrink() and sizes.size == 2 and sizes.shrink() and not sizes.shrink()
