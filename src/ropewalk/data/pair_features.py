"""What is known of an answer beside another: length, form, likeness to the prompt and to the other; never who wrote it."""

from __future__ import annotations

import re
import zlib
from typing import Annotated

import numpy as np
from pydantic import Field

from ropewalk.core.component import Component
from ropewalk.data.comparisons import Comparison
from ropewalk.data.sentence_features import Embed, Floats

LENGTHS = ("log_characters", "log_words", "log_lines", "empty")
FORMS = ("ends_in_stop", "distinct_words", "compressed", "digits", "list_lines", "prompt_words", "copied", "answer_per_prompt")
MEANINGS = ("prompt_meaning", "other_meaning")
_WORD = re.compile(r"\w+")
_ITEM = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s", re.MULTILINE)


class PairFeatures(Component):
    """Numbers of each of two answers."""

    form: bool = True
    """Punctuation, repetition, lists, words shared with the prompt; without it only lengths."""
    meaning: bool = True
    """How like embeddings of answer, prompt and other answer are; needs an encoder."""
    embedding: Annotated[float, Field(ge=0)] = 0.0
    """Length of the answer's own embedding among the features; 0 leaves it out: 999 pairs are too few for it."""
    budget: Annotated[int, Field(ge=32)] = 900
    """Characters of prompt and each answer that are embedded: of a longer text both ends, the middle left out."""

    @property
    def names(self) -> list[str]:
        """The scaled features' names, in order."""
        return [*LENGTHS, *(FORMS if self.form else ()), *(MEANINGS if self.meaning else ())]

    def texts(self, pair: Comparison) -> list[str]:
        """What is to be embedded of a pair."""
        return [keep_ends(text, self.budget) for text in (pair.prompt, pair.a, pair.b)] if self.meaning or self.embedding else []

    def table(self, pair: Comparison, embed: Embed | None) -> Floats:
        """(2, features): of A and of B. Swapped answers give swapped rows, bit by bit."""
        rows = [[*lengths(answer), *(_form(pair.prompt, answer) if self.form else ())] for answer in (pair.a, pair.b)]
        table = np.array(rows, np.float32)
        if self.meaning or self.embedding:
            assert embed is not None, "the stage sees to it"
            prompt, *answers = embed(self.texts(pair))
            between = np.float32((answers[0] * answers[1]).sum())
            if self.meaning:
                table = np.concatenate([table, [[np.float32((prompt * one).sum()), between] for one in answers]], 1)
            if self.embedding:
                table = np.concatenate([table, np.stack(answers) * self.embedding], 1)
        return table.astype(np.float32)


def keep_ends(text: str, budget: int) -> str:
    """The text, or its beginning and end with ` … ` between, in at most `budget` characters."""
    if len(text) <= budget:
        return text
    room = budget - 3
    first = (room + 1) // 2
    return f"{text[:first]} … {text[len(text) - (room - first) :]}" if room > first else text[:budget]


def lengths(answer: str) -> list[float]:
    """The baseline that any model of preference must beat."""
    lines = answer.count("\n") + 1
    return [float(np.log1p(len(answer))), float(np.log1p(len(answer.split()))), float(np.log1p(lines)), float(not answer.strip())]


def _form(prompt: str, answer: str) -> list[float]:
    words = _WORD.findall(answer.lower())
    asked = set(_WORD.findall(prompt.lower()))
    raw = answer.encode()
    return [
        float(answer.rstrip().endswith((".", "!", "?", '"', ")", "`"))),
        len(set(words)) / max(1, len(words)),
        len(zlib.compress(raw, 6)) / (len(raw) + 20),
        sum(map(str.isdigit, answer)) / max(1, len(answer)),
        float(np.log1p(len(_ITEM.findall(answer)))),
        sum(word in asked for word in words) / max(1, len(words)),
        float(bool(answer.strip()) and answer.strip() in prompt),
        float(np.log1p(len(words)) - np.log1p(len(_WORD.findall(prompt)))),
    ]
