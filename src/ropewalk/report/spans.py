"""Evidence and preferences: counts of what was aligned, results by label, texts with gold and predicted passages, calibration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from ropewalk.report.facts import RunFacts
from ropewalk.report.markup import block, number, section, table, text

SHOWN = 12
LONGEST = 100_000  # characters of a piece of text


def heads(facts: RunFacts) -> str:
    """What there is to say of heads over encoders; nothing in other runs."""
    body = ""
    for kind in ("Spans", "Comparisons"):
        for stage in facts.making(kind):
            rows = [[text(str(name).replace("_", " ")), f"{value:,}"] for name, value in stage.metrics.get("table", {}).items()]
            body += f"<h3>{text(stage.name)}</h3>" + table(("", "number"), rows, (1,))
    for stage in facts.making("Scores"):
        for place in sorted((stage.path / "tables").glob("*.json")) if stage.path else []:
            found = json.loads(place.read_bytes())
            body += f"<h3>{text(stage.name)}: {text(place.stem)}</h3>"
            body += _labels(found["labels"]) if "labels" in found else ""
            body += _preference(found) if "flip_rate" in found else ""
            body += "".join(map(_shown, found.get("shown", [])[:SHOWN]))
    return section("heads", "Evidence and preferences", body) if body else ""


def _labels(labels: Mapping[str, Mapping[str, float]]) -> str:
    names = ("items", "f1", "exact", "iou", "overlap")
    rows = [[text(label or "(none)"), *(number(row[name]) for name in names)] for label, row in labels.items()]
    return table(("label", *names), rows, (1, 2, 3, 4, 5))


def _preference(found: Mapping[str, Any]) -> str:
    rows = [[f"expected calibration error, {text(name)}", number(value)] for name, value in found["calibration_error"].items()]
    rows += [[f"length bias, {text(name)}", number(value)] for name, value in found["length_bias"].items()]
    rows += [[text(name.replace("_", " ")), number(float(found[name]))] for name in ("temperature", "flip_rate", "largest_order_gap")]
    return table(("", "value"), rows, (1,))


def _shown(item: Mapping[str, Any]) -> str:
    """A text with what people marked underlined and what the model chose on a ground."""
    body, gold, predicted = str(item["text"]), item["gold"], item["predicted"]
    edges = sorted({0, len(body), *(place for span in [*gold, *predicted] for place in span)})
    parts = []
    for start, end in pairwise(edges):
        piece = block(body[start:end], LONGEST)
        if any(first <= start and end <= last for first, last in predicted):
            piece = f"<mark>{piece}</mark>"
        if any(first <= start and end <= last for first, last in gold):
            piece = f"<u>{piece}</u>"
        parts.append(piece)
    head = f"<summary>{text(item['question'], 300)} <small>{text(item['label'])}, F1 {number(item['f1'])}</small></summary>"
    return f"<details>{head}<p>{''.join(parts)}</p><small><u>marked by people</u>, <mark>chosen by the model</mark></small></details>"
