"""Best of n: several scored answers to one prompt; the best and a worse one make a pair."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from ropewalk.data.pair_formatters.pair_formatter import PairFormatter, turns_of
from ropewalk.data.pairs import Pair
from ropewalk.data.records import Rejected


class BestOfN(PairFormatter, type="best_of_n"):
    """{prompt, answers, scores}, or {instruction, completions: [{response, overall_score}]} as UltraFeedback has it."""

    against: Literal["worst", "next"] = "worst"
    """What the best answer is paired with: the worst one, or the best of those with a lower score."""
    least_gap: float = Field(default=0.0, ge=0)
    """Scores that differ by no more than this say nothing: the record is dropped."""

    def format(self, record: Mapping[str, Any], id: str) -> Pair | Rejected:  # noqa: A002
        scored = _scored(record)
        if isinstance(scored, str):
            return Rejected(scored, id)
        prompt = turns_of(record.get("prompt", record.get("instruction")), "user")
        if isinstance(prompt, str):
            return Rejected(f"prompt.{prompt}", id)
        best = max(scored, key=lambda item: item[0])
        worse = [item for item in scored if item[0] < best[0] - self.least_gap]
        if not worse:
            return Rejected("scores_do_not_differ", id)
        other = min(worse, key=lambda item: item[0]) if self.against == "worst" else max(worse, key=lambda item: item[0])
        chosen, rejected = turns_of(best[1], "assistant"), turns_of(other[1], "assistant")
        if isinstance(chosen, str) or isinstance(rejected, str):
            return Rejected("answer_is_no_text", id)
        return Pair(id, prompt, chosen, rejected)


def _scored(record: Mapping[str, Any]) -> list[tuple[float, Any]] | str:
    """(score, answer) of each answer, or what is wrong."""
    if "completions" in record:
        rows = record["completions"]
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
            return "completions_are_no_objects"
        scores, answers = [row.get("overall_score", row.get("score")) for row in rows], [row.get("response") for row in rows]
    else:
        scores, answers = record.get("scores"), record.get("answers")  # type: ignore[assignment]
    if not isinstance(scores, list) or not isinstance(answers, list) or len(scores) != len(answers) or not scores:
        return "not_one_score_an_answer"
    if not all(isinstance(score, int | float) and not isinstance(score, bool) and math.isfinite(score) for score in scores):
        return "score_is_no_number"
    return [(float(score), answer) for score, answer in zip(scores, answers, strict=True)]
