"""Step arithmetic (O31, O32) and the train stage's small configs."""

from __future__ import annotations

import itertools
import math

import pytest
from pydantic import ValidationError

from ropewalk.train.settings import BatchSize, Budget, EarlyStopping, Evaluation, Saving


@pytest.mark.parametrize("epochs", [1, 2])
def test_updates_are_whole_epochs(epochs: int) -> None:
    for n, size, accumulation in itertools.product((1, 7, 8, 9, 260), (1, 4, 16), (1, 2, 3)):
        steps_per_epoch = math.ceil(n / (size * accumulation))
        assert Budget(epochs=epochs).total_steps(steps_per_epoch, 10 * n) == epochs * math.ceil(math.ceil(n / size) / accumulation)


def test_a_budget_is_counted_in_updates() -> None:
    assert Budget(steps="1k").total_steps(7, 70) == 1000
    assert Budget(tokens="300k").total_steps(20, 40_000) == 150
    assert Budget(tokens=40_001).total_steps(20, 40_000) == 21
    assert Budget(tokens=1).total_steps(20, 40_000) == 1
    assert Budget(epochs=0.5).total_steps(7, 70) == 4


@pytest.mark.parametrize("given", [{}, {"tokens": 1, "steps": 1}, {"steps": 0}, {"epochs": -1}, {"minutes": 5}])
def test_a_budget_is_one_positive_number(given: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Budget(**given)


def test_a_batch_is_whole_sequences() -> None:
    assert BatchSize().num_sequences(256) == 16
    assert BatchSize(sequences=3).num_sequences(256) == 3
    assert BatchSize(tokens="8k").num_sequences(256) == 31
    assert BatchSize(tokens=100).num_sequences(256) == 1
    with pytest.raises(ValidationError, match="not both"):
        BatchSize(sequences=3, tokens=100)


def test_evaluations_are_five_unless_said_otherwise() -> None:
    assert [Evaluation().interval(n) for n in (1, 5, 6, 100)] == [1, 1, 2, 20]
    assert Evaluation(every=0).interval(100) == 0 and Evaluation(every=7).interval(100) == 7


def test_patience_and_kept_checkpoints_are_positive() -> None:
    for wrong in (lambda: EarlyStopping(patience=0), lambda: Saving(keep=0), lambda: Saving(every=0)):
        with pytest.raises(ValidationError):
            wrong()
