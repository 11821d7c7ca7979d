"""The rules of near-duplicates: bands that suit the threshold, mistakes refused."""

from __future__ import annotations

import pytest
from datasketch.lsh import _optimal_param
from pydantic import ValidationError

from ropewalk.data.dedup.near import FOUND, Bands, Near, choose_bands


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0])
@pytest.mark.parametrize("values", [64, 128, 256])
def test_verified_bands_find_the_pairs_at_the_threshold_with_as_many_rows_as_can(threshold: float, values: int) -> None:
    bands = choose_bands(threshold, values, verify=True)
    assert bands.count * bands.rows <= values and bands.chance(threshold) >= FOUND
    more = [Bands(values // rows, rows) for rows in range(bands.rows + 1, values + 1)]
    assert all(other.chance(threshold) < FOUND for other in more)


def test_a_threshold_that_can_not_be_met_takes_single_rows() -> None:
    assert choose_bands(0.01, 16, verify=True) == Bands(16, 1)


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9])
def test_unverified_bands_err_as_little_as_datasketchs(threshold: float) -> None:
    def wrong(bands: Bands) -> float:
        places = [(step + 0.5) / 1000 for step in range(1000)]
        return sum(abs((place >= threshold) - bands.chance(place)) for place in places)

    theirs = Bands(*_optimal_param(threshold, 128, 0.5, 0.5))
    assert wrong(choose_bands(threshold, 128, verify=False)) <= wrong(theirs) * 1.005


def test_the_curve_rises_from_rare_to_sure() -> None:
    curve = Near().banding().curve()
    assert list(curve) == ["0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1.0"]
    assert sorted(curve.values()) == list(curve.values()) and curve["0.1"] < 0.001 and curve["1.0"] == 1.0


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"bands": 20}, "go together"),
        ({"rows": 5}, "go together"),
        ({"bands": 20, "rows": 7}, "20 bands of 7 need 140 values, there are 128"),
        ({"threshold": 0}, "greater than 0"),
        ({"threshold": 1.1}, "less than or equal to 1"),
        ({"ngram": 0}, "greater than or equal to 1"),
        ({"keep": "best"}, "'first', 'longest' or 'best_score'"),
        ({"keep": "best_score"}, "go together"),
        ({"score": "gopher.words"}, "go together"),
        ({"treshold": 0.8}, "unknown key"),
    ],
)
def test_a_mistake_is_refused_and_named(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Near.model_validate(fields)


def test_given_bands_are_used() -> None:
    assert Near(bands=4, rows=8, values=32).banding() == Bands(4, 8)
