"""Measures of two classes as scikit-learn has them, with intervals that cover, and without NaN where there is something to measure."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from ropewalk.evaluate.classification import Judgement, best_threshold, calibration, calibration_error, log_loss, macro_f1, roc_auc

ROWS = st.lists(st.tuples(st.integers(0, 20).map(lambda n: n / 20), st.booleans()), min_size=2, max_size=40).filter(
    lambda rows: len({label for _, label in rows}) == 2
)


@settings(max_examples=25)
@given(rows=ROWS)
def test_values_are_scikit_learns(rows: list[tuple[float, bool]]) -> None:
    scores, positive = np.array([score for score, _ in rows]), np.array([label for _, label in rows])
    said = scores >= 0.5
    found = roc_auc(scores, positive), macro_f1(said, positive), log_loss(scores * 0.98 + 0.01, positive)
    assert found[0].value == pytest.approx(metrics.roc_auc_score(positive, scores))
    assert found[1].value == pytest.approx(metrics.f1_score(positive, said, average="macro", labels=[False, True], zero_division=0))
    assert found[2].value == pytest.approx(metrics.log_loss(positive, scores * 0.98 + 0.01))
    assert all(interval.low <= interval.value + 1e-12 and interval.value <= interval.high + 1e-12 for interval in (found[0], found[2]))


@given(rows=ROWS)
def test_no_other_threshold_is_better(rows: list[tuple[float, bool]]) -> None:
    scores, positive = np.array([score for score, _ in rows]), np.array([label for _, label in rows])
    cuts = (np.unique(scores)[1:] + np.unique(scores)[:-1]) / 2
    best = macro_f1(scores >= best_threshold(scores, positive), positive).value
    assert best >= max([macro_f1(scores >= cut, positive).value for cut in cuts], default=0.0) - 1e-12


def test_the_interval_of_the_area_covers_as_often_as_it_says() -> None:
    draw = np.random.Generator(np.random.PCG64(7))
    truth = 0.5 * (1 + math.erf(1.0 / math.sqrt(2) / math.sqrt(2)))  # normals one standard deviation apart
    held = 0
    for _ in range(300):
        scores = np.concatenate([draw.normal(1, 1, 60), draw.normal(0, 1, 90)])
        interval = roc_auc(scores, np.arange(150) < 60)
        held += interval.low <= truth <= interval.high
    assert 0.91 <= held / 300 <= 0.985


def test_calibration_is_said_against_real_shares() -> None:
    probabilities, positive = np.array([0.05, 0.05, 0.95, 1.0]), np.array([False, True, True, True])
    bins = calibration(probabilities, positive)
    assert [(row["from"], row["texts"], row["positive"]) for row in bins] == [(0.0, 2, 0.5), (0.9, 2, 1.0)]
    assert calibration_error(bins) == pytest.approx((0.45 + 0.025) / 2)


def test_nothing_and_one_kind_are_no_crash() -> None:
    nothing, flags = np.empty(0), np.empty(0, np.bool_)
    assert math.isnan(roc_auc(nothing, flags).value) and math.isnan(macro_f1(flags, flags).value)
    assert math.isnan(calibration_error(calibration(nothing, flags)))
    one = Judgement.of(np.array([0.2, 0.9]), np.array([True, True]), 0.5)
    assert math.isnan(one.roc_auc.value) and one.macro_f1.value == pytest.approx(1 / 3)
    assert best_threshold(np.array([0.5, 0.5]), np.array([True, False])) == 0.5
    assert set(one.plain()) == {"roc_auc", "macro_f1", "macro_f1_at_half", "log_loss", "calibration_error"}


def test_classes_that_are_apart_have_an_area_of_one() -> None:
    interval = roc_auc(np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True]))
    assert (interval.value, interval.high) == (1.0, 1.0)
