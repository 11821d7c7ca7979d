"""Questions about documents: does the model find the passages that answer?"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from ropewalk.core.errors import DataError
from ropewalk.core.reference import Ref
from ropewalk.data.spans import SpanExample, Spans
from ropewalk.data.tokenizer import Vocabulary
from ropewalk.evaluate.scores import Measure, SuiteResult
from ropewalk.evaluate.scoring import Subject
from ropewalk.evaluate.span_metrics import best_threshold, exact_match, iou, overlap_f1, token_f1
from ropewalk.evaluate.suites.suite import Suite
from ropewalk.models.model import Model

if TYPE_CHECKING:
    from ropewalk.evaluate.combined_predictor import CombinedPredictor
    from ropewalk.evaluate.span_predictor import Passage, SpanPredictor

SHOWN = 40  # items with their text, for the report


class SpanEvidence(Suite, type="span_evidence"):
    """Exact match, token F1 and overlap of the best passage, F1 over all passages; with baselines, and per label."""

    measures: ClassVar[tuple[str, ...]] = ("f1", "exact_match", "iou", "overlap_f1")

    data: Ref[Spans]
    """The examples, those of the part `validation` for choosing thresholds."""
    part: Literal["train", "validation", "test"] = "test"
    """Which examples are asked."""

    spans: Ref[Model] | None = None
    """A model of `head: span`, to be asked together with one of `head: sentence`; its weight is chosen on validation."""

    def baseline_names(self) -> tuple[str, ...]:
        return ("position", "tfidf", "embedding")

    def run(self, subject: Subject, open_ref: Callable[[Ref[Any]], Any], advance: Callable[[int], None]) -> SuiteResult:
        from ropewalk.evaluate.combined_predictor import CombinedPredictor
        from ropewalk.evaluate.sentence_baselines import SentenceBaselines

        spans: Spans = open_ref(self.data)
        texts = spans.texts
        asked, held = list(spans.examples(self.part)), list(spans.examples("validation"))
        if not asked:
            raise DataError(f"{self.data.target} has no examples in part {self.part!r}", remedy="name another part")
        predictor = self._predictor(subject, open_ref)
        every = [*asked, *held]
        predictor.remember([texts[one.document] for one in every], [one.question for one in every])
        if isinstance(predictor, CombinedPredictor):
            predictor.choose_weight(lambda: _mean_f1(predictor, held, texts))
        answered = [_advanced(predictor.passages(texts[one.document], one.question), advance) for one in every]
        least = _threshold(held, answered[len(asked) :], texts)
        several = _several(held, answered[len(asked) :], least)
        rivals = SentenceBaselines(spans.examples("train"), texts, predictor.embed)
        rows = [
            _Row(one, texts[one.document], passages, least, several) for one, passages in zip(asked, answered[: len(asked)], strict=True)
        ]
        others = [rivals.choose(texts[one.document], one.question) for one in asked]
        ones = np.ones(len(asked))
        baselines = {
            name: np.array([token_f1(row.answers, row.text[slice(*other[name])]) for row, other in zip(rows, others, strict=True)])
            for name in others[0]
        }
        measures = [
            Measure("f1", "token F1", np.array([row.f1 for row in rows]), ones, True, baselines=baselines),
            Measure("exact_match", "share", np.array([row.exact for row in rows]), ones, True, "proportion"),
            Measure("iou", "share of characters", np.array([row.iou for row in rows]), ones, True),
            Measure("overlap_f1", "F1 over passages", np.array([row.overlap for row in rows]), ones, True),
        ]
        tables = {
            "threshold": least,
            "weight_of_spans": predictor.weight if isinstance(predictor, CombinedPredictor) else 0.0,
            "several_from": several,
            "labels": _by_label(rows),
            "shown": [row.shown() for row in rows[:SHOWN]],
        }
        counts = {
            "answered": sum(bool(row.best) for row in rows),
            "validation_items": len(held),
            "no_answer_items": sum(not one.spans for one in asked),
        }
        return SuiteResult([one.id for one in asked], [one.group for one in asked], measures, counts, tables=tables)

    def _predictor(self, subject: Subject, open_ref: Callable[[Ref[Any]], Any]) -> SpanPredictor | CombinedPredictor:
        from ropewalk.evaluate.combined_predictor import CombinedPredictor
        from ropewalk.evaluate.span_predictor import SpanPredictor

        own = SpanPredictor(subject.module, subject.vocabulary, subject.device)  # type: ignore[arg-type]
        if self.spans is None:
            return own
        model: Model = open_ref(self.spans)
        return CombinedPredictor(own, SpanPredictor(model.asked(subject.device), Vocabulary(model.tokenizer_path), subject.device))


class _Row:
    """One item: its answers, what was predicted, and what that is worth."""

    def __init__(self, one: SpanExample, text: str, passages: list[Passage], least: float, several: float) -> None:
        self.one, self.text = one, text
        self.answers = [text[start:end] for start, end in one.spans]
        self.best = passages[0] if passages and passages[0].score >= least else None
        place = (self.best.start, self.best.end) if self.best else None
        predicted = text[slice(*place)] if place else ""
        self.f1, self.exact, self.iou = token_f1(self.answers, predicted), exact_match(self.answers, predicted), iou(one.spans, place)
        self.passages = chosen(passages, least, several)
        self.overlap = overlap_f1(one.spans, self.passages)

    def shown(self) -> dict[str, Any]:
        """The item for the report's page."""
        return {
            "id": self.one.id,
            "question": self.one.question,
            "label": self.one.label,
            "text": self.text,
            "gold": [list(span) for span in self.one.spans],
            "predicted": [list(span) for span in self.passages],
            "f1": round(self.f1, 4),
        }


def chosen(passages: list[Passage], least: float, several: float) -> list[tuple[int, int]]:
    """The best passage if it reaches `least`, and those after it that reach `several` and overlap none before."""
    found: list[tuple[int, int]] = []
    for number, one in enumerate(passages):
        if one.score < (several if number else least):
            break
        if all(one.end <= start or end <= one.start for start, end in found):
            found.append((one.start, one.end))
    return found


def _advanced(passages: list[Passage], advance: Callable[[int], None]) -> list[Passage]:
    advance(1)
    return passages


def _mean_f1(predictor: CombinedPredictor, examples: list[SpanExample], texts: dict[str, str]) -> float:
    """Token F1 of the best passage."""
    total = 0.0
    for one in examples:
        text = texts[one.document]
        best = predictor.passages(text, one.question)[:1]
        total += token_f1([text[start:end] for start, end in one.spans], text[best[0].start : best[0].end] if best else "")
    return total


def _threshold(examples: list[SpanExample], answered: list[list[Passage]], texts: dict[str, str]) -> float:
    """From which score there is an answer: the best F1 on the validation examples."""
    scored = [(one, passages[0]) for one, passages in zip(examples, answered, strict=True) if passages]
    if all(one.spans for one, _ in scored):
        return float("-inf")
    answers = [[texts[one.document][start:end] for start, end in one.spans] for one, _ in scored]
    gained = [token_f1(right, texts[one.document][best.start : best.end]) for right, (one, best) in zip(answers, scored, strict=True)]
    return best_threshold([best.score for _, best in scored], gained, [float(not right) for right in answers])


def _several(examples: list[SpanExample], answered: list[list[Passage]], least: float) -> float:
    """From which score a second passage is given: the best F1 over passages on the validation examples, of twenty quantiles."""
    later = [one.score for passages in answered for one in passages[1:6]]
    candidates = [float("inf"), *np.quantile(later, np.linspace(0.5, 1, 20)).tolist()] if later else [float("inf")]

    def worth(score: float) -> float:
        pairs = zip(examples, answered, strict=True)
        return float(np.mean([overlap_f1(one.spans, chosen(passages, least, score)) for one, passages in pairs])) if examples else 0.0

    return max(candidates, key=worth)


def _by_label(rows: list[_Row]) -> dict[str, dict[str, float]]:
    found = {}
    for label in sorted({row.one.label for row in rows}):
        some = [row for row in rows if row.one.label == label]
        means = {name: float(np.mean([getattr(row, name) for row in some])) for name in ("f1", "exact", "iou", "overlap")}
        found[label] = {"items": len(some), **{name: round(value, 4) for name, value in means.items()}}
    return found
