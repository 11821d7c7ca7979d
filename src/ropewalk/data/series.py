"""Series: many symbols' rows in one table, and windows that are numbers of rows in it; nothing is copied.

A window is an origin: the `context` rows before it are read, the `horizon` rows from it on are forecast.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.artifact import Artifact
from ropewalk.core.ledger import write_table
from ropewalk.data.series_scale import Scale, Transform, inward, relative
from ropewalk.data.series_split import Cuts

Part = Literal["train", "holdout", "test"]
FACTS, ROWS = "series.json", "rows.parquet"


@dataclass(frozen=True)
class SymbolFacts:
    """One symbol: where its rows begin in the table, its parts, and its scales from the training part."""

    name: str
    start: int
    cuts: Cuts
    scale: Scale


@dataclass(frozen=True)
class SeriesFacts:
    """What shapes a window, and what a forecaster's folder keeps of its data."""

    target: str
    transform: Transform
    context: int
    horizon: int
    season: int
    every: str
    features: tuple[str, ...]
    """Past columns beside the target's two."""
    known: tuple[int, ...]
    """Those of `features` that are known for the horizon too."""
    means: tuple[float, ...]
    spreads: tuple[float, ...]
    """Of each feature, over the training parts."""
    symbols: tuple[SymbolFacts, ...]
    reading: Mapping[str, Any]
    """The fields of the series stage that turn a file into rows and features."""
    overlap: int
    """How many later test origins lie within one's horizon."""

    def write(self, folder: Path) -> None:
        (folder / FACTS).write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> SeriesFacts:
        body = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        symbols = tuple(
            SymbolFacts(
                one["name"],
                one["start"],
                Cuts(**{**one["cuts"], "holdout": tuple(one["cuts"]["holdout"]), "origins": tuple(one["cuts"]["origins"])}),
                Scale(**{**one["scale"], "ahead": tuple(one["scale"]["ahead"])}),
            )
            for one in body["symbols"]
        )
        lists = {name: tuple(body[name]) for name in ("features", "known", "means", "spreads")}
        return cls(**{**body, **lists, "symbols": symbols})

    def scales(self, symbols: NDArray[np.int64]) -> tuple[NDArray[np.float64], ...]:
        """(level, step, centre) of each window's symbol, each (B, 1)."""
        table = np.array([[one.scale.level, one.scale.step, one.scale.centre] for one in self.symbols])
        return tuple(table[symbols, column][:, None] for column in range(3))

    def ahead(self, symbols: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What each step of the horizon is divided by (B, H), and the centres (B, 1)."""
        return np.array([one.scale.ahead for one in self.symbols])[symbols], self.scales(symbols)[2]

    def past(self, values: NDArray[np.float64], symbols: NDArray[np.int64], features: NDArray[np.float32]) -> NDArray[np.float32]:
        """What a forecaster reads (B, T, 2 + F) of target values (B, T + 1), the oldest only for its change, and features (B, T, F)."""
        level, step, centre = self.scales(symbols)
        path = inward(values[:, 1:], values[:, -1:], self.transform, level, centre)
        steps = relative(values[:, 1:], values[:, :-1], self.transform) / step
        return np.concatenate([np.stack([path, steps], axis=2).astype(np.float32), features], axis=2)

    def scaled(self, features: NDArray[np.float64]) -> NDArray[np.float32]:
        """Features (N, F) less their mean, over their spread; far outliers end at ten spreads."""
        if not self.features:
            return np.zeros((len(features), 0), np.float32)
        return np.asarray(np.clip((features - np.array(self.means)) / np.array(self.spreads), -10, 10), np.float32)


class Series(Artifact, kind="Series"):
    """series.json and rows.parquet: symbol, time, target, filled, and the features as they were computed."""

    @cached_property
    def facts(self) -> SeriesFacts:
        return SeriesFacts.read(self.path)

    @property
    def length(self) -> int:
        """Rows in a window."""
        return self.facts.context + self.facts.horizon

    @cached_property
    def times(self) -> NDArray[np.datetime64]:
        return np.asarray(self._table["time"].to_numpy(), "datetime64[s]")

    @cached_property
    def target(self) -> NDArray[np.float64]:
        return np.ascontiguousarray(self._table["target"].to_numpy(), np.float64)

    @cached_property
    def features(self) -> NDArray[np.float32]:
        """(N, F), scaled."""
        columns = [self._table[f"feature/{name}"].to_numpy() for name in self.facts.features]
        return self.facts.scaled(np.stack(columns, axis=1) if columns else np.zeros((len(self.target), 0)))

    @cached_property
    def _table(self) -> Any:
        import pyarrow.parquet as pq

        return pq.read_table(self.path / ROWS)

    def origins(self, part: Part) -> NDArray[np.int64]:
        """(W, 2): symbol and row in the table of each window's origin, in the order of symbols and time."""
        facts, found = self.facts, []
        for number, symbol in enumerate(facts.symbols):
            cuts = symbol.cuts
            rows = {
                "train": cuts.training(facts.context, facts.horizon),
                "holdout": cuts.held_out(facts.context, facts.horizon),
                "test": cuts.origins,
            }[part]
            found += [(number, symbol.start + row) for row in rows]
        return np.array(found, np.int64).reshape(-1, 2)

    def num_sequences(self, part: Part) -> int:
        """Windows of a part."""
        return len(self.origins(part))

    def history(self, symbol: int, until: int) -> NDArray[np.float64]:
        """A symbol's target before a row of the table."""
        return self.target[self.facts.symbols[symbol].start : until]


def write_series(folder: Path, facts: SeriesFacts, columns: Mapping[str, Any]) -> None:
    """`columns` are symbol, time, target, filled and one `feature/NAME` each."""
    import pyarrow as pa

    facts.write(folder)
    write_table(pa.table(dict(columns)), folder / ROWS)
