"""Multiple choice by log-likelihood: which of the answers the model finds likeliest after the question."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from ropewalk.core.artifact import hash_file
from ropewalk.core.component import Component
from ropewalk.core.errors import DataError
from ropewalk.core.reference import Ref
from ropewalk.data.contamination.rows import TaskRows, row_texts
from ropewalk.evaluate.scores import Measure, SuiteResult
from ropewalk.evaluate.scoring import Ids, Subject, token_losses
from ropewalk.evaluate.suites.suite import Suite


class Question(Component):
    """A question with its answers."""

    query: str
    """What comes before the answer."""
    choices: list[str] = Field(min_length=2)
    """The answers; a space is put before each unless it begins with one."""
    gold: int = Field(ge=0)
    """The right one, from 0."""


class MultipleChoice(Suite, type="multiple_choice"):
    """Accuracy by the sum of an answer's log-likelihood: raw, per character and per byte of the answer."""

    measures: ClassVar[tuple[str, ...]] = ("accuracy", "accuracy_per_character", "accuracy_per_byte")

    path: Path | None = None
    """JSON lines {query, choices, gold}, plain or gz; give this or rows."""
    rows: list[Question] = []
    """The questions themselves."""
    limit: int | None = Field(default=None, ge=1)
    """Only the first so many."""

    def fingerprint(self) -> Any:
        """The file's hash."""
        return None if self.path is None else hash_file(_there(self.path))

    def questions(self) -> list[Question]:
        """Raises DataError naming the line that is wrong."""
        found = list(self.rows) if self.path is None else _read(self.path)
        for number, question in enumerate(found, 1):
            if question.gold >= len(question.choices):
                what = f"gold {question.gold} is none of {len(question.choices)} choices"
                raise DataError(f"{self.path or 'rows'}: question {number}: {what}")
        if not found:
            raise DataError(f"{self.tag}: no questions", remedy="give path or rows")
        return found[: self.limit]

    def asks(self) -> TaskRows:
        """Each question with each of its answers, as the model is asked."""
        name = self.name or (self.path.name.partition(".")[0] if self.path else self.tag)
        if self.path is not None:
            return TaskRows(name=name, path=self.path, fields=["query", "choices"], limit=self.limit)
        asked = [list(row_texts(question.model_dump(), ("query", "choices"))) for question in self.rows[: self.limit]]
        return TaskRows(name=name, rows=asked)

    def run(self, subject: Subject, open_ref: Callable[[Ref[Any]], Any], advance: Callable[[int], None]) -> SuiteResult:
        questions = self.questions()
        context = subject.module.shape.context
        sequences: list[Ids] = []
        answers: list[int] = []
        truncated = 0
        for question in questions:
            for choice in question.choices:
                ids, answer = _joined(subject, question.query, choice)
                if len(ids) - 1 > context:
                    ids, truncated = ids[-(context + 1) :], truncated + 1
                sequences.append(ids)
                answers.append(min(answer, len(ids) - 1))
        losses = token_losses(subject, sequences, context, advance)
        likelihoods = [-float(found[len(found) - answer :].sum()) for found, answer in zip(losses, answers, strict=True)]
        right: dict[str, list[float]] = {"accuracy": [], "accuracy_per_character": [], "accuracy_per_byte": []}
        place = 0
        for question in questions:
            own = np.array(likelihoods[place : place + len(question.choices)])
            place += len(question.choices)
            sizes = [np.ones(len(own)), _sizes(question.choices, len), _sizes(question.choices, lambda text: len(text.encode()))]
            for name, size in zip(right, sizes, strict=True):
                right[name].append(float(np.argmax(own / size) == question.gold))
        ones = np.ones(len(questions))
        measures = [
            Measure(name, "share", np.array(values), ones, higher_is_better=True, scale="proportion") for name, values in right.items()
        ]
        ids_ = [f"question {number}" for number in range(1, len(questions) + 1)]
        return SuiteResult(ids_, ids_, measures, {"truncated": truncated})


def _joined(subject: Subject, query: str, choice: str) -> tuple[Ids, int]:
    """BOS and the ids of query + choice, and how many of them are the choice's (those behind the query's own)."""
    bare = query.rstrip(" ")
    choice = query[len(bare) :] + choice
    query, text = bare, bare + (choice if choice.startswith((" ", "\n")) or bare.endswith("\n") else f" {choice}")
    before, whole = subject.vocabulary.encode([query, text])
    answer = len(whole) - len(before)
    if answer <= 0 or not choice.strip():
        raise DataError(f"multiple_choice: the choice {choice!r} adds no token to its question", remedy="leave out empty choices")
    return np.concatenate([[subject.vocabulary.bos_id], whole]), answer


def _sizes(choices: Sequence[str], size: Callable[[str], int]) -> Any:
    return np.array([max(size(choice), 1) for choice in choices], np.float64)


def _there(path: Path) -> Path:
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    return path


def _read(path: Path) -> list[Question]:
    opened = gzip.open if path.suffix == ".gz" else open
    found, number = [], 0
    try:
        with opened(_there(path), "rt", encoding="utf-8") as file:
            for line in file:
                number += 1
                if line.strip():
                    row = json.loads(line)
                    found.append(Question.model_validate({name: row[name] for name in ("query", "choices", "gold")}))
    except (ValueError, KeyError, TypeError, EOFError, OSError) as error:
        raise DataError(f"{path}:{number}: not a question {{query, choices, gold}}: {str(error).splitlines()[0]}") from None
    return found
