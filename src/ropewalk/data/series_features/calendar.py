"""Where a stamp stands in the day, week and year, as points on circles: known for the future as well."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from ropewalk.data.series_features.feature import Feature, Frame, Numbers

Part = Literal["hour", "weekday", "day_of_year", "month"]


class Calendar(Feature, type="calendar"):
    """Sine and cosine of each part of the date, with harmonics."""

    known_ahead: ClassVar[bool] = True

    parts: list[Part] = Field(default=["weekday", "month"], min_length=1)
    """What of the date is given."""
    harmonics: int = Field(default=1, ge=1, le=6)
    """How many waves for each part: more follow a sharper seasonal course."""

    def compute(self, frame: Frame) -> dict[str, Numbers]:
        found = {}
        for part in self.parts:
            turn = 2 * np.pi * _share(part, frame.times)
            for wave in range(1, self.harmonics + 1):
                found[f"{part}_sin{wave}"] = np.sin(wave * turn)
                found[f"{part}_cos{wave}"] = np.cos(wave * turn)
        return found


def _share(part: Part, times: np.ndarray) -> Numbers:
    """How much of its circle is behind each stamp: 0 to 1."""
    days = times.astype("datetime64[D]")
    if part == "hour":
        return np.asarray((times - days).astype("timedelta64[s]"), np.float64) / 86400
    if part == "weekday":
        return np.asarray((days.astype(np.int64) + 3) % 7, np.float64) / 7  # 1 January 1970 was a Thursday; Monday is 0
    if part == "month":
        return np.asarray(times.astype("datetime64[M]").astype(np.int64) % 12, np.float64) / 12
    return np.asarray(days - times.astype("datetime64[Y]").astype("datetime64[D]"), np.float64) / 366
