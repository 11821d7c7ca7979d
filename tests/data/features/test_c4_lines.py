"""C4's lines: which stay and what is left of them equals plain Python on odd Unicode, and choosing twice is choosing once."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import quality_reference as plain
from ropewalk.data.features.c4_lines import LineRules, choose_lines

MARKS, PHRASES = (".", "?", "!", '"', "。"), ("use cookies", "kit", "wifi", "i")
RULES = LineRules(MARKS, 2, 12, True, PHRASES[:3], True)
PARTS = [
    "We use cookies.", "JavaScript is on.", "java script", "JAVASCR\u0130PT", "Lorem  ipsum", "lorem ipsum dolor.", "{", "a", "A",
    "b.", "e.g.", "J.", "(end.)", 'said."', "[12]", "[", "]", "1", "\u0661", "[edit]", "[citation needed]", "[[1]2]", "...", "。", "?",
    "\u212ait", "USE COO\u212aIES", "wif\u0130", "\u3000", "\n", "\n\n", "\r\n", " ", "  ", "\u2028", "é", "É", "averyverylongword",
    "\U0001f600", "\x00",
]  # fmt: skip
TEXT = st.one_of(
    st.lists(st.sampled_from(PARTS), max_size=14).map(" ".join),
    st.lists(st.sampled_from(PARTS), max_size=14).map("".join),
    st.text(st.one_of(st.sampled_from("ab[]12 .\n{e"), st.characters(exclude_categories=["Cs"])), max_size=30),
)


def column(*texts: str) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(texts, pa.large_string())])


@settings(max_examples=200)
@given(st.lists(TEXT, max_size=4), st.booleans(), st.booleans(), st.integers(0, 3))
def test_lines_and_counts_are_those_of_plain_python(texts: list[str], cite: bool, marked: bool, min_words: int) -> None:
    marks = MARKS if marked else ()
    found = choose_lines(column(*texts), LineRules(marks, min_words, 12, True, PHRASES[:3], cite))
    expected = [plain.chosen_lines(text, marks, min_words, 12, PHRASES[:3], cite) for text in texts]
    assert found.texts.to_pylist() == [text for text, _ in expected]
    assert [{name: int(found[name][row]) for name in counts} for row, (_, counts) in enumerate(expected)] == [row for _, row in expected]
    again = choose_lines(found.texts, LineRules(marks, min_words, 12, True, PHRASES[:3], cite))
    assert again.texts.equals(found.texts) and again["sentences"].tolist() == found["sentences"].tolist()
    assert again["lines"].tolist() == [len(text.split("\n")) if text else 0 for text in found.texts.to_pylist()]


@pytest.mark.parametrize("phrase", PHRASES)
@given(text=st.text("iIkK\u0130\u212awWfFtT\u0307\u0131", max_size=12))
def test_a_phrase_is_found_where_lower_finds_it(phrase: str, text: str) -> None:
    found = choose_lines(column(text), LineRules((), 0, None, False, [phrase], False))
    assert bool(found["policy"][0]) == (phrase in text.lower())


@pytest.mark.parametrize(
    ("line", "sentences"),
    [
        ("One. Two! Three?", 3),
        ("e.g. this one, i.e. that", 1),
        ('He said "no." Then he went.', 2),
        ("J. K. Rowling wrote it.", 1),
        ("Version 1.2 is out. (It works.) Yes.", 3),
        ("no end mark", 1),
    ],
)
def test_sentences(line: str, sentences: int) -> None:
    assert choose_lines(column(line), LineRules((), 0, None, False, (), False))["sentences"].tolist() == [sentences]
    assert plain.sentences_of(line) == sentences


def test_no_phrases_and_no_documents() -> None:
    nothing = choose_lines(column(), RULES)
    assert nothing.texts.to_pylist() == [] and nothing.counts.shape == (0, 9)
    assert choose_lines(pa.chunked_array([column("A b.", "c").chunk(0), column("D e!").chunk(0).slice(0)]), RULES).texts.to_pylist() == [
        "A b.",
        "",
        "D e!",
    ]
