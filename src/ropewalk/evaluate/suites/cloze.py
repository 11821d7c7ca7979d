"""Cloze: is the continuation the one that the model would write, token by token, and how likely does it find it (LAMBADA)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ropewalk.core.errors import DataError
from ropewalk.core.reference import Ref
from ropewalk.evaluate.asked import Asked, continued, encoded, parted
from ropewalk.evaluate.likelihood import Ask, likelihoods
from ropewalk.evaluate.rows import Row
from ropewalk.evaluate.scores import Measure, SuiteResult
from ropewalk.evaluate.scoring import Subject


class Cloze(Asked, type="cloze"):
    """Accuracy (every token of the continuation is the likeliest one), nats a continuation, and e to that as perplexity."""

    measures: ClassVar[tuple[str, ...]] = ("accuracy", "nats_per_item", "perplexity")

    context: str = "{context}"
    """What comes before; `{column}` is filled from the row."""
    continuation: str = "{continuation}"
    """What is to follow; a space is put before it unless it begins with one."""

    def understood(self, row: Row) -> tuple[str, str]:
        context, text = parted(row.filled(self.context), row.filled(self.continuation))
        if not text.strip():
            raise DataError(f"{row.place}: the continuation is empty", remedy="leave the row out")
        return context, text

    def run(self, subject: Subject, open_ref: Callable[[Ref[Any]], Any], advance: Callable[[int], None]) -> SuiteResult:
        head = "".join("".join(self.understood(row)) + self.between for row in self.examples())
        room = subject.module.shape.context + 1
        asks, rows, details, truncated, left_out = [], [], [], 0, 0
        for row in self.items():
            context, text = self.understood(row)
            start, end = encoded(subject, head + context, self.bos), continued(subject, head + context, text, row.place)
            if cut := len(start) + len(end) > room:
                start, end = start[-max(room - len(end), 1) :], end[-(room - 1) :]
            if cut and self.too_long == "leave_out":
                left_out += 1
                continue
            truncated += cut
            rows.append(row)
            asks.append(Ask(start, (end,)))
            details.append({"asked": context[-400:], "right": text.strip()})
        if not asks:
            raise DataError(f"{self.title}: every item is longer than the model's context of {room - 1}", remedy="set too_long: crop")
        found = [one[0] for one in likelihoods(subject, asks, advance)]
        nats, ones = np.array([-one.nats for one in found]), np.ones(len(found))
        greedy = np.array([float(one.greedy) for one in found])
        measures = [
            Measure("accuracy", "share", greedy, ones, higher_is_better=True, scale="proportion"),
            Measure("nats_per_item", "nats/item", nats, ones),
            Measure("perplexity", "per item", nats, ones, scale="exp"),
        ]
        ids, clusters = self.named(rows)
        counts = {"truncated": truncated, "left_out": left_out, "failed": 0}
        return SuiteResult(ids, clusters, measures, counts, [{**row, "nats": -one.nats} for row, one in zip(details, found, strict=True)])
