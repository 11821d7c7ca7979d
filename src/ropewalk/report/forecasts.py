"""Forecasts: what was told from each origin, with its interval, over what came; and in words how it stands against naive."""

from __future__ import annotations

from typing import Any

import numpy as np

from ropewalk.report.facts import RunFacts, StageFacts
from ropewalk.report.markup import figure, number, section, text
from ropewalk.report.story import metrics_of
from ropewalk.report.svg import Band, Series, line_chart

SHOWN_SYMBOLS = 4
SHOWN_ORIGINS = 12
TIE = 0.02
"""A difference in the error below this share is called a tie."""


def forecasts(facts: RunFacts) -> str:
    """A part for each stage that measured a forecaster."""
    parts = [_part(stage) for stage in facts.making("Scores")]
    return section("forecasts", "Forecasts", "".join(parts), "Each band begins at an origin, of which nothing later was read.")


def _part(stage: StageFacts) -> str:
    if stage.path is None or not (stage.path / "tables").is_dir():
        return ""
    return "".join(_suite(stage, path.stem) for path in sorted((stage.path / "tables").glob("*.parquet")))


def _suite(stage: StageFacts, suite: str) -> str:
    import pyarrow.parquet as pq

    assert stage.path is not None, "only stages that stand have tables"
    table = pq.read_table(stage.path / "tables" / f"{suite}.parquet")
    if not {"symbol", "origin", "time", "actual", "low", "median", "high", "naive"} <= set(table.column_names):
        return ""
    columns = {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}
    symbols = list(dict.fromkeys(columns["symbol"].tolist()))
    drawn = "".join(_drawn(symbol, columns) for symbol in symbols[:SHOWN_SYMBOLS])
    more = f"<p>{len(symbols) - SHOWN_SYMBOLS} more symbols are not drawn.</p>" if len(symbols) > SHOWN_SYMBOLS else ""
    return f"<h3>{text(stage.name)}: {text(suite)}</h3><p>{_standing(stage, suite)}</p>{drawn}{more}"


def _standing(stage: StageFacts, suite: str) -> str:
    """How the error stands against naive: better, worse, or a tie, which on markets is what is to be expected."""
    found: dict[str, Any] = {metric["name"]: metric for name, metric in metrics_of(stage) if name == suite}
    if "mae" not in found or "naive" not in (found["mae"].get("baselines") or {}):
        return ""
    own, naive = float(found["mae"]["value"]), float(found["mae"]["baselines"]["naive"])
    if not naive:
        return ""
    gain = 1 - own / naive
    word = "a tie with" if abs(gain) < TIE else "better than" if gain > 0 else "worse than"
    held = f"; {100 * float(found['coverage']['value']):.0f}% of what came lies inside the intervals" if "coverage" in found else ""
    return f"Mean absolute error {number(own)}, naive's {number(naive)} ({100 * gain:+.1f}%): {word} naive{held}."


def _drawn(symbol: str, columns: dict[str, Any]) -> str:
    mine = columns["symbol"] == symbol
    origins = np.unique(columns["origin"][mine])[-SHOWN_ORIGINS:]
    chosen = mine & np.isin(columns["origin"], origins)
    years = _years(columns["time"])
    actual = sorted(dict(zip(years[chosen].tolist(), columns["actual"][chosen].tolist(), strict=True)).items())
    bands, told = [], []
    for place, origin in enumerate(origins):
        rows = chosen & (columns["origin"] == origin)
        bands.append(Band(list(zip(*(part[rows].tolist() for part in (years, columns["low"], columns["high"])), strict=True))))
        name = "forecast" if place == 0 else ""
        told.append(Series(name, list(zip(years[rows].tolist(), columns["median"][rows].tolist(), strict=True)), 1))
    lines = [Series("what came", actual, 0), *told]
    return figure(line_chart(lines, "year", text(symbol), bands=bands), f"{text(symbol)}: the last {len(origins)} origins")


def _years(times: Any) -> Any:
    days = times.astype("datetime64[D]")
    starts = days.astype("datetime64[Y]")
    return starts.astype(np.int64) + 1970 + (days - starts.astype("datetime64[D]")).astype(np.float64) / 366
