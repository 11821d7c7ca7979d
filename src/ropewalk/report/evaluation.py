"""Scores with their intervals and baselines, and what the gates made of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from ropewalk.report.facts import RunFacts, StageFacts
from ropewalk.report.markup import badge, number, section, table, text
from ropewalk.report.story import metrics_of, verdict_of
from ropewalk.report.svg import interval


def gates(facts: RunFacts) -> str:
    """Each check with its message."""
    rows = []
    for stage in facts.making("Verdict"):
        verdict = verdict_of(stage)
        if not verdict:
            rows.append([badge("unreadable"), text(stage.name), "verdict.json can't be read"])
        for row in verdict.get("findings", []):
            rows.append([badge("passed" if row.get("passed") else "failed"), text(stage.name), text(row.get("message", ""), 600)])
    return section("gates", "Gates", table(("", "gate", "what it found"), rows) if rows else "")


def evaluation(facts: RunFacts) -> str:
    """A row a metric; the dot is the value, the line its 95% interval, the mark the gate's limit."""
    limits = {
        str(row.get("metric")): float(row["threshold"])
        for stage in facts.making("Verdict")
        for row in verdict_of(stage).get("findings", [])
        if not row.get("baseline") and isinstance(row.get("threshold"), int | float)
    }
    body = ""
    for stage in facts.making("Scores"):
        rows = [_row(suite, metric, limits.get(f"{suite}/{metric['name']}")) for suite, metric in metrics_of(stage)]
        said = f"<p>{text(stage.name)}: scores.json can't be read.</p>"
        body += table(("metric", "value", "95% interval", "baselines"), rows, (1,), "scores") if rows else said
        body += "".join(f"<p><small>{text(suite)}: {text(counted)}</small></p>" for suite, counted in not_whole(stage))
    lead = "The dot is the value, the line its 95% interval, a ring a baseline; a dashed mark is the limit that a gate sets."
    return section("evaluation", "How good the model is", body, lead)


def not_whole(stage: StageFacts) -> list[tuple[str, str]]:
    """(suite, how many of its items were truncated, left out, unfinished or failed); only suites with some."""
    try:
        found = json.loads((stage.path / "scores.json").read_bytes()) if stage.path else {}
        told = {suite: {name: number for name, number in part.get("counts", {}).items() if number} for suite, part in found.items()}
    except (OSError, ValueError, AttributeError):
        return []
    said = {suite: ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in counts.items()) for suite, counts in told.items()}
    return [(suite, counted) for suite, counted in said.items() if counted]


def _row(suite: str, metric: Mapping[str, Any], limit: float | None) -> list[str]:
    value, low, high = (float(metric[end]) for end in ("value", "low", "high"))
    rivals = {str(name): float(other) for name, other in (metric.get("baselines") or {}).items()}
    up = bool(metric.get("higher_is_better"))
    seen = [one for one in (low, value, high, *rivals.values(), *([limit] if limit is not None else [])) if math.isfinite(one)]
    scale = (0.0, 1.0) if metric.get("scale") == "proportion" else _padded(min(seen), max(seen)) if seen else (0.0, 1.0)
    ends = (low if math.isfinite(low) else scale[0], high if math.isfinite(high) else scale[1])
    drawing = interval(ends[0], value, ends[1], scale, limit, list(rivals.values())) if math.isfinite(value) else ""
    told = "<br>".join(f"{text(name)} {number(other)} {_than(value, other, up)}" for name, other in rivals.items())
    way = f"{text(metric.get('unit', ''))}, {'higher' if up else 'lower'} is better"
    name = f"{text(suite)}<br><b>{text(metric['name'])}</b> <small>{way}</small>"
    ends_said = f"<small>{number(low)} to {number(high)}, {number(metric.get('items', 0))} items</small>"
    return [name, f"<b>{number(value)}</b>", drawing + ends_said, f"<small>{told}</small>"]


def _padded(low: float, high: float) -> tuple[float, float]:
    pad = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    return low - pad, high + pad


def _than(value: float, other: float, up: bool) -> str:
    better = value > other if up else value < other
    return '<span class="yes">beaten</span>' if better else '<span class="no">not beaten</span>'
