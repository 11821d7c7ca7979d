"""`predict` for models with a head: records in, records with answers or probabilities out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ropewalk.core.errors import DataError
from ropewalk.data.comparisons import Comparison, Form, PairColumns, comparison
from ropewalk.data.records import Rejected
from ropewalk.data.tokenizer import Vocabulary
from ropewalk.evaluate.preference_predictor import PreferencePredictor
from ropewalk.evaluate.span_predictor import SpanPredictor

if TYPE_CHECKING:
    from ropewalk.models.model import Model


def predict_spans(model: Model, records: Iterable[Mapping[str, Any]], device: str = "cpu", most: int = 3) -> Iterator[dict[str, Any]]:
    """For each record with `text` and `question`: its id and the best passages, each with its text and probability.

    A record without them raises DataError naming it; an empty text has no passages.
    """
    predictor = SpanPredictor(model.asked(device), Vocabulary(model.tokenizer_path), device)
    for number, record in enumerate(records, 1):
        text, question = record.get("text"), record.get("question")
        if not isinstance(text, str) or not isinstance(question, str):
            what = "text" if not isinstance(text, str) else "question"
            raise DataError(f"record {number}: {what!r} is missing or no text", remedy="each record needs text and question")
        best = [
            {"start": one.start, "end": one.end, "text": text[one.start : one.end], "probability": one.probability}
            for one in predictor.passages(text, question)[:most]
        ]
        yield {"id": record.get("id", number), "passages": best}


def predict_preferences(
    model: Model, records: Iterable[Mapping[str, Any]], form: Form = "lmsys", columns: PairColumns | None = None, device: str = "cpu"
) -> tuple[list[Comparison], Any]:
    """The pairs and their probabilities (pairs, 3), for records of any form, with or without a winner; see `write_submission`."""
    pairs = []
    for number, record in enumerate(records, 1):
        found = comparison(record, form, columns or PairColumns(), labelled=False)
        if isinstance(found, Rejected):
            raise DataError(f"record {number}: {found.reason}: {found.witness}", remedy="mend it: every record is to be answered")
        pairs.append(found)
    return pairs, PreferencePredictor(model.asked(device), Vocabulary(model.tokenizer_path), device).probabilities(pairs)
