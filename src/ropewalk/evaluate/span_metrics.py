"""How well a passage answers: SQuAD's exact match and token F1, overlap in characters, F1 over several passages, a threshold for none."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

import numpy as np

from ropewalk.data.spans import Span

_ARTICLES = re.compile(r"\b(a|an|the)\b", re.UNICODE)
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(answer: str) -> str:
    """Lower case without punctuation, articles and extra white space, as the SQuAD script has it."""
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split())


def exact_match(answers: Sequence[str], predicted: str) -> float:
    """1 where the prediction is one of the answers; without answers, where nothing is predicted."""
    return float(any(normalised(answer) == normalised(predicted) for answer in _real(answers)))


def token_f1(answers: Sequence[str], predicted: str) -> float:
    """The best F1 over shared words with any answer; without answers 1 where nothing is predicted."""
    return max(_f1(normalised(answer).split(), normalised(predicted).split()) for answer in _real(answers))


def iou(spans: Sequence[Span], predicted: Span | None) -> float:
    """The best share of characters in both among those in either; without spans 1 where nothing is predicted."""
    if not spans or predicted is None:
        return float(not spans and predicted is None)
    return max(_iou(span, predicted) for span in spans)


def overlap_f1(spans: Sequence[Span], predicted: Sequence[Span]) -> float:
    """F1 where a passage counts as found when it shares a character with one of the other side."""
    if not spans or not predicted:
        return float(not spans and not predicted)
    right = sum(any(_shared(one, span) for span in spans) for one in predicted) / len(predicted)
    found = sum(any(_shared(one, span) for one in predicted) for span in spans) / len(spans)
    return 2 * right * found / (right + found) if right + found else 0.0


def best_threshold(scores: Sequence[float], gained: Sequence[float], nothing: Sequence[float]) -> float:
    """The score from which to answer so that the sum is greatest: `gained` by answering, `nothing` by saying that there is no answer.

    Minus infinity, so that all is answered, where that is as good as any.
    """
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    score, gain = np.asarray(scores, np.float64)[order], (np.asarray(gained) - np.asarray(nothing))[order]
    sums = np.concatenate([[0.0], np.cumsum(gain)])
    ends = np.concatenate([[True], score[1:] != score[:-1], [True]])  # only where the score changes can a line be drawn
    sums = np.where(ends, sums, -np.inf)
    best = len(score) if sums[-1] >= sums.max() else int(np.argmax(sums))
    if best == len(score):
        return float("-inf")
    return float((score[best - 1] + score[best]) / 2) if best else float(np.nextafter(score[0], np.inf))


def _real(answers: Sequence[str]) -> list[str]:
    return [answer for answer in answers if normalised(answer)] or [""]


def _f1(answer: list[str], predicted: list[str]) -> float:
    if not answer or not predicted:
        return float(answer == predicted)
    same = sum((Counter(answer) & Counter(predicted)).values())
    return 2 * same / (len(answer) + len(predicted))


def _shared(one: Span, other: Span) -> int:
    return max(0, min(one[1], other[1]) - max(one[0], other[0]))


def _iou(one: Span, other: Span) -> float:
    shared = _shared(one, other)
    return shared / (one[1] - one[0] + other[1] - other[0] - shared)
