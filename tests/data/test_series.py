"""Series from rows: order, calendars, gaps, daylight saving, parts that never overlap, scales that know the training part alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.core.errors import DataError
from ropewalk.data.series_build import Reading
from ropewalk.data.series_grid import Calendar, Every, arranged, fill, following
from ropewalk.data.series_rows import Row
from ropewalk.data.series_scale import Transform, fit_scale, inward, outward
from ropewalk.data.series_split import TooShort, WalkForward, cut


def rows(*stamps: str, values: list[float] | None = None, **fields: Any) -> list[Row]:
    reading = Reading(**fields)
    numbers = values or [float(number) for number in range(len(stamps))]
    records = [("a", {"time": stamp, "value": value}) for stamp, value in zip(stamps, numbers, strict=True)]
    return reading.rows(records).get("a", [])


def track(*stamps: str, values: list[float] | None = None, **fields: Any) -> Any:
    return arranged("a", rows(*stamps, values=values), ("value",), Calendar(**fields))


def test_rows_out_of_order_are_sorted_and_counted() -> None:
    found = track("2024-01-03", "2024-01-01", "2024-01-02")
    assert found.values[:, 0].tolist() == [1, 2, 0] and found.unsorted == 1


def test_a_repeated_stamp_is_an_error_unless_one_is_chosen() -> None:
    stamps = ("2024-01-01", "2024-01-02", "2024-01-02")
    with pytest.raises(DataError, match="2024-01-02 00:00:00 is there 2 times"):
        track(*stamps)
    for policy, value in (("first", 1), ("last", 2)):
        found = track(*stamps, duplicates=policy)
        assert found.values[:, 0].tolist() == [0, value]
        assert found.dropped == [("2024-01-02 00:00:00", "duplicate_stamp")]


def test_a_missing_number_is_an_error_or_a_counted_drop() -> None:
    stamps, values = ("2024-01-01", "2024-01-02"), [1.0, float("nan")]
    with pytest.raises(DataError, match="value is missing at 2024-01-02"):
        track(*stamps, values=values)
    assert track(*stamps, values=values, missing="drop").dropped == [("2024-01-02 00:00:00", "missing_number")]


def test_a_gap_is_an_error_on_a_calendar_only() -> None:
    stamps = ("2024-01-01", "2024-01-02", "2024-01-05")
    assert len(track(*stamps).times) == 3
    with pytest.raises(DataError, match="2 stamps are missing from every day, the first 2024-01-03"):
        track(*stamps, every="day")
    held = track(*stamps, every="day", gaps="hold")
    fill(held, "hold", 5)
    assert held.values[:, 0].tolist() == [0, 1, 1, 1, 2] and held.filled.tolist() == [False, False, True, True, False]


def test_a_gap_is_drawn_across_only_where_both_ends_are_for_training() -> None:
    stamps, values = ("2024-01-01", "2024-01-03", "2024-01-05"), [0.0, 2.0, 1e9]
    found = track(*stamps, values=values, every="day", gaps="interpolate")
    fill(found, "interpolate", 4)
    assert found.values[:, 0].tolist() == [0, 1, 2, 2, 1e9]


@pytest.mark.parametrize(
    ("every", "stamps", "count"),
    [
        ("weekday", ("2024-01-05", "2024-01-08"), 2),
        ("week", ("2024-01-01", "2024-01-07", "2024-01-14"), 2),
        ("month", ("2023-12-31", "2024-01-01"), 2),
        ("quarter", ("2023-12-31", "2024-03-31"), 2),
        ("year", ("2020-06-01", "2022-01-01"), 3),
    ],
)
def test_calendars_count_as_people_do(every: Every, stamps: tuple[str, ...], count: int) -> None:
    found = track(*stamps, every=every, aggregate="sum", gaps="hold")
    assert len(found.times) == count
    assert np.nansum(found.values) == sum(range(len(stamps)))


def test_several_rows_in_a_cell_need_to_be_told_what_to_become() -> None:
    stamps = ("2024-01-01", "2024-01-09", "2024-02-01")
    with pytest.raises(DataError, match="2 rows fall into one month"):
        track(*stamps, every="month")
    sums = {how: track(*stamps, every="month", aggregate=how).values[0, 0] for how in ("last", "mean", "sum")}
    assert sums == {"last": 1, "mean": 0.5, "sum": 1}


def test_a_weekend_is_no_weekday() -> None:
    with pytest.raises(DataError, match="2024-01-06 is no weekday"):
        track("2024-01-05", "2024-01-06", every="weekday")


def test_a_clock_that_is_set_back_gives_two_hours_with_offsets_and_an_error_without() -> None:
    zone = {"zone": "Europe/Berlin"}
    hours = rows("2024-10-27T01:30+02:00", "2024-10-27T02:30+02:00", "2024-10-27T02:30+01:00", **zone)
    assert [row.time.hour for row in hours] == [1, 2, 2] and np.diff([row.utc for row in hours]).tolist() == [3600, 3600]
    found = arranged("a", hours, ("value",), Calendar("hour"))
    assert len(found.times) == 3 and not found.filled.any()
    with pytest.raises(DataError, match="is there twice in Europe/Berlin"):
        rows("2024-10-27T02:30", **zone)
    with pytest.raises(DataError, match="does not exist in Europe/Berlin"):
        rows("2024-03-31T02:30", **zone)


def test_a_day_begins_by_the_zones_clock() -> None:
    (row,) = rows("2024-01-01T03:00Z", zone="America/New_York")
    assert row.time.isoformat() == "2023-12-31T22:00:00"


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"time": "2024-01-01"}, "has no 'value'"),
        ({"time": "yesterday", "value": 1}, "no date"),
        ({"time": "2024-01-01", "value": "many"}, "'many', which is no number"),
        ({"time": "2024-01-01", "value": float("inf")}, "inf"),
        ({"time": "2024-01-01", "value": True}, "True"),
    ],
)
def test_a_bad_record_is_named(record: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        Reading().rows([("a", record)])


def test_a_symbol_that_is_not_there_is_named_with_the_nearest() -> None:
    with pytest.raises(DataError, match=r"no symbol 'AAPI'.*AAPL"):
        Reading(symbols=["AAPI"], symbol="s").rows([("f", {"time": "2024-01-01", "value": 1, "s": "AAPL"})])


def test_adjusted_prices_take_the_targets_place_and_move_the_others_alike() -> None:
    reading = Reading(target="Close", columns=["High", "Volume"], adjusted="Adj")
    found = reading.rows([("a", {"time": "2024-01-01", "Close": 100, "High": 110, "Volume": 7, "Adj": 25})])
    assert found["a"][0].values == (25.0, 27.5, 7.0)


@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.floats(0, 0.4),
    st.integers(0, 4),
    st.integers(1, 5),
    st.integers(0, 7),
    st.integers(60, 200),
)
def test_no_window_reaches_over_the_end_of_its_part(
    context: int, horizon: int, holdout: float, origins: int, stride: int, embargo: int, number: int
) -> None:
    try:
        found = cut("a", 3, number, context, horizon, holdout, WalkForward(origins=origins, stride=stride, embargo=embargo), 1)
    except DataError:
        return
    training, held = found.training(context, horizon), found.held_out(context, horizon)
    assert len(training) and training[0] - context >= 3
    last = training[-1] + horizon  # the first row that no training window reads or forecasts
    assert last <= found.train_stop
    if len(held):
        assert held[0] >= last + embargo and held[-1] + horizon <= found.holdout[1]
    for origin in found.origins:
        assert origin >= last + embargo and origin + horizon <= number
        assert not len(held) or origin >= held[-1] + horizon + embargo


def test_a_series_that_cannot_fill_its_windows_is_refused_with_its_numbers() -> None:
    with pytest.raises(TooShort, match=r"196 rows are too few.*4 windows of 60 \+ 5 rows"):
        cut("FB", 0, 196, 60, 5, 0.1, WalkForward(), 4)
    with pytest.raises(TooShort, match="10 rows are too few"):
        cut("a", 0, 10, 2, 40, 0.0, WalkForward(origins=0), 1)


@pytest.mark.parametrize("transform", ["difference", "return", "log_return", "level"])
def test_what_is_scaled_comes_back(transform: Transform) -> None:
    values = np.exp(np.random.default_rng(1).normal(0, 0.1, 50).cumsum())
    scale = fit_scale("a", values, 5, 4, transform)
    last, centre, ahead = values[9:10], np.array([scale.centre]), np.array(scale.ahead)
    found = inward(values[10:15], last, transform, ahead, centre)
    np.testing.assert_allclose(outward(found, last, transform, ahead, centre), values[10:15])
    assert (np.diff(outward(np.linspace(-1, 1, 5), last, transform, ahead, centre)) > 0).all(), "quantiles stay in order"


def test_logarithms_of_what_is_not_above_zero_are_refused() -> None:
    with pytest.raises(DataError, match="needs numbers above 0"):
        fit_scale("a", np.array([1.0, 0.0, 2.0]), 1, 1, "log_return")


def test_the_stamps_to_come_follow_the_calendar() -> None:
    friday = np.datetime64("2024-01-05T00:00:00", "s")
    assert following(friday, "observed", 2).astype("datetime64[D]").astype(str).tolist() == ["2024-01-08", "2024-01-09"]
    assert following(np.datetime64("2024-11-01T00:00:00", "s"), "month", 2).astype("datetime64[M]").astype(str).tolist() == [
        "2024-12",
        "2025-01",
    ]
    assert following(friday, "hour", 1).astype(str).tolist() == ["2024-01-05T01:00:00"]
