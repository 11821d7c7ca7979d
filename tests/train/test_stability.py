"""Spikes, rollback, errors that nobody foresaw, time as a budget, and saves beside training."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from ropewalk.core.errors import DiskError, NotFinite
from ropewalk.core.events import Ended, Evaluated, Recovered, Saved, StepEnded
from ropewalk.data.loader import Loader
from ropewalk.train.checkpoint import Snapshot
from ropewalk.train.faults import Faults
from ropewalk.train.signals import StopSignals
from ropewalk.train.stability import ENOUGH_STEPS, GROWTH_STEPS, WINDOW_STEPS, grown, not_finite, remember, spike
from training_kit import PLAIN, Run, make_state, make_tokens, plan, weights


@pytest.fixture
def loader(tmp_path: Path) -> Loader:
    return Loader(make_tokens(tmp_path / "tokens", [9 + n % 12 for n in range(28)], 20, "pad"), "train", 4, seed=3)


def test_a_spike_is_far_above_what_was() -> None:
    calm = [3.0 + 0.1 * (n % 5) for n in range(ENOUGH_STEPS)]
    assert spike(calm, calm, 3.6, 3.0) == "" and "loss is 30" in spike(calm, calm, 30.0, 3.0)
    assert "gradient norm is 32" in spike(calm, calm, 3.0, 32.0)
    assert spike(calm[:-1], calm[:-1], 1e9, 1e9) == "", "too few steps to say"
    flat = [1.0] * WINDOW_STEPS
    assert spike(flat, flat, 1.1, 1.0) == "" and spike(flat, flat, 1.2, 1.0)
    assert spike(flat, flat, 0.0, 0.0) == "", "falling is no spike"
    window: list[float] = []
    for value in range(3 * WINDOW_STEPS):
        remember(window, float(value))
    assert len(window) == WINDOW_STEPS and window[-1] == 3 * WINDOW_STEPS - 1
    assert not_finite(1.0, 1.0) == "" and "nan" in not_finite(float("nan"), 1.0) and "inf" in not_finite(1.0, float("inf"))


def test_going_back_leaves_the_guilty_batch_out_and_the_log_whole(tmp_path: Path, loader: Loader) -> None:
    """Update 5 finds NaN: back to step 4 (saved), batch 4 is never trained on; equal to a run without that batch."""
    run, state = Run(tmp_path / "a"), make_state(PLAIN)
    run.go(state, loader, plan(8, save_every=2, on_not_finite="rollback"), faults=Faults(nan_at=[6]))
    assert state.rollbacks == 1 and state.excluded == [5] and state.skipped == 1 and state.step == 8
    assert "back to step 4, and batch 5 will be left out" in run.of(Recovered)[0].what
    skipping, other = Run(tmp_path / "b"), make_state(PLAIN)
    skipping.go(other, loader, plan(8, on_not_finite="skip"), faults=Faults(nan_at=[6]))
    assert weights(state) == weights(other), "leaving out gives the same as never having looked"
    steps = [line for line in run.log_path.read_text().splitlines() if '"event": "step"' in line]
    assert [f'"step": {n},' in line for n, line in enumerate(steps, 1)] == [True] * 8, "each step once"


def test_going_back_does_not_go_round_in_circles(tmp_path: Path, loader: Loader) -> None:
    run, state = Run(tmp_path), make_state(PLAIN)
    with pytest.raises(NotFinite, match="batches before"):
        run.go(state, loader, plan(8, save_every=2, on_not_finite="rollback"), faults=Faults(nan_at=[3, 4, 5, 6, 3, 3, 3, 3, 3, 3]))
    assert len(run.of(Recovered)) < 12


def test_without_a_checkpoint_the_batch_is_left_out(tmp_path: Path, loader: Loader) -> None:
    run, state = Run(tmp_path), make_state(PLAIN)
    run.go(state, loader, plan(3, on_not_finite="rollback"), faults=Faults(nan_at=[1]))
    assert state.rollbacks == 0 and state.skipped == 1 and "left out" in run.of(Recovered)[0].what


@pytest.mark.parametrize("policy", ["tell", "skip", "stop"])
def test_spikes_are_told_left_out_or_the_end(tmp_path: Path, loader: Loader, policy: Any) -> None:
    run, state = Run(tmp_path), make_state(PLAIN)
    state.losses, state.norms = [0.001] * ENOUGH_STEPS, [1e9] * ENOUGH_STEPS  # as if it had been at peace
    if policy == "stop":
        with pytest.raises(NotFinite, match="standard deviations above"):
            run.go(state, loader, plan(2, on_spike=policy))
        assert state.step == 0
        return
    if policy == "skip":
        with pytest.raises(NotFinite):  # each batch is one
            run.go(state, loader, plan(2, on_spike=policy))
        assert state.skipped == 4
        return
    run.go(state, loader, plan(1, on_spike=policy))
    assert "nothing was done" in run.of(Recovered)[0].what and state.step == 1


def test_an_unforeseen_error_saves_and_ends_or_is_tried_again(tmp_path: Path, loader: Loader) -> None:
    run, state = Run(tmp_path / "a"), make_state()
    with pytest.raises(RuntimeError, match="as the recipe's faults ask for"):
        run.go(state, loader, plan(4), faults=Faults(error_at=[3]))
    assert run.checkpoints.steps() == [2] and "RuntimeError" in run.of(Ended)[0].reason
    again, healed, calm = Run(tmp_path / "b"), make_state(), make_state()
    again.go(healed, loader, plan(4, on_error="resume"), faults=Faults(error_at=[3, 3]))
    Run(tmp_path / "c").go(calm, loader, plan(4))
    assert weights(healed) == weights(calm) and len(again.of(Recovered)) == 2
    with pytest.raises(RuntimeError):
        Run(tmp_path / "d").go(make_state(), loader, plan(4, on_error="resume"), faults=Faults(error_at=[3] * 9))


def test_time_may_be_the_budget(tmp_path: Path, loader: Loader) -> None:
    run, state = Run(tmp_path), make_state(PLAIN)
    chosen = plan(2**40, total_seconds=0.3, evaluate_seconds=0.1, save_seconds=0.1)
    run.go(state, loader, chosen, evaluate=lambda: {"holdout_loss": 1.0})
    assert state.stopped == "0 seconds are over" and 0.3 <= state.seconds < 3
    assert run.of(Evaluated)[-1].step == state.step and run.checkpoints.steps()[0] == state.step
    rates = [event.learning_rate for event in run.of(StepEnded)]
    assert rates[0] < max(rates) and rates[-1] < 0.35 * max(rates), "the schedule runs over the time"


class Slow:
    """Checkpoints on a disk that takes its time."""

    def __init__(self, run: Run, seconds: float, wrong: str = "") -> None:
        self.save_now, self.seconds, self.wrong = run.checkpoints.save, seconds, wrong
        self.threads: set[str] = set()

    def __call__(self, snapshot: Snapshot) -> Path:
        time.sleep(self.seconds)
        self.threads.add(threading.current_thread().name)
        if self.wrong:
            raise DiskError(self.wrong)
        return self.save_now(snapshot)


def test_a_save_beside_training_writes_the_state_as_it_was(tmp_path: Path, loader: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, beside = Run(tmp_path / "a"), Run(tmp_path / "b", background=True)
    slow = Slow(beside, 0.05)
    monkeypatch.setattr(beside.checkpoints, "save", slow)
    plain.go(make_state(average=True), loader, plan(6, save_every=2, average_decay=0.9))
    beside.go(make_state(average=True), loader, plan(6, save_every=2, average_decay=0.9))
    assert slow.threads == {"checkpoint"} and [event.step for event in beside.of(Saved)] == [2, 4, 6]
    for step in (2, 4, 6):
        for name in ("model.safetensors", "optimizer.safetensors", "average.safetensors"):
            assert (plain.checkpoints.place(step) / name).read_bytes() == (beside.checkpoints.place(step) / name).read_bytes()


def test_a_save_beside_training_that_fails_is_told_or_ends_the_run(tmp_path: Path, loader: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(tmp_path, background=True)
    monkeypatch.setattr(run.checkpoints, "save", Slow(run, 0.01, "no space left"))
    with pytest.raises(DiskError, match="no space left"):
        run.go(make_state(), loader, plan(5, save_every=2))
    assert {event.what for event in run.of(Recovered)} == {"not saved, trying again later: no space left"}


def test_the_user_signal_saves_and_goes_on(tmp_path: Path, loader: Loader) -> None:
    run, state = Run(tmp_path), make_state()

    def poke(event: Any) -> None:
        if isinstance(event, StepEnded) and event.step == 2:
            signal.raise_signal(signal.SIGUSR1)

    with StopSignals() as signals:
        run.go(state, loader, plan(4), listener=poke, save_wanted=signals.save_wanted, interrupted=lambda: signals.received)
    assert state.step == 4 and run.checkpoints.steps() == [4, 2]
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL


def test_an_overflow_in_fp16_makes_the_same_update_again(tmp_path: Path, loader: Loader) -> None:
    """O37: schedule, step, average and decay are unmoved by the update that was skipped; the rates are those of a calm run."""
    chosen = {"autocast": torch.float16, "scaled": True, "average_decay": 0.9}
    calm, quiet = Run(tmp_path / "calm"), make_state(PLAIN, average=True)
    calm.go(quiet, loader, plan(5, **chosen))
    run, state = Run(tmp_path / "hit"), make_state(PLAIN, average=True)
    run.go(state, loader, plan(5, **chosen), faults=Faults(nan_at=[2, 2]))
    assert state.rescaled == 2 and state.scale == 65536 / 4 and state.skipped == 0 and state.position == state.step == 5
    assert [event.learning_rate for event in run.of(StepEnded)] == [event.learning_rate for event in calm.of(StepEnded)]
    assert "made again with the loss scaled by 32768" in run.of(Recovered)[0].what
    for name, tensor in quiet.model.state_dict().items():
        torch.testing.assert_close(state.model.state_dict()[name], tensor, rtol=1e-3, atol=1e-3)


def test_a_scale_that_finds_no_end_stops(tmp_path: Path, loader: Loader) -> None:
    state = make_state(PLAIN)
    with pytest.raises(NotFinite):
        Run(tmp_path).go(state, loader, plan(3, autocast=torch.float16, scaled=True), faults=Faults(nan_at=[1] * 99))
    assert state.scale == 1.0 and state.step == 0


def test_a_scale_grows_after_a_long_peace() -> None:
    assert grown(8.0, 10) == (8.0, 11) and grown(8.0, GROWTH_STEPS - 1) == (16.0, 0)
