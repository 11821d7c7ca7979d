"""The quality filters: each rule by its definition, empty texts without a crash, thresholds that mean what they are called."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.data.corpus import from_documents
from ropewalk.data.filters.gopher import Gopher
from ropewalk.data.filters.length import Length
from ropewalk.data.filters.repetition import Repetition, duplicate_ngram_characters, top_ngram_characters
from ropewalk.data.records import Document
from ropewalk.data.steps import Batch, Rule, Step

STEPS: list[Step] = [Gopher(), Length(min_words=3), Repetition()]
WORDS = "the rope of hemp that was made with care and sold to be used"


def rules(step: Step, *texts: str) -> dict[str, Rule]:
    change = step.apply(Batch(from_documents([Document(f"d{number}", text) for number, text in enumerate(texts)])))
    return {rule.name: rule for rule in change.rules}


def failed(step: Step, text: str) -> list[str]:
    return [name for name, rule in rules(step, text).items() if not rule.keeps[0]]


def scores(step: Step, text: str) -> dict[str, float]:
    return {name: float(rule.values[0]) for name, rule in rules(step, text).items()}


def test_blank_lines_are_not_duplicate_lines() -> None:  # O09
    text = "\n\n\n".join(f"Sentence number {number} stands by itself." for number in range(10))
    found = scores(Repetition(), text)
    assert found["max_duplicate_lines"] == found["max_duplicate_paragraphs"] == 0.0
    assert failed(Repetition(max_top_ngram={}, max_duplicate_ngrams={}), text) == []


def test_the_share_of_words_with_letters_is_a_minimum() -> None:  # O10
    good, bad = ("word " * letters + "123 " * (100 - letters) for letters in (85, 75))
    rule = rules(Gopher(min_alpha_words_ratio=0.8), good, bad)["min_alpha_words_ratio"]
    assert rule.values.tolist() == [0.85, 0.75] and rule.keeps.tolist() == [True, False]
    assert rules(Gopher(min_alpha_words_ratio=0), bad, "1 2 3")["min_alpha_words_ratio"].keeps.all()


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.tag)
@pytest.mark.parametrize("text", ["", "   ", "\n\n", ".", "word", "\u3000", "#", "…"])
def test_empty_texts_are_judged_without_a_crash_or_nan(step: Step, text: str) -> None:  # O11
    found = rules(step, text)
    assert found and all(np.isfinite(rule.values).all() and rule.keeps.dtype == np.bool_ for rule in found.values())


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.tag)
def test_no_documents_at_all(step: Step) -> None:
    assert all(len(rule.keeps) == 0 for rule in rules(step).values())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("of the hempen rope", "min_words"),
        (f"{WORDS} " * 20, "max_words"),
        ("a to of it is in on at by " * 10, "min_mean_word_length"),
        ("the incomprehensibilities of antidisestablishmentarianism " * 20, "max_mean_word_length"),
        (f"{WORDS} # " * 6 + "# # # #", "max_hash_ratio"),
        (f"{WORDS} ... " * 6 + "… … … … end", "max_ellipsis_ratio"),
        ("\n".join(f"- {WORDS}" for _ in range(12)), "max_bullet_lines_ratio"),
        ("\n".join(f"{WORDS} {WORDS}..." for _ in range(4)), "max_ellipsis_lines_ratio"),
        (f"{WORDS} 12345 " * 2 + "12345 " * 30, "min_alpha_words_ratio"),
        ("rope hemp twine sail mast " * 11, "min_stop_words"),
    ],
)
def test_each_gopher_rule_by_itself(text: str, reason: str) -> None:
    assert failed(Gopher(max_words=200), text) == [reason]
    assert failed(Gopher(max_words=200), (f"{WORDS}\n" * 5)) == []
    off: dict[str, Any] = {reason: None if reason.startswith("max_") else 0}
    assert failed(Gopher(**{"max_words": 200, **off}), text) == []


def test_bold_words_and_dialogue_are_no_bullets() -> None:
    text = f"**Mrs.** {WORDS}\n-{WORDS}\n\u2014 {WORDS}\n  * {WORDS}\n-\n\u2022{WORDS}"
    assert scores(Gopher(), text)["max_bullet_lines_ratio"] == 3 / 6


def test_stop_words_are_found_beside_punctuation_and_in_capitals() -> None:
    assert scores(Gopher(), 'The end, "of" (to) BE. that?')["min_stop_words"] == 5


def test_length_bounds() -> None:
    step = Length(min_words=2, max_words=3, min_characters=4, max_characters=9)
    assert [failed(step, text) for text in ("one", "a b", "aa bb", "a b c d", "aaaa bbbbb")] == [
        ["min_words", "min_characters"],
        ["min_characters"],
        [],
        ["max_words"],
        ["max_characters"],
    ]
    assert scores(step, " two  words ") == {"min_words": 2, "max_words": 2, "min_characters": 12, "max_characters": 12}


def test_duplicate_lines_and_paragraphs_by_number_and_characters() -> None:
    text = "aa\nbbbb\n\naa\nbbbb\n\ncc\n  aa  "
    found = scores(Repetition(), text)
    assert found["max_duplicate_lines"] == 3 / 6 and found["max_duplicate_line_characters"] == pytest.approx(8 / len(text))
    assert found["max_duplicate_paragraphs"] == 1 / 3 and found["max_duplicate_paragraph_characters"] == pytest.approx(7 / len(text))
    assert "max_duplicate_lines" in failed(Repetition(), text)
    assert failed(Repetition(max_duplicate_lines=0.5, max_duplicate_line_characters=None, max_duplicate_paragraphs=0.4,
                             max_duplicate_paragraph_characters=1, max_top_ngram={}, max_duplicate_ngrams={}), text) == []  # fmt: skip


def test_ngrams_by_characters_without_blanks() -> None:
    words = ["a", "bb", "a", "bb", "a", "bb", "c"]
    assert top_ngram_characters(words, 2) == 3 * 3
    assert top_ngram_characters(["a", "b", "c", "d"], 2) == 0, "what is there once is not repeated"
    assert top_ngram_characters(["aa", "bb", "aa", "bb", "c", "dddd", "c", "dddd"], 2) == 2 * 5, "of equally frequent ones the longest"
    assert duplicate_ngram_characters(words, 2) == 1 + 2 + 1 + 2
    assert duplicate_ngram_characters(["x"] * 10, 3) == 9, "each word counts once"
    assert top_ngram_characters([], 2) == duplicate_ngram_characters(["x"], 2) == 0


def test_ngram_rules_name_their_size() -> None:
    text = "buy cheap rope now " * 10
    assert {"max_top_ngram.2", "max_top_ngram.4", "max_duplicate_ngrams.5", "max_duplicate_ngrams.10"} <= set(failed(Repetition(), text))
    assert Repetition.model_validate({"max_top_ngram": {"2": 1}}).max_top_ngram == {2: 1}


@given(st.lists(st.text("ab \n.#-", max_size=40), max_size=4))
def test_filters_judge_each_text_by_itself_and_change_none(texts: list[str]) -> None:
    for step in STEPS:
        together = rules(step, *texts)
        for place, text in enumerate(texts):
            for name, rule in rules(step, text).items():
                assert rule.values[0] == together[name].values[place]
    assert all(step.apply(Batch(from_documents([Document("a", "x")]))).texts is None for step in STEPS)


@given(st.lists(st.sampled_from("abc"), max_size=25), st.integers(1, 4))
def test_duplicate_ngrams_agree_with_a_plain_count(words: list[str], size: int) -> None:
    grams = [tuple(words[start : start + size]) for start in range(len(words) - size + 1)]
    covered = {place for start, gram in enumerate(grams) if gram in grams[:start] for place in range(start, start + size)}
    assert duplicate_ngram_characters(words, size) == len(covered)
