"""From annotations of posts to examples: each row names a post and a quote or offsets, and what can't be placed is told with its reason."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from ropewalk.core.component import Component
from ropewalk.core.ledger import Ledger
from ropewalk.data.align import align
from ropewalk.data.sources.fields import value_at
from ropewalk.data.spans import Span, SpanExample


class Columns(Component):
    """Where an annotation's parts stand in its record, as dotted paths."""

    post: str = "post_id"
    """The post that is annotated."""
    quote: str = "sentence_text"
    """The passage, quoted."""
    start: str = ""
    """Where the passage begins, in characters; a negative or missing one leaves it to the quote."""
    end: str = ""
    """Where it ends."""
    label: str = "label"
    """What the passage is evidence of."""
    question: str = "{label}"
    """The question that the passage answers, with columns in braces, such as `Which sentence shows {DSM5_symptom}?`."""
    wanted: dict[str, list[str]] = {}
    """Column -> values: rows with others are left out, such as `status: ["1"]`."""
    labels: list[str] = []
    """The labels that there may be; any when left out."""
    without_quote: Literal["drop", "no_answer"] = "drop"
    """A row without a passage: leave it out, or take it to say that nothing in the post answers."""


@dataclass
class Gathered:
    """Examples as they come together; rows of one post and question are one example."""

    texts: Mapping[str, str]
    groups: Mapping[str, str]
    columns: Columns
    fuzzy: Annotated[float, Field(ge=0, le=1)]
    overlapping: Literal["keep", "drop"]
    ledger: Ledger
    how: Counter[str] = field(default_factory=Counter)
    """How many spans were found exactly, normalised, fuzzily, by offset, or not."""
    kept: int = 0
    found: dict[tuple[str, str], tuple[str, list[Span]]] = field(default_factory=dict)

    def add(self, record: Mapping[str, Any], name: str) -> None:
        """Place one annotation, or tell why it can't be placed."""
        columns = self.columns
        if any(_text(record, column) not in values for column, values in columns.wanted.items()):
            return self.ledger.add(name, "not_wanted")
        post, label = _text(record, columns.post), _text(record, columns.label)
        if post not in self.texts:
            return self.ledger.add(name, "unknown_post", witness=post)
        if not self.texts[post].strip():
            return self.ledger.add(name, "empty_post", witness=post)
        if columns.labels and label not in columns.labels:
            return self.ledger.add(name, "unknown_label", witness=label)
        question = re.sub(r"\{([^{}]+)\}", lambda match: _text(record, match.group(1)), columns.question).strip()
        if not question:
            return self.ledger.add(name, "no_question")
        span = self._span(record, self.texts[post])
        if isinstance(span, str):
            if span == "no_quote" and columns.without_quote == "no_answer":
                self.found.setdefault((post, question), (label, []))
                self.kept += 1
                return None
            self.how["not"] += 1
            return self.ledger.add(name, span, witness=_text(record, columns.quote)[:200])
        _, spans = self.found.setdefault((post, question), (label, []))
        if span in spans:
            return self.ledger.add(name, "same_span_again", witness=post)
        if self.overlapping == "drop" and any(span[0] < end and start < span[1] for start, end in spans):
            return self.ledger.add(name, "overlapping_span", witness=post)
        spans.append(span)
        self.kept += 1
        return None

    def _span(self, record: Mapping[str, Any], text: str) -> Span | str:
        """The span, or why there is none."""
        quote = _text(record, self.columns.quote) if self.columns.quote else ""
        if self.columns.start and self.columns.end:
            try:
                start, end = int(_text(record, self.columns.start) or -1), int(_text(record, self.columns.end) or -1)
            except ValueError:
                return "bad_offset"
            if start >= 0 and (not quote or text[start:end] == quote):
                if end <= start:
                    return "reversed_span"
                if end > len(text):
                    return "span_outside_post"
                self.how["offset"] += 1
                return start, end
        if not quote.strip():
            return "no_quote"
        found = align(text, quote, self.fuzzy)
        if found is None:
            return "not_aligned"
        self.how[found.how] += 1
        return found.start, found.end

    def examples(self) -> list[SpanExample]:
        """In the order in which their first annotation came."""
        return [
            SpanExample(f"{post}/{number}", post, self.groups[post], question, label, tuple(sorted(spans)))
            for number, ((post, question), (label, spans)) in enumerate(self.found.items())
        ]


def squad(article: Mapping[str, Any], texts: dict[str, str], place: str, ledger: Ledger) -> list[SpanExample]:
    """The questions of a SQuAD article (v1 or v2), and its paragraphs into `texts`; answers that are not where they say are told."""
    found = []
    title = str(article.get("title") or place)
    for number, paragraph in enumerate(article["paragraphs"]):
        document, text = f"{title}#{number}", str(paragraph["context"])
        texts[document] = text
        for question in paragraph["qas"]:
            spans: list[Span] = []
            for answer in question.get("answers") or []:
                start, quote = int(answer["answer_start"]), str(answer["text"])
                if quote and text[start : start + len(quote)] == quote:
                    spans.append((start, start + len(quote)))
                elif aligned := align(text, quote, 1.0):
                    spans.append((aligned.start, aligned.end))
            name = str(question["id"])
            if not spans and not question.get("is_impossible"):
                ledger.add(name, "not_aligned", witness=document)
                continue
            found.append(SpanExample(name, document, title, str(question["question"]), "", tuple(dict.fromkeys(spans))))
    return found


def _text(record: Mapping[str, Any], column: str) -> str:
    """A column's value as text; nothing where it is missing or null."""
    value = value_at(record, column)
    return str(value) if isinstance(value, str | int | float) else ""
