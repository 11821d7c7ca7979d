"""The first five records of each reason: what the report shows of those that a stage dropped or set aside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

SHOWN = 5
SHOWN_CHARACTERS = 200

Shown = dict[str, list[dict[str, Any]]]
"""Reason -> up to five of {id, text, score, witness}."""


class Examples:
    """Collects one shard's."""

    def __init__(self) -> None:
        self.shown: Shown = {}

    def add(self, reason: str, id: str, text: str, score: float | None = None, witness: str = "") -> None:  # noqa: A002
        """Remember the record if it is among the first five of its reason."""
        if self.wants(reason):
            self.shown.setdefault(reason, []).append({"id": id, "text": text[:SHOWN_CHARACTERS], "score": score, "witness": witness})

    def wants(self, reason: str) -> bool:
        """Whether one more of that reason would be shown."""
        return len(self.shown.get(reason, ())) < SHOWN


def first_examples(shards: Iterable[Mapping[str, list[dict[str, Any]]]]) -> Shown:
    """The first five of each reason over all shards, in shard order."""
    merged: Shown = {}
    for shown in shards:
        for reason, rows in shown.items():
            merged.setdefault(reason, []).extend(rows)
    return {reason: rows[:SHOWN] for reason, rows in sorted(merged.items())}
