"""The lint for features: the future is set to a billion, and nothing before it may change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ropewalk.core.errors import DataError
from ropewalk.data.series_features.feature import Feature, Frame, Numbers

POISON = 1e9
CUTS = (0.25, 0.5, 0.75, 0.9, 1.0)
"""Where the future begins, as shares of the rows; 1.0 is the last row alone."""


def checked(feature: Feature, frame: Frame) -> dict[str, Numbers]:
    """The feature's columns, once it is seen that none reads a later row; raises DataError naming column and stamp."""
    found = feature.compute(frame)
    rows = len(frame.times)
    for name, values in found.items():
        if len(values) != rows:
            raise DataError(f"feature {feature.tag}: {name} has {len(values)} numbers for {rows} rows of {frame.symbol}")
    for share in CUTS:
        cut = 0 if feature.known_ahead else min(int(share * rows), rows - 1)
        later = np.arange(rows) >= cut
        poisoned = replace(frame, columns={name: np.where(later, POISON, values) for name, values in frame.columns.items()})
        again = feature.compute(poisoned)
        until = rows if feature.known_ahead else cut
        for name, values in found.items():
            differs = ~((values[:until] == again[name][:until]) | (np.isnan(values[:until]) & np.isnan(again[name][:until])))
            if differs.any():
                place = int(np.argmax(differs))
                what = "reads values, though it says known_ahead" if feature.known_ahead else "reads the future"
                raise DataError(
                    f"feature {feature.tag}: {name} {what}: its value of {frame.symbol} at {frame.times[place]} "
                    f"changes with the rows from {frame.times[cut]} on",
                    remedy="compute each value from its own row and earlier ones only",
                )
        if feature.known_ahead:
            break
    return found
