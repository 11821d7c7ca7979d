"""Multiple choice by log-likelihood: which of the answers the model finds likeliest after the question."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from string import Formatter
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from ropewalk.core.errors import DataError
from ropewalk.core.reference import Ref
from ropewalk.evaluate.asked import Asked, continued, encoded, parted
from ropewalk.evaluate.likelihood import Ask, likelihoods
from ropewalk.evaluate.rows import Row, gold_index
from ropewalk.evaluate.scores import Measure, SuiteResult, calibration_of
from ropewalk.evaluate.scoring import Subject

Normalisation = Literal["raw", "per_character", "per_byte", "unconditional"]
NAMES = {
    "raw": "accuracy",
    "per_character": "accuracy_per_character",
    "per_byte": "accuracy_per_byte",
    "unconditional": "accuracy_unconditional",
}


class MultipleChoice(Asked, type="multiple_choice"):
    """Accuracy by the sum of an answer's log-likelihood, and how well the probabilities over the answers are calibrated.

    The sum counts raw, per character or per byte of the answer, or less what it is after no question (`unconditional`).
    """

    query: str = "{query}"
    """What comes before the answer; `{column}` is filled from the row."""
    choices: str = "choices"
    """The column with the list of answers; a space is put before each unless it begins with one."""
    contexts: str = ""
    """The column with a list of contexts, one a choice, for rows where the continuation (`query`) is the same and the context differs."""
    gold: str = "gold"
    """The column with the right one: a number from 0 or a letter."""
    normalisations: Annotated[list[Normalisation], Field(min_length=1)] = ["raw", "per_character", "per_byte"]
    """How sums are made comparable; each is a metric of its own."""
    nothing: str = ""
    """What stands in place of the question for `unconditional`, such as `Answer:`; BOS alone when empty."""

    def asked_columns(self) -> list[str]:
        """Those of the question, and the choices or contexts."""
        named = [name for _, name, _, _ in Formatter().parse(self.query) if name]
        return [self.contexts, *named] if self.contexts else [*named, self.choices]

    def metric_names(self) -> tuple[str, ...]:
        return (*(NAMES[name] for name in self.normalisations), "brier")

    def understood(self, row: Row) -> tuple[list[str], list[str], int]:
        """(contexts, one for all or one a choice; continuations; the right one)."""
        if self.contexts:
            contexts = row.texts(self.contexts)
            pairs = [parted(context, row.filled(self.query)) for context in contexts]
        else:
            query = row.filled(self.query)
            pairs = [parted(query, choice) for choice in row.texts(self.choices)]
        if len(pairs) < 2:
            raise DataError(f"{row.place}: {len(pairs)} choices, needs two at least")
        if empty := [text for _, text in pairs if not text.strip()]:
            raise DataError(f"{row.place}: the choice {empty[0].strip()!r} adds no token to its question", remedy="leave out empty choices")
        contexts = [context for context, _ in pairs]
        return contexts if len(set(contexts)) > 1 else contexts[:1], [text for _, text in pairs], gold_index(row, self.gold, len(pairs))

    def run(self, subject: Subject, open_ref: Callable[[Ref[Any]], Any], advance: Callable[[int], None]) -> SuiteResult:
        head = "".join(self._solved(row) + self.between for row in self.examples())
        asked: list[tuple[Row, list[str], int]] = []
        asks: list[Ask] = []
        owners: list[tuple[int, list[int]]] = []
        truncated = left_out = 0
        room = subject.module.shape.context + 1
        for row in self.items():
            contexts, texts, gold = self.understood(row)
            own, cut = _asks(subject, [head + context for context in contexts], texts, self.bos, room, row.place)
            if cut and self.too_long == "leave_out":
                left_out += 1
                continue
            truncated += cut
            owners += [(len(asked), ask_choices) for _, ask_choices in own]
            asks += [ask for ask, _ in own]
            asked.append((row, texts, gold))
        if not asked:
            raise DataError(f"{self.title}: every item is longer than the model's context of {room - 1}", remedy="set too_long: crop")
        sums = [np.zeros(len(texts)) for _, texts, _ in asked]
        for (item, choices), found in zip(owners, likelihoods(subject, asks, advance), strict=True):
            sums[item][choices] = [one.nats for one in found]
        bare = self._bare(subject, [texts for _, texts, _ in asked], advance)
        return self._result(asked, sums, bare, {"truncated": truncated, "left_out": left_out, "failed": 0})

    def _solved(self, row: Row) -> str:
        contexts, texts, gold = self.understood(row)
        return contexts[gold if len(contexts) > 1 else 0] + texts[gold]

    def _bare(self, subject: Subject, texts: Sequence[list[str]], advance: Callable[[int], None]) -> list[Any]:
        """What each choice costs after no question; each different one is asked once."""
        if "unconditional" not in self.normalisations:
            return []
        different = list(dict.fromkeys(text for choices in texts for text in choices))
        before = encoded(subject, self.nothing, self.bos)
        room = subject.module.shape.context + 1 - len(before)
        ask = [Ask(before, (continued(subject, self.nothing, text, "a choice")[:room],)) for text in different]
        known = dict(zip(different, (found[0].nats for found in likelihoods(subject, ask, advance)), strict=True))
        return [np.array([known[text] for text in choices]) for choices in texts]

    def _result(self, asked: list[tuple[Row, list[str], int]], sums: list[Any], bare: list[Any], counts: Mapping[str, int]) -> SuiteResult:
        right: dict[str, list[float]] = {NAMES[name]: [] for name in self.normalisations}
        sure, hit, brier, details = [], [], [], []
        for item, (row, texts, gold) in enumerate(asked):
            own = sums[item]
            scores = {
                "raw": own,
                "per_character": own / [max(len(text.lstrip(" ")), 1) for text in texts],
                "per_byte": own / [max(len(text.lstrip(" ").encode()), 1) for text in texts],
                **({"unconditional": own - bare[item]} if bare else {}),
            }
            for name in self.normalisations:
                right[NAMES[name]].append(float(np.argmax(scores[name]) == gold))
            odds = np.exp(own - own.max())
            odds /= odds.sum()
            sure.append(float(odds.max()))
            hit.append(bool(np.argmax(own) == gold))
            brier.append(float(((odds - np.eye(len(own))[gold]) ** 2).sum()))
            said = {"asked": row.filled(self.query), "answered": texts[int(np.argmax(own))].strip(), "right": texts[gold].strip()}
            details.append({**said, "nats": [round(float(value), 6) for value in own]})
        ones = np.ones(len(asked))
        measures = [
            Measure(name, "share", np.array(values), ones, higher_is_better=True, scale="proportion") for name, values in right.items()
        ]
        measures.append(Measure("brier", "squared error", np.array(brier), ones))
        ids, clusters = self.named([row for row, _, _ in asked])
        return SuiteResult(ids, clusters, measures, counts, details, {"calibration": calibration_of(np.array(sure), np.array(hit))})


def _asks(
    subject: Subject, contexts: list[str], texts: list[str], bos: bool, room: int, place: str
) -> tuple[list[tuple[Ask, list[int]]], int]:
    """The asks of one row, each with the choices it is about, and whether anything had to be cropped."""
    many = len(contexts) > 1
    found: list[tuple[Ask, list[int]]] = []
    starts = [encoded(subject, context, bos) for context in contexts]
    ends = [continued(subject, contexts[number if many else 0], text, place) for number, text in enumerate(texts)]
    if not many and len(starts[0]) + max(map(len, ends)) <= room:
        return [(Ask(starts[0], tuple(ends)), list(range(len(ends))))], 0
    cut = 0
    for number, end in enumerate(ends):
        start = starts[number if many else 0]
        whole = np.concatenate([start, end])
        cut |= len(whole) > room
        split = max(len(whole[-room:]) - len(end), 1)
        found.append((Ask(whole[-room:][:split], (whole[-room:][split:],)), [number]))
    return found, cut
