"""ARC: {question, choices: {text, label}, answerKey}, or {question: {stem, choices: [{text, label}]}, answerKey}."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ropewalk.data.formatters.answers import choice
from ropewalk.data.formatters.formatter import Formatter
from ropewalk.data.records import Chat, Rejected


class ARC(Formatter, type="arc"):
    """Science questions (Clark et al. 2018); options labelled 1 to 4 get letters like the others."""

    known = frozenset(("id", "question", "choices", "answerKey"))

    def format(self, record: Mapping[str, Any], id: str) -> Chat | Rejected:  # noqa: A002
        question, options, key = record.get("question"), record.get("choices"), record.get("answerKey")
        if isinstance(question, Mapping):
            options, question = question.get("choices"), question.get("stem")
        if isinstance(options, list) and all(isinstance(option, Mapping) for option in options):
            options = {name: [option.get(name) for option in options] for name in ("text", "label")}
        if not isinstance(question, str):
            return Rejected("no_question", id)
        if not isinstance(options, Mapping) or not all(isinstance(options.get(name), list) for name in ("text", "label")):
            return Rejected("no_options", id)
        texts, labels = options["text"], [str(label) for label in options["label"]]
        if len(texts) != len(labels):
            return Rejected("bad_options", id)
        return choice(id, question, texts, labels.index(str(key)) if str(key) in labels else -1)
