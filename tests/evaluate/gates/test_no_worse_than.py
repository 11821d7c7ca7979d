"""No task may regress: a planted regression that the average hides is caught, chance is not; corrected for the number of tasks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from ropewalk.core.artifact import Manifest
from ropewalk.core.errors import ConfigError, DataError
from ropewalk.evaluate.gates.gate import Finding
from ropewalk.evaluate.gates.no_worse_than import NoWorseThan, holm
from ropewalk.evaluate.intervals import sign_flip_test
from ropewalk.evaluate.scores import Measure, Scores, SuiteResult, write_scores
from ropewalk.evaluate.verdict import Verdict, write_verdict

TASKS, ITEMS = 10, 400


def scores(folder: Path, answers: np.ndarray, names: str = "i") -> Scores:
    """Accuracy of (tasks, items) answers."""
    folder.mkdir()
    ids = [f"{names}{number}" for number in range(answers.shape[1])]
    results = {
        f"task{place}": SuiteResult(ids, ids, [Measure("accuracy", "share", row.astype(float), np.ones(len(row)), True, "proportion")])
        for place, row in enumerate(answers)
    }
    write_scores(folder, results, 0)
    return Scores(folder, Manifest("Scores"))


def answered(seed: int, change: float, of: np.ndarray | None = None) -> np.ndarray:
    """Right answers; with `of`, the same but for a share `change` of the items that turn right (or wrong, below 0), some at random."""
    draw = np.random.default_rng(seed)
    if of is None:
        return draw.random((TASKS, ITEMS)) < 0.6
    noise = draw.random(of.shape) < 0.02
    turned = draw.random(of.shape) < abs(change)
    return np.where(turned, change > 0, of ^ noise)


def check(own: Scores, other: Scores, **fields: object) -> Finding:
    return NoWorseThan(than="before", **fields).check(own, lambda ref: other)


def test_a_planted_regression_that_the_average_hides_is_caught(tmp_path: Path) -> None:
    before = answered(0, 0)
    after = answered(1, 0.1, before)
    after[7] = answered(2, -0.15, before)[7]
    assert after.mean() > before.mean() + 0.01, "the average rises"
    finding = check(scores(tmp_path / "after", after), scores(tmp_path / "before", before))
    assert not finding.passed and [part.metric for part in finding.parts if not part.passed] == ["task7/accuracy"]
    for part in ("1 of 10 tasks worse than before", "n=4000", "average +0.0", "task7/accuracy worse by 0.", "p=0.0", "off by"):
        assert part in finding.message
    assert check(scores(tmp_path / "again", after), Scores(tmp_path / "before", Manifest("Scores")), margin=0.2).passed
    write_verdict(tmp_path, "gate", [finding])
    assert Verdict(tmp_path, Manifest("Verdict")).failures == [finding.message]
    assert 'tests="11" failures="2"' in (tmp_path / "junit.xml").read_text()


def test_a_model_that_is_nowhere_worse_is_refused_no_oftener_than_promised(tmp_path: Path) -> None:
    refused = 0
    for trial in range(60):
        draw = np.random.default_rng(100 + trial)
        rows = draw.random((2, 6, 100)) < 0.5
        chances = [
            sign_flip_test((own.astype(float), np.ones(100)), (other.astype(float), np.ones(100)), seed=trial)
            for own, other in zip(*rows, strict=True)
        ]
        refused += min(holm(chances)) < 0.05
    assert refused <= 8  # 3 expected; more than 8 of 60 has a chance of 0.1%


def test_holm_equals_statsmodels() -> None:
    chances = [0.01, 0.04, 0.03, 0.005, 0.5, 1.0]
    assert holm(chances) == pytest.approx(multipletests(chances, method="holm")[1].tolist())


def test_the_sign_flip_test_is_mcnemars_on_right_and_wrong() -> None:
    own, other = np.zeros(40), np.zeros(40)
    other[:9], own[9:11] = 1, 1  # nine items lost, two won
    from scipy.stats import binomtest

    found = sign_flip_test((own, np.ones(40)), (other, np.ones(40)))
    assert found == pytest.approx(binomtest(2, 11, alternative="less").pvalue, abs=1e-9)
    assert (
        sign_flip_test((own, np.ones(40)), (own, np.ones(40))) == 1.0
        and sign_flip_test((own, np.ones(40)), (other, np.ones(40)), 0.3) > 0.5
    )


def test_other_items_other_tasks_and_one_item(tmp_path: Path) -> None:
    rows = answered(0, 0)
    own = scores(tmp_path / "a", rows)
    with pytest.raises(DataError, match=r"task0/accuracy: before answered other items \(800 differ\)"):
        check(own, scores(tmp_path / "b", rows, names="other"))
    with pytest.raises(ConfigError, match="did you mean 'task1/accuracy'"):
        check(own, own, metrics=["task1/acuracy"])
    one = scores(tmp_path / "c", rows[:1, :3])
    assert check(one, one).passed and one.metric("task0/accuracy").high - one.metric("task0/accuracy").low > 0.6
