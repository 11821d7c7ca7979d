"""Single items of the scores: which went worst, which went well, what was asked and answered; and each task beside a baseline."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ropewalk.report.facts import RunFacts, StageFacts
from ropewalk.report.markup import block, number, section, table, text
from ropewalk.report.story import metrics_of, verdict_of
from ropewalk.report.svg import interval

WORST, GOOD = 5, 2
_MARKS = ("asked", "answered", "read", "right", "followed", "ended", "source")


@dataclass(frozen=True)
class _Item:
    name: str
    value: float
    detail: Mapping[str, Any]


def against_baseline(facts: RunFacts) -> str:
    """A row a task of each gate `no_worse_than`: how much better or worse than the baseline, with its interval around no difference."""
    rows = []
    for stage in facts.making("Verdict"):
        for finding in verdict_of(stage).get("findings", []):
            for part in finding.get("parts") or []:
                if part.get("baseline"):
                    rows.append(_part(part))
    lead = "The dot is the difference on the same items, right of the mark is better; a task fails when it is provably worse."
    return (
        section("regressions", "Against the baseline", table(("", "metric", "difference", "", "what was found"), rows), lead)
        if rows
        else ""
    )


def _part(part: Mapping[str, Any]) -> list[str]:
    low, value, high = (float(part[end]) for end in ("low", "value", "high"))
    reach = max(abs(low), abs(high), 1e-9) * 1.1
    drawn = interval(low, value, high, (-reach, reach), 0.0, []) if reach < float("inf") else ""
    said = '<span class="yes">held</span>' if part["passed"] else '<span class="no">worse</span>'
    return [said, text(part["metric"]), number(value), drawn, text(part["message"], 600)]


def items(facts: RunFacts) -> str:
    """The worst items of each suite by its first metric, and some that went well; none where a suite keeps no details."""
    body = ""
    for stage in facts.making("Scores"):
        first: dict[str, dict[str, Any]] = {}
        for suite, metric in metrics_of(stage):
            first.setdefault(suite, metric)
        for suite, metric in first.items():
            found = _read(stage, suite, metric)
            if found:
                shown = [*found[:WORST], *[item for item in found[-GOOD:] if item not in found[:WORST]]]
                rows = [[text(item.name), number(item.value), _told(item.detail)] for item in shown]
                head = f"<h3>{text(stage.name)}: {text(suite)}, by {text(metric['name'])}</h3>"
                body += head + table(("item", "value", "what was asked and answered"), rows, (1,))
    lead = f"Of each task the {WORST} worst items and {GOOD} of the best."
    return section("items", "Single items", body, lead) if body else ""


def _read(stage: StageFacts, suite: str, metric: Mapping[str, Any]) -> list[_Item]:
    """The worst first; nothing where the table can't be read, which the section on scores tells."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if stage.path is None:
        return []
    try:
        table_ = pq.read_table(stage.path / "items" / f"{suite}.parquet")
        if "detail" not in table_.column_names:
            return []
        names, details = table_["item"].to_pylist(), [json.loads(detail) for detail in table_["detail"].to_pylist()]
        above, below = (table_[f"{metric['name']}/{part}"].to_pylist() for part in ("numerator", "denominator"))
    except (OSError, ValueError, KeyError, pa.ArrowException):
        return []
    found = [_Item(name, up / down, detail) for name, up, down, detail in zip(names, above, below, details, strict=True) if down]
    return sorted(found, key=lambda item: item.value, reverse=not metric.get("higher_is_better"))


def _told(detail: Mapping[str, Any]) -> str:
    return "".join(f"<small>{text(name)}</small>{block(_shown(detail[name]), 500)}" for name in _MARKS if detail.get(name) is not None)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
