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
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ropewalk.core.artifact import Artifact
from ropewalk.core.errors import ConfigError, DataError
from ropewalk.core.ledger import write_table
from ropewalk.core.load import nearest
from ropewalk.evaluate.classification import calibration, calibration_error
from ropewalk.evaluate.intervals import Floats, by_cluster, ratio, wilson

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Measure:
    """One metric of a suite by item; `baselines` are other models' numerators on the same items."""

    name: str
    unit: str
    numerators: Floats
    denominators: Floats
    higher_is_better: bool = False
    scale: Literal["ratio", "exp", "proportion"] = "ratio"
    """exp: the metric is e to the ratio; proportion: numerators are 0 or 1."""
    baselines: Mapping[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True)
class SuiteResult:
    """What a suite found; `clusters` groups items that aren't independent (one document, one prompt)."""

    items: Sequence[str]
    clusters: Sequence[str]
    measures: Sequence[Measure]
    counts: Mapping[str, int] = field(default_factory=dict)
    """Truncated, failed and the like."""
    details: Sequence[Mapping[str, Any]] = ()
    """Of each item what was asked, answered and expected, for people to read."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else is worth keeping: the rule that read the answers, calibration."""
    tables: Mapping[str, Any] = field(default_factory=dict)
    """What the report shows besides: by label, and items with their answers; written to tables/SUITE.json."""


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
    scale: Literal["ratio", "exp", "proportion"] = "ratio"
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
    def report(self) -> dict[str, Any]:
        """scores.json by suite: items, counts, facts, metrics."""
        found: dict[str, Any] = json.loads((self.path / "scores.json").read_text(encoding="utf-8"))
        return found

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """By suite: how many items were truncated, left out, unfinished, failed."""
        return {suite: dict(facts.get("counts", {})) for suite, facts in self.report.items()}

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """By `suite/metric`."""
        return {
            f"{suite}/{metric['name']}": Metric(**{**metric, **{end: _number(metric[end]) for end in ("value", "low", "high")}})
            for suite, facts in self.report.items()
            for metric in facts["metrics"]
        }

    def metric(self, name: str) -> Metric:
        """Raises ConfigError with the nearest name."""
        if name not in self.metrics:
            raise ConfigError(f"there is no metric {name!r} ({nearest(name, sorted(self.metrics))})")
        return self.metrics[name]

    def table(self, suite: str) -> pa.Table:
        """Every item's numbers."""
        import pyarrow.parquet as pq

        return pq.read_table(self.path / "items" / f"{suite}.parquet")

    def items(self, suite: str) -> list[str]:
        """The names of a suite's items."""
        names: list[str] = self.table(suite)["item"].to_pylist()
        return names

    def pairs(self, name: str, baseline: str = "") -> Pairs:
        """A metric's sums by cluster, of the model or of a baseline in the same suite."""
        self.metric(name)
        suite, _, metric = name.partition("/")
        table = self.table(suite)
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
        if result.details:
            columns["detail"] = pa.array([json.dumps(detail, ensure_ascii=False) for detail in result.details], pa.string())
        write_table(pa.table(columns), folder / "items" / f"{suite}.parquet")
        if result.tables:
            (folder / "tables").mkdir(exist_ok=True)
            body = json.dumps(result.tables, indent=1, ensure_ascii=False, default=str)
            (folder / "tables" / f"{suite}.json").write_text(body + "\n", encoding="utf-8")
        report[suite] = {"items": len(result.items), "counts": dict(result.counts), "facts": dict(result.facts), "metrics": metrics}
    (folder / "scores.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return values


def summarise(measure: Measure, clusters: Sequence[str], items: int, seed: int) -> Metric:
    """The metric with its interval: Wilson for independent proportions, else a bootstrap over clusters."""
    own = measure.denominators > 0
    items = int(own.sum()) if len(own) == items else items
    if measure.scale == "proportion" and own.all() and len(set(clusters)) == items:
        found = wilson(float(measure.numerators.sum()), items)
    else:
        found = ratio(by_cluster(measure.numerators, clusters), by_cluster(measure.denominators, clusters), seed)
    if measure.scale == "exp":
        found = found.through(_exp)
    total = float(measure.denominators.sum())
    other = {name: float(numerators.sum()) / total for name, numerators in measure.baselines.items()}
    if measure.scale == "exp":
        other = {name: _exp(value) for name, value in other.items()}
    ends = (found.value, found.low, found.high)
    return Metric(measure.name, *ends, measure.unit, items, measure.higher_is_better, measure.scale, other)


def calibration_of(sure: Floats, right: Any) -> dict[str, Any]:
    """How sure the answers were and how often they were right, in ten ranges; `error` is the mean distance of the two."""
    bins = calibration(sure, right)
    return {"error": calibration_error(bins), "bins": bins}


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf


def _shown(value: float) -> float | str:
    """JSON has no infinities: one item's interval reaches them."""
    return value if math.isfinite(value) else str(value)


def _number(value: float | str) -> float:
    return float(value)
