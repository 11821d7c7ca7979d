"""The Diebold-Mariano test against statsmodels and scipy, and the gate on scores made by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ropewalk.core.artifact import Manifest
from ropewalk.core.errors import DataError
from ropewalk.evaluate.gates.beats_naive import BeatsNaive, diebold_mariano, student_tail
from ropewalk.evaluate.scores import Measure, Scores, SuiteResult, write_scores


@pytest.mark.parametrize("freedom", [1, 3, 9, 49, 300])
@pytest.mark.parametrize("value", [-4.0, -0.5, 0.0, 1.0, 2.5, 12.0])
def test_students_tail_is_scipys(value: float, freedom: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    assert student_tail(value, freedom) == pytest.approx(stats.t.sf(value, freedom), abs=1e-9)


@pytest.mark.parametrize("overlap", [0, 2])
def test_the_statistic_is_that_of_a_regression_with_hac_errors_and_the_small_sample_factor(overlap: int) -> None:
    api = pytest.importorskip("statsmodels.api")
    draws = np.random.default_rng(5).normal(0.2, 1, 40)
    draws[1:] += 0.5 * draws[:-1]
    fit = api.OLS(draws, np.ones(40)).fit(cov_type="HAC", cov_kwds={"maxlags": overlap, "kernel": lambda n: np.ones(n + 1)})
    steps = overlap + 1
    factor = math.sqrt((41 - 2 * steps + steps * (steps - 1) / 40) / 40)
    assert diebold_mariano(draws, overlap)[0] == pytest.approx(float(fit.tvalues[0]) * factor, rel=1e-9)


def test_equals_are_found_different_as_rarely_as_the_level_says() -> None:
    draws = np.random.default_rng(6).normal(0, 1, (2000, 20))
    found = np.mean([diebold_mariano(row, 0)[1] < 0.05 for row in draws])
    assert 0.035 < found < 0.065


def test_differences_without_spread_are_decided_by_their_sign() -> None:
    assert [diebold_mariano(np.full(9, value), 0)[1] for value in (1.0, 0.0, -1.0)] == [0.0, 0.5, 1.0]


def scores(folder: Path, own: Any, naive: Any) -> Scores:
    stamps = [f"2024-{number:02d}" for number in range(1, len(own) + 1)]
    measure = Measure("mae", "unit", np.asarray(own), np.ones(len(own)), baselines={"naive": np.asarray(naive)})
    write_scores(folder, {"forecast": SuiteResult(stamps, stamps, [measure], {"overlap": 0})}, 0)
    return Scores(folder, Manifest("Scores"))


DRAWS = np.random.default_rng(7).uniform(0.5, 1.5, 20)


@pytest.mark.parametrize(
    ("naive", "better", "no_worse"),
    [(DRAWS + 0.5, True, True), (DRAWS + np.tile([0.1, -0.1], 10), False, True), (DRAWS - 0.4, False, False)],
    ids=["better", "tie", "worse"],
)
def test_a_tie_passes_only_where_it_is_allowed(tmp_path: Path, naive: Any, better: bool, no_worse: bool) -> None:
    found = scores(tmp_path, DRAWS, naive + np.random.default_rng(8).normal(0, 0.01, 20))
    assert BeatsNaive().check(found, lambda ref: None).passed is better
    finding = BeatsNaive(require="no_worse").check(found, lambda ref: None)
    assert finding.passed is no_worse and "20 origins: Diebold-Mariano" in finding.message and finding.baseline == "naive"


def test_few_origins_make_no_test(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="7 origins are too few"):
        BeatsNaive().check(scores(tmp_path, DRAWS[:7], DRAWS[:7] + 1), lambda ref: None)
