"""The feature family: numbers beside the target, for each stamp of one symbol, from what was known at that stamp."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.component import Component
from ropewalk.core.errors import ConfigError
from ropewalk.core.load import nearest

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Frame:
    """One symbol's rows in order of time."""

    symbol: str
    times: NDArray[np.datetime64]
    """Wall-clock stamps (seconds)."""
    columns: Mapping[str, Numbers]
    target: str

    def column(self, name: str | None = None) -> Numbers:
        """A column's numbers, the target's when no name is given; raises ConfigError with the nearest name."""
        name = self.target if name is None else name
        if name not in self.columns:
            raise ConfigError(
                f"a feature reads the column {name!r}, which is not there ({nearest(name, sorted(self.columns))})",
                remedy="name it in the series stage's columns",
            )
        return self.columns[name]


class Feature(Component, family="feature", folders=("ropewalk.data.series_features",)):
    """Columns computed for each stamp; a value may use that stamp's row and earlier ones only."""

    known_ahead: ClassVar[bool] = False
    """Whether it is computed from stamps alone, and so is known for the horizon too."""

    def compute(self, frame: Frame) -> dict[str, Numbers]:
        """Name -> a number for each row; NaN only in the first rows, where there is too little past."""
        raise TypeError(f"feature {self.tag!r} has no compute()")
