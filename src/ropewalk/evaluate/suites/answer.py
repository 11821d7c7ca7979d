"""Answers that are written out and checked: word problems, short questions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import model_validator

from ropewalk.core.errors import DataError
from ropewalk.core.reference import Ref
from ropewalk.evaluate.answers import RULES, Check, judged, number_in
from ropewalk.evaluate.prompted import Prompted
from ropewalk.evaluate.rows import Row
from ropewalk.evaluate.scores import Measure, SuiteResult
from ropewalk.evaluate.scoring import Subject


class Answer(Prompted, type="answer"):
    """The share of prompts that the model answers rightly, by a rule that is kept with the scores."""

    measures: ClassVar[tuple[str, ...]] = ("accuracy",)

    answer: str = "{answer}"
    """The right answer; `{column}` is filled from the row."""
    aliases: str = ""
    """A column with a list of other right answers."""
    check: Check = "exact"
    """`number`: the last number; `exact`: the whole text but for case, articles and punctuation; `contains`; `regex`: pattern's group."""
    pattern: str = ""
    """For regex: a pattern with one group at most."""

    @model_validator(mode="after")
    def _has_pattern(self) -> Self:
        if (self.check == "regex") != bool(self.pattern):
            raise ValueError("pattern goes with check: regex, and the other way round")
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"pattern {self.pattern!r}: {error}") from None
        return self

    def understood(self, row: Row) -> tuple[str, list[str]]:
        answers = [row.filled(self.answer), *(row.texts(self.aliases) if self.aliases else [])]
        answers = [answer for answer in answers if answer.strip()]
        if not answers:
            raise DataError(f"{row.place}: the right answer is empty", remedy="leave the row out")
        if self.check == "number" and all(number_in(answer) is None for answer in answers):
            raise DataError(f"{row.place}: the right answer {answers[0]!r} holds no number", remedy="use check: exact")
        return row.filled(self.prompt), answers

    def run(self, subject: Subject, open_ref: Callable[[Ref[Any]], Any], advance: Callable[[int], None]) -> SuiteResult:
        rows, prompts, texts, counts = self.written(subject, advance)
        right, details, failed = [], [], 0
        for row, prompt, text in zip(rows, prompts, texts, strict=True):
            answers = self.understood(row)[1]
            hit, read = judged(self.check, self.pattern, text.text, answers)
            failed += read is None
            right.append(float(hit))
            details.append({"asked": prompt[-400:], "answered": text.text, "read": read, "right": answers[0]})
        ids, clusters = self.named(rows)
        measure = Measure("accuracy", "share", np.array(right), np.ones(len(right)), higher_is_better=True, scale="proportion")
        return SuiteResult(ids, clusters, [measure], {**counts, "failed": failed}, details, {"rule": RULES[self.check]})
