"""What a user sees of a training run."""

from __future__ import annotations

import logging

import pytest

from ropewalk.core.events import Ended, Evaluated, Recovered, Saved, Started, StepEnded
from ropewalk.core.log import Progress
from ropewalk.train.listeners.console import console


class Bar(Progress):
    """Keeps what it is told."""

    notes: tuple[str, ...] = ()

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        self.done += amount
        self.notes += (note,)


def test_a_run_is_told_line_by_line(caplog: pytest.LogCaptureFixture, tmp_path: object) -> None:
    caplog.set_level(logging.INFO)
    bar = Bar("base", 640, "tokens", quiet=True)
    heard = console("base", bar, logging.getLogger("seen"))
    heard(Started(0, 10, {"parameters": 4_200_000, "device": "cpu"}))
    for number, loss in ((1, 3.0), (2, 2.0)):
        heard(StepEnded(number, 10, loss, 0.1, 1.0, 64, 0.5))
    heard(Evaluated(2, {"holdout_loss": 2.5, "train_loss": 2.25}, True, 3))
    heard(Evaluated(3, {"holdout_loss": 2.75}, False, 2))
    heard(Recovered(3, "loss is nan: batch left out (1 so far)"))
    heard(Saved(3, None, 0.1))  # type: ignore[arg-type]
    heard(Ended(10, "budget spent"))
    assert [record.message for record in caplog.records] == [
        "base: starts, 10 steps in all (parameters 4.2M, device cpu)",
        "base: step 2: holdout_loss 2.5000, train_loss 2.2500 · new best · patience 3",
        "base: step 3: holdout_loss 2.7500 · patience 2",
        "base: step 3: loss is nan: batch left out (1 so far)",
        "base: ended at step 10: budget spent",
    ]
    assert bar.done == 128 and bar.notes == ("step 1/10 · loss 3.000", "step 2/10 · loss 2.900")


def test_a_resumed_run_says_where(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    console("base", Bar("base", 1, "tokens", quiet=True), logging.getLogger("seen"))(Started(7, 10))
    assert "base: goes on at step 7, 10 steps in all" in caplog.text
