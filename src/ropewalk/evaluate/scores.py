"""Scores: what suites measured, with intervals, and every item's own numbers, so that all can be computed again.

An item's share of a metric is a numerator and a denominator; the metric is the ratio of their sums.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ropewalk.core.artifact import Artifact
from ropewalk.core.errors import ConfigError, DataError
from ropewalk.core.ledger import write_table
from ropewalk.core.load import nearest
from ropewalk.evaluate.intervals import Floats, by_cluster, ratio, wilson


@dataclass(frozen=True)
class Measure:
    """One metric of a suite by item; `baselines` are other models' numerators on the same items."""

    name: str
    unit: str
    numerators: Floats
    denominators: Floats
    higher_is_better: bool = False
    scale: Literal["ratio", "exp", "proportion", "root"] = "ratio"
    """exp: the metric is e to the ratio; root: its square root; proportion: numerators are 0 or 1."""
    baselines: Mapping[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True)
class SuiteResult:
    """What a suite found; `clusters` groups items that aren't independent (one document, one prompt)."""

    items: Sequence[str]
    clusters: Sequence[str]
    measures: Sequence[Measure]
    counts: Mapping[str, int] = field(default_factory=dict)
    """Truncated, failed and the like."""
    table: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Columns of further rows that the report draws; written to tables/SUITE.parquet where there are some."""


@dataclass(frozen=True)
class Metric:
    """A number with its 95% interval."""

    name: str
    value: float
    low: float
    high: float
    unit: str
    items: int
    higher_is_better: bool
    scale: Literal["ratio", "exp", "proportion", "root"] = "ratio"
    baselines: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Pairs:
    """The clusters' sums of one metric, and of a baseline where one was asked for."""

    clusters: tuple[str, ...]
    numerators: Floats
    denominators: Floats

    def ordered(self, clusters: Sequence[str]) -> Pairs:
        """The same in another order of the same clusters."""
        places = {name: place for place, name in enumerate(self.clusters)}
        where = [places[name] for name in clusters]
        return Pairs(tuple(clusters), self.numerators[where], self.denominators[where])


class Scores(Artifact, kind="Scores"):
    """scores.json and items/SUITE.parquet."""

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """By `suite/metric`."""
        found = json.loads((self.path / "scores.json").read_text(encoding="utf-8"))
        return {
            f"{suite}/{metric['name']}": Metric(**{**metric, **{end: _number(metric[end]) for end in ("value", "low", "high")}})
            for suite, facts in found.items()
            for metric in facts["metrics"]
        }

    def metric(self, name: str) -> Metric:
        """Raises ConfigError with the nearest name."""
        if name not in self.metrics:
            raise ConfigError(f"there is no metric {name!r} ({nearest(name, sorted(self.metrics))})")
        return self.metrics[name]

    def counts(self, suite: str) -> dict[str, int]:
        """What a suite counted beside its metrics."""
        found: dict[str, int] = json.loads((self.path / "scores.json").read_text(encoding="utf-8"))[suite]["counts"]
        return found

    def pairs(self, name: str, baseline: str = "") -> Pairs:
        """A metric's sums by cluster, of the model or of a baseline in the same suite."""
        self.metric(name)
        suite, _, metric = name.partition("/")
        import pyarrow.parquet as pq

        table = pq.read_table(self.path / "items" / f"{suite}.parquet")
        column = f"{metric}@{baseline}" if baseline else metric
        if f"{column}/numerator" not in table.column_names:
            known = sorted(self.metrics[name].baselines)
            raise ConfigError(f"{name} has no baseline {baseline!r} ({nearest(baseline, known) or 'it has none'})")
        clusters = table["cluster"].to_pylist()
        sums = (table[f"{column}/numerator"].to_numpy(), table[f"{metric}/denominator"].to_numpy())
        return Pairs(tuple(dict.fromkeys(clusters)), by_cluster(sums[0], clusters), by_cluster(sums[1], clusters))


def write_scores(folder: Path, results: Mapping[str, SuiteResult], seed: int) -> dict[str, float]:
    """Write both files; returns each metric's value by `suite/metric`. A number that is not finite raises DataError."""
    import pyarrow as pa

    report: dict[str, Any] = {}
    values: dict[str, float] = {}
    for suite, result in results.items():
        columns: dict[str, Any] = {"item": pa.array(result.items, pa.string()), "cluster": pa.array(result.clusters, pa.string())}
        metrics = []
        for measure in result.measures:
            if not measure.denominators.sum() > 0:
                raise DataError(f"{suite}/{measure.name}: there is nothing to measure in {len(result.items)} items")
            if not np.isfinite(measure.numerators).all():
                bad = result.items[int(np.argmin(np.isfinite(measure.numerators)))]
                raise DataError(f"{suite}/{measure.name}: item {bad!r} has no finite number", remedy="look at the model's training log")
            columns[f"{measure.name}/numerator"] = pa.array(measure.numerators)
            columns[f"{measure.name}/denominator"] = pa.array(measure.denominators)
            for name, numerators in measure.baselines.items():
                columns[f"{measure.name}@{name}/numerator"] = pa.array(numerators)
            metric = summarise(measure, result.clusters, len(result.items), seed)
            metrics.append({**asdict(metric), **{end: _shown(getattr(metric, end)) for end in ("value", "low", "high")}})
            values[f"{suite}/{measure.name}"] = metric.value
        write_table(pa.table(columns), folder / "items" / f"{suite}.parquet")
        if result.table:
            write_table(pa.table(dict(result.table)), folder / "tables" / f"{suite}.parquet")
        report[suite] = {"items": len(result.items), "counts": dict(result.counts), "metrics": metrics}
    (folder / "scores.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return values


def summarise(measure: Measure, clusters: Sequence[str], items: int, seed: int) -> Metric:
    """The metric with its interval: Wilson for independent proportions, else a bootstrap over clusters."""
    if measure.scale == "proportion" and len(set(clusters)) == items:
        found = wilson(float(measure.numerators.sum()), items)
    else:
        found = ratio(by_cluster(measure.numerators, clusters), by_cluster(measure.denominators, clusters), seed)
    change = CHANGES.get(measure.scale)
    if change is not None:
        found = found.through(change)
    total = float(measure.denominators.sum())
    other = {name: float(numerators.sum()) / total for name, numerators in measure.baselines.items()}
    if change is not None:
        other = {name: change(value) for name, value in other.items()}
    ends = (found.value, found.low, found.high)
    return Metric(measure.name, *ends, measure.unit, items, measure.higher_is_better, measure.scale, other)


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf


def _root(value: float) -> float:
    return math.sqrt(value) if value >= 0 else value  # -inf: one cluster's lower end


CHANGES = {"exp": _exp, "root": _root}


def _shown(value: float) -> float | str:
    """JSON has no infinities: one item's interval reaches them."""
    return value if math.isfinite(value) else str(value)


def _number(value: float | str) -> float:
    return float(value)
