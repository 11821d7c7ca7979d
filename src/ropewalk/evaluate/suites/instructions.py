"""Instructions whose following a program can check: lengths, words, form."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from ropewalk.core.errors import DataError
from ropewalk.core.load import nearest
from ropewalk.core.reference import Ref
from ropewalk.evaluate.prompted import Prompted
from ropewalk.evaluate.rows import Row
from ropewalk.evaluate.scores import Measure, SuiteResult
from ropewalk.evaluate.scoring import Subject


def _json(text: str) -> bool:
    body = re.sub(r"^\s*```(?:json)?\s*|\s*```\s*$", "", text)
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


def _number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _yes(value: Any) -> bool:
    return value is True


CHECKS: Mapping[str, tuple[Callable[[Any], bool], Callable[[str, Any], bool]]] = {
    "min_words": (_number, lambda text, number: len(text.split()) >= number),
    "max_words": (_number, lambda text, number: len(text.split()) <= number),
    "min_sentences": (_number, lambda text, number: len(re.findall(r"[.!?]+(?=\s|$)", text)) >= number),
    "max_sentences": (_number, lambda text, number: len(re.findall(r"[.!?]+(?=\s|$)", text)) <= number),
    "paragraphs": (_number, lambda text, number: len([part for part in re.split(r"\n\s*\n", text) if part.strip()]) == number),
    "bullets": (_number, lambda text, number: len(re.findall(r"^\s*[-*•] ", text, re.MULTILINE)) == number),
    "contains": (_text, lambda text, word: word.lower() in text.lower()),
    "lacks": (_text, lambda text, word: word.lower() not in text.lower()),
    "starts_with": (_text, lambda text, word: text.lstrip().startswith(word)),
    "ends_with": (_text, lambda text, word: text.rstrip().endswith(word)),
    "lower_case": (_yes, lambda text, yes: text == text.lower() and bool(text.strip())),
    "upper_case": (_yes, lambda text, yes: text == text.upper() and bool(text.strip())),
    "no_commas": (_yes, lambda text, yes: "," not in text),
    "json": (_yes, lambda text, yes: _json(text)),
}
"""Name -> (which values it takes, whether a text follows it)."""


class Instructions(Prompted, type="instructions"):
    """Shares of prompts of which every instruction is followed, and of single instructions.

    A row names them: `{"prompt": …, "checks": {"max_words": 20, "json": true}}`; an empty answer follows none.
    """

    measures: ClassVar[tuple[str, ...]] = ("prompts", "instructions")

    checks: str = "checks"
    """The column with the instructions: a mapping of check to value."""

    def understood(self, row: Row) -> tuple[str, dict[str, Any]]:
        checks = row.get(self.checks)
        if not isinstance(checks, dict) or not checks:
            raise DataError(f"{row.place}: {self.checks} needs a mapping of check to value")
        for name, value in checks.items():
            if name not in CHECKS:
                raise DataError(f"{row.place}: there is no check {name!r}", remedy=nearest(name, sorted(CHECKS)))
            if not CHECKS[name][0](value):
                raise DataError(f"{row.place}: {name} can't be {value!r}")
        return row.filled(self.prompt), checks

    def run(self, subject: Subject, open_ref: Callable[[Ref[Any]], Any], advance: Callable[[int], None]) -> SuiteResult:
        rows, prompts, texts, counts = self.written(subject, advance)
        followed, asked, details = [], [], []
        for row, prompt, text in zip(rows, prompts, texts, strict=True):
            checks = self.understood(row)[1]
            met = {name: bool(text.text.strip()) and CHECKS[name][1](text.text, value) for name, value in checks.items()}
            followed.append(float(sum(met.values())))
            asked.append(float(len(met)))
            details.append({"asked": prompt[-400:], "answered": text.text, "followed": met})
        (ids, clusters), ones = self.named(rows), np.ones(len(rows))
        met_of, all_of = np.array(followed), np.array(asked)
        measures = [
            Measure("prompts", "share", (met_of == all_of).astype(float), ones, higher_is_better=True, scale="proportion"),
            Measure("instructions", "share", met_of, all_of, higher_is_better=True),
        ]
        failed = sum(not text.text.strip() for text in texts)
        return SuiteResult(ids, clusters, measures, {**counts, "failed": failed}, details)
