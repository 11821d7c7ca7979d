"""Stopping changes nothing: weights, optimizer, average, best, patience and log are bitwise those of an unbroken run (O33, O39)."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ropewalk.core.errors import DiskError, Interrupted
from ropewalk.core.events import Ended, Evaluated, Event, Recovered, Saved, StepEnded, StopRequest
from ropewalk.data.loader import Loader
from ropewalk.optim.adamw import AdamW
from ropewalk.optim.muon import Muon
from ropewalk.optim.optimizer import Optimizer
from ropewalk.tasks.lm import LanguageModelling
from ropewalk.tasks.measure import mean_loss
from ropewalk.tasks.sft import SupervisedFineTuning
from ropewalk.train.checkpoint import Snapshot, restore
from ropewalk.train.loop import precision
from ropewalk.train.state import TrainState
from training_kit import Run, make_state, make_tokens, plan, weights

STEPS = 15  # 37 sequences, 8 an update in micro-batches of 4, 3 epochs


def timeless(state: TrainState) -> dict[str, Any]:
    """The scalars without the clock."""
    return {name: value for name, value in state.scalars().items() if name != "seconds"}


def losses_of(state: TrainState, holdout: Loader, train: Loader) -> Callable[[], dict[str, float]]:
    """The evaluator that the stage builds."""
    loaders = {"holdout_loss": holdout, "train_loss": train}
    return lambda: {n: mean_loss(LanguageModelling(), state.model, own, 3, "cpu", precision(plan(1))) for n, own in loaders.items()}


@pytest.mark.parametrize(("optimizer", "masked"), [(AdamW(lr=0.01), False), (Muon(lr=0.02), True)], ids=["adamw", "muon-sft"])
def test_resuming_from_every_step_gives_the_same_bits(tmp_path: Path, optimizer: Optimizer, masked: bool) -> None:
    """O39, with dropout, accumulation, an average, clipping and evaluation."""
    lengths = [13 + step % 3 for step in range(43)]
    tokens = make_tokens(
        tmp_path / "tokens", lengths, 16, "pad", trained=[3 + step % 7 for step in range(43)] if masked else None, holdout=6
    )
    loader = Loader(tokens, "train", 8, seed=3)
    assert len(tokens.sequences("train")) == 37 and loader.steps_per_epoch * 3 == STEPS
    task = SupervisedFineTuning() if masked else LanguageModelling()
    chosen = plan(STEPS, save_every=1, evaluate_every=4, average_decay=0.9, clip=1.0)
    held_out, seen = Loader(tokens, "holdout", 6, seed=9), Loader(tokens, "train", 6, seed=9)

    def fresh() -> TrainState:
        return make_state(optimizer=optimizer, average=True)

    whole, state = Run(tmp_path / "whole"), fresh()
    whole.go(state, loader, chosen, task=task, evaluate=losses_of(state, held_out, seen))
    expected, scalars, log = weights(state), timeless(state), whole.log_path.read_bytes()
    assert len(whole.of(Evaluated)) == 4 and state.best is not None
    for step in range(1, STEPS):
        again, state = Run(tmp_path / f"from{step}"), fresh()
        restore(state, whole.checkpoints.place(step))
        assert state.step == step
        again.log_path.parent.mkdir()
        shutil.copyfile(whole.log_path, again.log_path)
        again.go(state, loader, chosen, task=task, evaluate=losses_of(state, held_out, seen))
        assert weights(state) == expected, f"from step {step}"
        assert timeless(state) == scalars and again.log_path.read_bytes() == log
    rows = [json.loads(line) for line in log.splitlines()]
    assert [row["step"] for row in rows if row["event"] == "step"] == list(range(1, STEPS + 1))


def test_a_signal_saves_at_the_next_step_and_the_rest_is_as_if_nothing_happened(tmp_path: Path) -> None:
    loader = Loader(make_tokens(tmp_path / "tokens", [20] * 16, 19), "train", 4, seed=3)
    whole, broken = Run(tmp_path / "whole"), Run(tmp_path / "broken")
    expected = whole.go(make_state(), loader, plan(6))
    for number, code, at in ((signal.SIGTERM, 143, 2), (signal.SIGINT, 130, 6)):
        state = make_state()
        found = broken.checkpoints.newest()
        if found:
            restore(state, found.path)

        def received(number: signal.Signals = number, at: int = at, state: TrainState = state) -> signal.Signals | None:
            return number if state.step == at else None

        with pytest.raises(Interrupted, match=f"stopped by {number.name} after step {at} of 6, which is saved") as caught:
            broken.go(state, loader, plan(6), interrupted=received)
        assert caught.value.code == code and broken.events[-1] == Ended(at, number.name)
        assert [saved.step for saved in broken.of(Saved)][-1] == at
    state = make_state()
    found = broken.checkpoints.newest()
    assert found
    restore(state, found.path)
    broken.go(state, loader, plan(6))
    assert weights(state) == weights(expected) and broken.log_path.read_bytes() == whole.log_path.read_bytes()
    assert broken.events[-1] == Ended(6, "budget spent")


def test_a_listeners_wish_to_stop_is_granted_after_saving(tmp_path: Path) -> None:
    loader = Loader(make_tokens(tmp_path / "tokens", [20] * 16, 19), "train", 4, seed=3)
    run = Run(tmp_path)

    def pruner(event: Event) -> StopRequest | None:
        return StopRequest("pruned") if isinstance(event, StepEnded) and event.step == 3 else None

    with pytest.raises(Interrupted, match="stopped by pruned after step 3"):
        run.go(make_state(), loader, plan(6), listener=pruner)
    assert run.checkpoints.steps() == [3]


def numbers(*values: float) -> Callable[[], dict[str, float]]:
    """An evaluator that gives these, one after the other."""
    course: Iterator[float] = iter(values)
    return lambda: {"holdout_loss": next(course)}


def test_patience_and_best_survive_a_resume(tmp_path: Path) -> None:
    """O33: patience 3; two bad evaluations, a stop, and the next bad one ends it. NaN is bad and never best."""
    loader = Loader(make_tokens(tmp_path / "tokens", [20] * 16, 19), "train", 4, seed=3)
    chosen = plan(20, evaluate_every=2, patience=3)
    first, state = Run(tmp_path), make_state()

    def stop(event: Event) -> StopRequest | None:
        return StopRequest("test") if isinstance(event, Evaluated) and event.step == 8 else None

    with pytest.raises(Interrupted):
        first.go(state, loader, chosen, evaluate=numbers(float("nan"), 2.0, 2.5, float("nan")), listener=stop)
    assert [(event.best, event.patience_left) for event in first.of(Evaluated)] == [(False, 2), (True, 3), (False, 2), (False, 1)]
    second, state = Run(tmp_path), make_state()
    found = second.checkpoints.newest()
    assert found
    restore(state, found.path)
    assert (state.best, state.best_step, state.bad_evaluations) == (2.0, 4, 2)
    second.go(state, loader, chosen, evaluate=numbers(2.0))
    assert state.step == 10 and second.events[-1] == Ended(10, "not better for 3 evaluations", {"holdout_loss": 2.0})
    third, state = Run(tmp_path), make_state()
    restore(state, third.checkpoints.place(10))
    third.go(state, loader, chosen, evaluate=numbers())
    assert state.step == 10 and not third.of(StepEnded), "what has ended stays ended"


def test_a_new_best_is_saved_and_kept(tmp_path: Path) -> None:
    """O36: best and last, nothing else."""
    loader = Loader(make_tokens(tmp_path / "tokens", [20] * 16, 19), "train", 4, seed=3)
    run = Run(tmp_path, keep=1)
    run.go(make_state(), loader, plan(8, evaluate_every=2, save_every=1), evaluate=numbers(3.0, 2.0, 2.5, 2.25))
    assert run.checkpoints.steps() == [8, 4]
    lazy = Run(tmp_path / "lazy")
    lazy.go(make_state(), loader, plan(8, evaluate_every=2, save_best=False), evaluate=numbers(3.0, 2.0, 2.5, 2.25))
    assert lazy.checkpoints.steps() == [8]


def failing(run: Run, *at: int) -> Callable[[Any], Any]:
    """`Checkpoints.save` of a disk that is full at some steps."""
    save = run.checkpoints.save

    def saved(snapshot: Snapshot) -> Path:
        if snapshot.scalars["step"] in at:
            raise DiskError("no space left")
        return save(snapshot)

    return saved


def test_a_save_that_fails_on_the_way_is_said_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loader = Loader(make_tokens(tmp_path / "tokens", [20] * 16, 19), "train", 4, seed=3)
    run = Run(tmp_path)
    monkeypatch.setattr(run.checkpoints, "save", failing(run, 2))
    run.go(make_state(), loader, plan(6, save_every=2))
    assert run.of(Recovered) == [Recovered(2, "not saved, trying again later: no space left")]
    assert run.checkpoints.steps() == [6, 4]


@pytest.mark.parametrize("at", [3, 6])
def test_the_best_and_the_last_must_be_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    loader = Loader(make_tokens(tmp_path / "tokens", [20] * 16, 19), "train", 4, seed=3)
    run = Run(tmp_path)
    monkeypatch.setattr(run.checkpoints, "save", failing(run, at))
    with pytest.raises(DiskError):
        run.go(make_state(), loader, plan(6, save_every=2, evaluate_every=3), evaluate=numbers(3.0, 4.0))
