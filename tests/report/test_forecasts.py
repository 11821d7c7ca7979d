"""The page's forecasts: a band for each origin, and what is said of naive."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ropewalk.report.facts import gather
from ropewalk.report.forecasts import forecasts
from ropewalk.report.svg import Band, Series, line_chart


def numbers(own: float, naive: float) -> dict[str, Any]:
    one = {"low": own, "high": own, "unit": "unit", "items": 2, "higher_is_better": False, "scale": "ratio"}
    metrics = [
        {"name": "mae", "value": own, "baselines": {"naive": naive}, **one},
        {"name": "coverage", "value": 0.8, "baselines": {}, **one},
    ]
    return {"forecast": {"items": 2, "counts": {}, "metrics": metrics}}


@pytest.mark.parametrize(
    ("own", "naive", "words"),
    [(1.0, 2.0, "(+50.0%): better than naive"), (1.99, 2.0, "(+0.5%): a tie with naive"), (3.0, 2.0, "(-50.0%): worse than naive")],
)
def test_the_standing_against_naive_is_said_plainly(maker: Any, add_tables: Any, own: float, naive: float, words: str) -> None:
    maker.corpus("clean")
    maker.model("base", "clean")
    folder = maker.scores("scores", "base", suite="forecast")
    (folder / "scores.json").write_text(json.dumps(numbers(own, naive)))
    add_tables(folder, "forecast", ("a", "b", "c", "d", "<e>"), 3)
    part = forecasts(gather(maker.close()))
    assert words in part and "80% of what came" in part
    assert part.count('class="band"') == 4 * 3 and "1 more symbols" in part and "<e>" not in part


def test_scores_without_forecasts_have_no_such_part(maker: Any) -> None:
    maker.corpus("clean")
    maker.model("base", "clean")
    maker.scores("scores", "base")
    assert forecasts(gather(maker.close())) == ""


def test_a_band_lies_in_the_frame_and_widens_it() -> None:
    drawn = line_chart([Series("a", [(0, 1), (1, 1)])], "x", "y", bands=[Band([(0, -9, 9), (1, -9, 9)])])
    points = drawn.split('class="band" points="')[1].split('"')[0].split()
    heights = [float(point.split(",")[1]) for point in points]
    assert len(points) == 4 and all(0 <= height <= 240 for height in heights) and max(heights) - min(heights) > 100
    assert "legend" not in drawn
