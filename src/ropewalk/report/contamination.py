"""What evaluation items the training documents held, task by task, and the matches most likely to be false alarms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ropewalk.report.facts import RunFacts, StageFacts
from ropewalk.report.markup import block, number, section, share, table, text

DONE = {"drop": "dropped", "mask": "masked", "report": "left as they are"}


def contamination(facts: RunFacts) -> str:
    """A table and examples for each decontaminate stage."""
    stages = [stage for stage in facts.making("Corpus") if isinstance(stage.metrics.get("tasks"), Mapping)]
    lead = "Evaluation items found in training documents by runs of words that are the same; compare the score of a model on those found."
    return section("contamination", "Evaluation items in the training text", "".join(map(_stage, stages)), lead)


def _stage(stage: StageFacts) -> str:
    tasks: Mapping[str, Mapping[str, int]] = stage.metrics["tasks"]
    rows = []
    for name, own in sorted(tasks.items(), key=lambda pair: (-pair[1]["found"], pair[0])):
        untold, found = f"{own['items'] - own['compared']:,}", f"{own['found']:,} <small>{share(own['found'], own['items'])}</small>"
        rows.append([text(name), f"{own['items']:,}", untold, found, f"{own['documents']:,}"])
    what = DONE.get(str(stage.config.get("action")), "")
    told = (
        f"<h3>{text(stage.name)}</h3><p>Documents with an item are {what}; {stage.metrics.get('items_allowed', 0):,} items are allowed.</p>"
    )
    head = ("task", "items", "too short to tell", "found", "matches")
    shown: Mapping[str, list[Mapping[str, Any]]] = stage.metrics.get("examples") or {}
    examples = "".join(_examples(reason.partition(".")[2], found) for reason, found in shown.items())
    least = "<p>Of each task the matches with the smallest share of their item:</p>" if examples else ""
    return told + table(head, rows, (1, 2, 3, 4)) + least + examples


def _examples(task: str, found: list[Mapping[str, Any]]) -> str:
    listed = ""
    for one in found:
        said = f"{text(one['witness'], 160)}, {number(100 * float(one['score']))}% of the item"
        listed += f"<li><code>{text(one['id'], 120)}</code> <small>{said}</small><pre>{block(one['text'], 700)}</pre></li>"
    return f"<details><summary><code>{text(task)}</code></summary><ol class=examples>{listed}</ol></details>"
