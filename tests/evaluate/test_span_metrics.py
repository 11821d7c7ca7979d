"""SQuAD's measures against the published algorithm written down a second time, and the rules for no answer."""

from __future__ import annotations

import re
import string
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.evaluate.span_metrics import best_threshold, exact_match, iou, normalised, overlap_f1, token_f1

# evaluate-v2.0.py of the SQuAD site, its four steps and its three cases of F1, in its own order.


def squad_normalize(s: str) -> str:
    def remove_articles(text: str) -> str:
        regex = re.compile(r"\b(a|an|the)\b", re.UNICODE)
        return re.sub(regex, " ", text)

    def remove_punc(text: str) -> str:
        exclude = set(string.punctuation)
        return "".join(ch for ch in text if ch not in exclude)

    return " ".join(remove_articles(remove_punc(s.lower())).split())


def squad_f1(a_gold: str, a_pred: str) -> float:
    gold_toks, pred_toks = squad_normalize(a_gold).split(), squad_normalize(a_pred).split()
    common = Counter(gold_toks) & Counter(pred_toks)
    num_same = sum(common.values())
    if len(gold_toks) == 0 or len(pred_toks) == 0:
        return int(gold_toks == pred_toks)
    if num_same == 0:
        return 0
    precision = 1.0 * num_same / len(pred_toks)
    recall = 1.0 * num_same / len(gold_toks)
    return (2 * precision * recall) / (precision + recall)


WORDS = st.lists(st.sampled_from(["The", "a", "cat", "Cat,", "an", "sat.", "42", "é", "--", "mat"]), max_size=6).map(" ".join)


@given(st.lists(WORDS, max_size=3), WORDS)
def test_em_and_f1_are_those_of_the_squad_script(answers: list[str], predicted: str) -> None:
    gold = [answer for answer in answers if squad_normalize(answer)] or [""]
    assert exact_match(answers, predicted) == max(int(squad_normalize(one) == squad_normalize(predicted)) for one in gold)
    assert token_f1(answers, predicted) == pytest.approx(max(squad_f1(one, predicted) for one in gold), abs=1e-12)


@given(st.text(max_size=40))
def test_normalising_is_the_scripts(text: str) -> None:
    assert normalised(text) == squad_normalize(text)


def test_no_answer_is_right_only_where_nothing_is_predicted() -> None:
    assert exact_match([], "") == token_f1([], "") == iou([], None) == overlap_f1([], []) == 1.0
    assert exact_match([], "cat") == token_f1([], "cat") == iou([], (0, 3)) == overlap_f1([], [(0, 3)]) == 0.0
    assert exact_match(["cat"], "") == token_f1(["cat"], "") == iou([(0, 3)], None) == overlap_f1([(0, 3)], []) == 0.0


def test_iou_takes_the_best_answer() -> None:
    assert iou([(0, 10), (20, 30)], (22, 30)) == pytest.approx(0.8)
    assert iou([(0, 10)], (10, 20)) == 0.0


def test_several_passages_are_judged_together() -> None:
    assert overlap_f1([(0, 10), (20, 30)], [(5, 12)]) == pytest.approx(2 * 1 * 0.5 / 1.5)
    assert overlap_f1([(0, 10)], [(5, 12), (40, 50)]) == pytest.approx(2 * 0.5 * 1 / 1.5)


SCORED = st.lists(st.tuples(st.integers(-5, 5), st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.0, 1.0])), min_size=1, max_size=12)


@given(SCORED)
def test_the_threshold_is_the_best_of_all(items: list[tuple[int, float, float]]) -> None:
    scores, gained, nothing = (list(column) for column in zip(*items, strict=True))

    def total(least: float) -> float:
        return sum(gain if score >= least else none for score, gain, none in items)

    best = best_threshold([float(score) for score in scores], gained, nothing)
    assert total(best) == pytest.approx(max(total(cut) for cut in [float("-inf"), *[score + 0.5 for score in range(-6, 7)]]))
