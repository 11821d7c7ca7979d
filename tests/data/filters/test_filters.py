"""The quality filters: each rule by its definition, empty texts without a crash, thresholds that mean what they are called."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quality_reference import chosen_lines, duplicate_ngram_characters, measured, top_ngram_characters
from ropewalk.data.corpus import from_documents
from ropewalk.data.filters.c4 import C4
from ropewalk.data.filters.fineweb import FineWeb
from ropewalk.data.filters.gopher import Gopher
from ropewalk.data.filters.length import Length
from ropewalk.data.filters.repetition import Repetition
from ropewalk.data.records import Document
from ropewalk.data.steps import Batch, Rule, Step

STEPS: list[Step] = [Gopher(), Length(min_words=3), Repetition(), FineWeb(), C4()]
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


@pytest.mark.parametrize("blanks", ["\n \t\n\u3000\n", "\r\n\r\n\r\n", "\n\u00a0\u2028\n"])
def test_lines_of_white_space_of_any_kind_are_not_duplicates(blanks: str) -> None:  # O09
    text = blanks.join(f"Sentence number {number} stands by itself." for number in range(10)) + blanks
    found = scores(Repetition(), text)
    assert found["max_duplicate_lines"] == found["max_duplicate_line_characters"] == 0.0
    assert found["max_duplicate_paragraphs"] == found["max_duplicate_paragraph_characters"] == 0.0
    assert scores(FineWeb(), text)["max_duplicate_line_characters"] == 0.0


def test_the_one_line_that_is_there_twice_is_counted_once_among_blank_ones() -> None:  # O09
    text = "Once.\n\n\nTwice.\n\n\n\nTwice.\n\nOnce more."
    assert scores(Repetition(), text)["max_duplicate_lines"] == scores(Repetition(), text)["max_duplicate_paragraphs"] == 1 / 4
    assert scores(Repetition(), text)["max_duplicate_line_characters"] == pytest.approx(6 / len(text))


@pytest.mark.parametrize(
    ("step", "rule", "low", "high"),
    [
        (FineWeb(min_end_mark_lines_ratio=0.5), "min_end_mark_lines_ratio", "an end.\nno end\nnone", "an end.\nno end"),
        (Gopher(min_mean_word_length=3), "min_mean_word_length", "ab abc", "abc abc"),
        (C4(min_sentences=2), "min_sentences", "There is one sentence here.", "There is one sentence here. And two."),
        (Length(min_characters=4), "min_characters", "abc", "abcd"),
    ],
)
def test_every_minimum_keeps_its_own_value_and_drops_what_is_below(step: Step, rule: str, low: str, high: str) -> None:  # O10
    assert rules(step, low, high)[rule].keeps.tolist() == [False, True]
    off = type(step).model_validate({rule: 0})
    assert (
        rules(off, low, high)[rule].keeps.all()
        and rules(off, low, high)[rule].values.tolist() == rules(step, low, high)[rule].values.tolist()
    )


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.tag)
def test_a_threshold_bounds_the_side_that_its_name_says(step: Step) -> None:  # O10
    for name, rule in rules(step, WORDS).items():
        side = rule.at_least if name.startswith("min_") else rule.at_most
        other = rule.at_most if name.startswith("min_") else rule.at_least
        field = name.partition(".")[0]
        assert other is None and field in type(step).model_fields
        set_to = getattr(step, field)
        assert side == (set_to if not isinstance(set_to, dict) else set_to[int(name.partition(".")[2])])


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


def test_ngrams_by_characters() -> None:
    words = ["a", "bb", "a", "bb", "a", "bb", "c"]
    assert top_ngram_characters(words, 2) == 3 * 4
    assert top_ngram_characters(["a", "b", "c", "d"], 2) == 0, "what is there once is not repeated"
    assert top_ngram_characters(["aa", "bb", "aa", "bb", "c", "dddd", "c", "dddd"], 2) == 2 * 6, "of equally frequent ones the longest"
    assert duplicate_ngram_characters(words, 2) == 1 + 2 + 1 + 2
    assert duplicate_ngram_characters(["x"] * 10, 3) == 9, "each word counts once"
    assert top_ngram_characters([], 2) == duplicate_ngram_characters(["x"], 2) == 0


def test_ngram_rules_name_their_size() -> None:
    text = "buy cheap rope now " * 10
    assert {"max_top_ngram.2", "max_top_ngram.4", "max_duplicate_ngrams.5", "max_duplicate_ngrams.10"} <= set(failed(Repetition(), text))
    assert Repetition.model_validate({"max_top_ngram": {"2": 1}}).max_top_ngram == {2: 1}


def expected_scores(text: str) -> dict[str, float]:
    """Every rule's score by its definition, from counts in plain Python."""
    fineweb = FineWeb(end_marks=".?!")
    found = measured(text, Gopher().stop_words, ".?!", fineweb.short_line_characters)
    words, lines, characters, paragraphs = (max(found[name], 1) for name in ("words", "lines", "characters", "paragraphs"))
    _, c4 = chosen_lines(text, C4().end_marks, 5, 1000, C4().policy_phrases, True)
    return {
        "gopher.min_words": found["words"],
        "gopher.max_words": found["words"],
        "gopher.min_mean_word_length": found["word_characters"] / words,
        "gopher.max_mean_word_length": found["word_characters"] / words,
        "gopher.max_hash_ratio": found["hashes"] / words,
        "gopher.max_ellipsis_ratio": found["ellipses"] / words,
        "gopher.max_bullet_lines_ratio": found["bullet_lines"] / lines,
        "gopher.max_ellipsis_lines_ratio": found["ellipsis_lines"] / lines,
        "gopher.min_alpha_words_ratio": found["letter_words"] / words,
        "gopher.min_stop_words": found["stop_words"],
        "repetition.max_duplicate_lines": found["duplicate_lines"] / lines,
        "repetition.max_duplicate_line_characters": found["duplicate_line_characters"] / characters,
        "repetition.max_duplicate_paragraphs": found["duplicate_paragraphs"] / paragraphs,
        "repetition.max_duplicate_paragraph_characters": found["duplicate_paragraph_characters"] / characters,
        **{f"repetition.max_top_ngram.{n}": top_ngram_characters(text.split(), n) / characters for n in (2, 3, 4)},
        **{f"repetition.max_duplicate_ngrams.{n}": duplicate_ngram_characters(text.split(), n) / characters for n in range(5, 11)},
        "fineweb.min_end_mark_lines_ratio": found["end_lines"] / lines,
        "fineweb.max_short_lines_ratio": found["short_lines"] / lines,
        "fineweb.max_duplicate_line_characters": found["duplicate_line_characters"] / max(found["characters"] - found["newlines"], 1),
        "fineweb.max_newlines_ratio": found["newlines"] / words if found["words"] else 0,
        "c4.max_lorem_ipsum_lines": c4["lorem_ipsum"],
        "c4.max_curly_bracket_lines": c4["curly_bracket"],
        "c4.min_sentences": c4["sentences"],
        "length.min_words": found["words"],
        "length.max_words": found["words"],
        "length.min_characters": found["characters"],
        "length.max_characters": found["characters"],
    }


PIECES = [
    "The rope",
    "of hemp",
    " is long.",
    "\n",
    "\n\n",
    "# ",
    "...",
    "- ",
    "1234 ",
    "lorem ipsum ",
    "{ ",
    "javascript ",
    "é\u2028",
    "\u3000",
    "\t",
]


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_every_score_is_what_its_definition_gives(text: str) -> None:
    steps: list[Step] = [Gopher(), Repetition(), FineWeb(end_marks=".?!"), C4(), Length()]
    found = {f"{step.tag}.{name}": score for step in steps for name, score in scores(step, text).items()}
    assert found == pytest.approx(expected_scores(text), abs=1e-12)


@given(st.lists(st.text("ab \n.#-", max_size=40), max_size=4))
def test_filters_judge_each_text_by_itself(texts: list[str]) -> None:
    for step in STEPS:
        together = rules(step, *texts)
        for place, text in enumerate(texts):
            for name, rule in rules(step, text).items():
                assert rule.values[0] == together[name].values[place]
    changing = [step.tag for step in STEPS if step.apply(Batch(from_documents([Document("a", "x")]))).texts is not None]
    assert changing == ["c4"], "the others only look"


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.tag)
def test_empty_texts_between_others_and_nulls_are_judged_alone(step: Step) -> None:  # O11
    texts = ["", WORDS, "\n\n", f"{WORDS}\n" * 3, ".", "", "word"]
    for name, rule in rules(step, *texts).items():
        assert rule.values.tolist() == [scores(step, text)[name] for text in texts]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "an item of the list, and a comma\n" * 1 + "another item of the list, with no end\n" + "and a third one that has none either",
            "min_end_mark_lines_ratio",
        ),
        ("A line.\nAnother one.\nA third and longest line of them all here.\nA short.", "max_short_lines_ratio"),
        (
            "The line that is here twice, word for word.\n" * 2 + "And a line of many more words that is here once only, to be sure.",
            "max_duplicate_line_characters",
        ),
        ("Floccinaucinihilipilification hurts.\n\n" * 1 + "Antidisestablishmentarianism helps.", "max_newlines_ratio"),
    ],
)
def test_each_fineweb_rule_by_itself(text: str, reason: str) -> None:
    assert failed(FineWeb(), text) == [reason]
    assert failed(FineWeb(**{reason: 0 if reason.startswith("min_") else None}), text) == []


SENTENCES = "This line has five words. So does this one here. And a third one follows."


@pytest.mark.parametrize(
    ("line", "left", "count"),
    [
        ("A line of words without its end", "", "lines_no_end_mark"),
        ("A line that trails off into dots...", "", "lines_no_end_mark"),
        ("Three words only.", "", "lines_few_words"),
        ("Please enable JavaScript in the browser you use.", "", "lines_javascript"),
        ("By going on you accept our Privacy Policy here.", "", "lines_policy"),
        (f"One word of these {'x' * 1001} is long.", "", "lines_long_word"),
        ("  It was so in the year of the flood[12][citation needed].  ", "It was so in the year of the flood.", ""),
        ("It was so in the year of the flood. [3]", "It was so in the year of the flood.", ""),
        ("   ", "", ""),
        ('They said that it was a rope of hemp"', 'They said that it was a rope of hemp"', ""),
    ],
)
def test_c4_drops_lines_and_counts_why(line: str, left: str, count: str) -> None:
    change = C4().apply(Batch(from_documents([Document("a", f"{SENTENCES}\n{line}\n{SENTENCES}")])))
    assert change.texts is not None and change.texts[0].as_py() == f"{SENTENCES}\n{left}\n{SENTENCES}".replace("\n\n", "\n")
    assert {name for name, numbers in change.counts.items() if numbers[0]} == ({count} if count else set())
    assert all(rule.keeps[0] for rule in change.rules)


@pytest.mark.parametrize(
    ("text", "reason", "score"),
    [
        (f"{SENTENCES}\nLorem Ipsum is no text at all.", "max_lorem_ipsum_lines", 1),
        (f"{SENTENCES}\nWrite it as f(x) {{ return x }} and so on.", "max_curly_bracket_lines", 1),
        ("There are two sentences here. This is the second.", "min_sentences", 2),
    ],
)
def test_c4_drops_documents(text: str, reason: str, score: int) -> None:
    assert failed(C4(), text) == [reason] and scores(C4(), text)[reason] == score
    assert failed(C4(**{reason: 0 if reason.startswith("min_") else None}), text) == []
    assert failed(C4(), f"{SENTENCES}\nlorem ipsum {{ stands in a line that goes") == [], (
        "only lines that are long enough and end well count"
    )


@pytest.mark.parametrize("phrase", ["", " padded", "Capitals", "naïve", "two\nlines"])
def test_a_policy_phrase_that_could_never_be_found_is_refused(phrase: str) -> None:
    with pytest.raises(ValueError, match="policy_phrases"):
        C4(policy_phrases=[phrase])
