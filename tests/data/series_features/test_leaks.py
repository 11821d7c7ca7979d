"""No feature reads the future: shown for ours, and seen for some that do."""

from __future__ import annotations

import numpy as np
import pytest

from ropewalk.core.component import lookup
from ropewalk.core.errors import DataError
from ropewalk.data.series_features.calendar import Calendar
from ropewalk.data.series_features.feature import Feature, Frame, Numbers
from ropewalk.data.series_features.leaks import checked
from ropewalk.data.series_features.technical import Momentum, RelativeStrength, Volatility

ROWS = 80


@pytest.fixture
def frame() -> Frame:
    draws = np.random.default_rng(3)
    times = np.datetime64("2024-01-01", "s") + np.arange(ROWS) * np.timedelta64(86400, "s")
    return Frame("a", times, {"price": np.exp(draws.normal(0, 0.02, ROWS).cumsum()), "volume": draws.uniform(1, 2, ROWS)}, "price")


class Centred:
    """A feature family's member by duck, so that no other test sees it: the mean of a row and its neighbours."""

    tag, known_ahead = "centred", False

    def compute(self, frame: Frame) -> dict[str, Numbers]:
        return {"centred": np.convolve(frame.column(), np.ones(3) / 3, "same")}


class Standardised(Centred):
    """The quiet leak: scaled by the whole series."""

    tag = "standardised"

    def compute(self, frame: Frame) -> dict[str, Numbers]:
        return {"standardised": frame.column() / frame.column().std()}


class Pretender(Centred):
    """Says that it is known ahead."""

    tag, known_ahead = "pretender", True

    def compute(self, frame: Frame) -> dict[str, Numbers]:
        return {"price": frame.column()}


@pytest.mark.parametrize("name", sorted(lookup(Feature)))
def test_ours_read_no_later_row(frame: Frame, name: str) -> None:
    columns = checked(lookup(Feature)[name](), frame)
    assert columns and all(np.isfinite(values[40:]).all() for values in columns.values())


@pytest.mark.parametrize(
    ("feature", "words"), [(Centred(), "reads the future"), (Standardised(), "reads the future"), (Pretender(), "says known_ahead")]
)
def test_one_that_does_is_refused_with_its_column_and_stamp(frame: Frame, feature: Feature, words: str) -> None:
    with pytest.raises(DataError, match=f"{words}.*of a at 2024"):
        checked(feature, frame)


def test_a_leak_of_the_last_row_alone_is_seen(frame: Frame) -> None:
    class Last(Centred):
        """Knows how it ends."""

        def compute(self, frame: Frame) -> dict[str, Numbers]:
            return {"last": np.full(len(frame.times), frame.column()[-1])}

    with pytest.raises(DataError, match="reads the future"):
        checked(Last(), frame)  # type: ignore[arg-type]


def test_technical_features_are_what_their_names_say(frame: Frame) -> None:
    price = frame.column()
    assert Momentum(rows=5).compute(frame)["momentum_target_5"][10] == pytest.approx(np.log(price[10] / price[5]))
    changes = np.diff(np.log(price))
    assert Volatility(rows=4).compute(frame)["volatility_target_4"][10] == pytest.approx(np.log(changes[6:10].std() + 1e-6))
    steps = np.diff(price)[6:10]
    strength = steps[steps > 0].sum() / np.abs(steps).sum() * 2 - 1
    assert RelativeStrength(rows=4).compute(frame)["relative_strength_4"][10] == pytest.approx(strength)


def test_a_date_stands_on_its_circle(frame: Frame) -> None:
    columns = Calendar(parts=["weekday", "month"]).compute(frame)
    assert columns["weekday_sin1"][0] == pytest.approx(0) and columns["weekday_cos1"][7] == pytest.approx(1)
    assert columns["month_cos1"][35] == pytest.approx(np.cos(2 * np.pi / 12))


def test_a_column_that_is_not_there_is_named(frame: Frame) -> None:
    with pytest.raises(Exception, match=r"'volum'.*volume"):
        Momentum(column="volum").compute(frame)
