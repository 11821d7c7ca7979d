"""Duplicates: how many clusters a dedup stage found, the largest with their least similar pair, and recall and precision as measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ropewalk.report.facts import RunFacts, StageFacts
from ropewalk.report.markup import block, number, section, table, text


def duplicates(facts: RunFacts) -> str:
    """A part for each stage that deduplicated whole documents."""
    parts = [_part(stage) for stage in facts.stages.values() if isinstance(stage.metrics.get("largest"), list)]
    return section(
        "duplicates", "Duplicates", "".join(parts), "One document of each cluster stays; the others are within the threshold of it."
    )


def _part(stage: StageFacts) -> str:
    metrics = stage.metrics
    told = [
        f"{metrics['clusters']:,} clusters in {metrics['components']:,} components; the largest cluster has {metrics['largest_cluster']:,}."
    ]
    if "rules" in metrics:
        rules = metrics["rules"]
        told.append(
            f"{rules['ngram']}-grams of {text(rules['unit'])}s, {rules['bands']} bands of {rules['rows']} values; "
            f"compared are, of all pairs, {_curve(metrics['s_curve'])}."
        )
    told += [_measured(metrics["measured"])] if "measured" in metrics else []
    if metrics.get("crowded"):
        told.append(f"{metrics['crowded']:,} documents had more candidates than were compared.")
    warned = "".join(f"<p class=damaged>{text(warning, 600)}</p>" for warning in metrics.get("warnings", []))
    rows = [_row(one) for one in metrics["largest"]]
    head = ("stays", "removed for it", "least similar of them", "Jaccard")
    largest = table(head, rows, (1, 3)) + "".join(map(_pair, metrics["largest"])) if rows else "<p>No duplicate was found.</p>"
    return f"<h3>{text(stage.name)}</h3>" + "".join(f"<p>{line}</p>" for line in told) + warned + largest


def _row(one: Mapping[str, Any]) -> list[str]:
    ids = [f"<code>{text(one[name], 120)}</code>" for name in ("keeper", "least_similar")]
    return [ids[0], f"{one['removed']:,}", ids[1], number(one["jaccard"])]


def _pair(one: Mapping[str, Any]) -> str:
    """How the two begin, in a fold."""
    if not any(one.get("texts", [])):
        return ""
    head = f"<code>{text(one['keeper'], 120)}</code> and <code>{text(one['least_similar'], 120)}</code>"
    return f"<details><summary>{head}</summary>{''.join(f'<pre>{block(each, 600)}</pre>' for each in one['texts'])}</details>"


def _curve(curve: Mapping[str, float]) -> str:
    return ", ".join(f"{100 * curve[jaccard]:.1f}% at Jaccard {jaccard}" for jaccard in ("0.5", "0.7", "0.8", "0.9"))


def _measured(measured: Mapping[str, Any]) -> str:
    """What the sample says; a share of nothing is not said."""
    line = f"Measured on {measured['documents']:,} documents compared with all: {measured['pairs']:,} pairs reach the threshold"
    if measured["recall"] is not None:
        line += f", {100 * measured['recall']:.1f}% of them do not both stay, {100 * measured['joined']:.1f}% are in one component"
    if measured["precision"] is not None:
        line += f"; of the {measured['removed']:,} removed as near-duplicates {100 * measured['precision']:.1f}% have such a partner"
    return line + "."
