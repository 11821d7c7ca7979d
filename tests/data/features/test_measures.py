"""The compiled counts equal those of plain Python on odd Unicode, are made once a batch, and know white space and letters as `str` does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import quality_reference as plain
from ropewalk.data.corpus import from_documents
from ropewalk.data.features import characters, measures
from ropewalk.data.features.kernels import NAMES
from ropewalk.data.features.measures import Measures, features, measure
from ropewalk.data.features.utf8 import character
from ropewalk.data.records import Document
from ropewalk.data.steps import Batch

MEASURES = Measures(("the", "be", "für", "ok", "i\u0307s", "λόγος"), ".?!\u3002", 5, (1, 2, 3), (2, 3, 4, 5))
ALPHABET = "aAbB tThHeE.\n\n  #-*•…\u3002\u2028\x85\u00a0\u1680\x1c\r\tߐ9ⅧéΣς\u212a\u0130ß\U0001f600\U0001d400\x00'[\","
ODD = st.text(st.one_of(st.sampled_from(ALPHABET), st.characters(exclude_categories=["Cs"])), max_size=60)
WORDS = st.lists(
    st.sampled_from(["the", "THE.", "für", "FÜR", "O\u212a", "\u0130s", "ΛΌΓΟΣ", "...", "-", "•x", "…", "a\u3002", "\n", "\n \n", "b"])
)
TEXT = st.one_of(ODD, WORDS.map(" ".join), st.lists(st.sampled_from(["a b", " a b", "a  b", "", "\u3000", "…"])).map("\n".join))


def batch(*texts: str) -> Batch:
    return Batch(from_documents([Document(f"d{number}", text) for number, text in enumerate(texts)]))


@settings(max_examples=150)
@given(st.lists(TEXT, max_size=4))
def test_every_count_is_that_of_plain_python(texts: list[str]) -> None:
    found = features(batch(*texts), **vars(MEASURES))
    for row, text in enumerate(texts):
        expected = plain.measured(text, MEASURES.stop_words, MEASURES.end_marks, MEASURES.short_characters)
        assert {name: int(found[name][row]) for name in NAMES} == expected
        words = text.split()
        assert [found.top_ngram(size)[row] for size in (1, 2, 3)] == [plain.top_ngram_characters(words, size) for size in (1, 2, 3)]
        again = [plain.duplicate_ngram_characters(words, size) for size in (2, 3, 4, 5)]
        assert [found.duplicate_ngrams(size)[row] for size in (2, 3, 4, 5)] == again


@given(st.lists(st.sampled_from("abc"), max_size=60))
def test_ngrams_of_any_size_agree_with_a_plain_count(words: list[str]) -> None:
    sizes = (1, 2, 3, 5, 9)
    found = features(batch(" ".join(words)), top_ngrams=sizes, duplicate_ngrams=sizes)
    assert [found.top_ngram(size)[0] for size in sizes] == [plain.top_ngram_characters(words, size) for size in sizes]
    assert [found.duplicate_ngrams(size)[0] for size in sizes] == [plain.duplicate_ngram_characters(words, size) for size in sizes]


def test_each_character_is_what_str_says() -> None:
    kinds, lower = characters.kinds("!\u3002"), characters.lower()
    for bit, answer in (
        (characters.SPACE, str.isspace),
        (characters.LETTER, str.isalpha),
        (characters.SMALL, str.islower),
        (characters.DIGIT, str.isdecimal),
    ):
        says = np.fromiter((answer(chr(point)) for point in range(characters.CHARACTERS)), np.bool_, characters.CHARACTERS)
        assert np.array_equal(kinds & bit != 0, says)
    assert np.flatnonzero(kinds & characters.END).tolist() == [ord("!"), 0x3002]
    assert np.flatnonzero(characters.kinds() & characters.END).tolist() == [], "asking with marks leaves the table without them as it was"
    assert lower.tolist() == [ord(chr(point).lower()[0]) for point in range(characters.CHARACTERS)]


def test_steps_share_one_pass_until_the_texts_change(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    monkeypatch.setattr(measures, "measure", lambda column, wanted: passes.append(len(column)) or measure(column, wanted))
    whole = batch("a b", "c", "d e f")
    features(whole, short_characters=7)
    features(whole, top_ngrams=(2, 3, 4))
    assert features(whole)["words"].tolist() == [2, 1, 3] and passes == [3]
    some = whole.where(np.array([True, False, True]))
    assert features(some, short_characters=7)["words"].tolist() == [2, 3] and passes == [3]
    assert features(some.replaced(["a", "b c d e"]))["words"].tolist() == [1, 4] and passes == [3, 2]
    features(whole, short_characters=8)
    assert passes == [3, 2, 3] and len(whole.derived) == 2


def test_slices_and_chunks_of_a_column_are_measured_like_whole_ones() -> None:
    texts = ["eins zwei", "", "trois", "für"] * 3
    table = batch(*texts).table
    pieces = Batch(table.slice(2, 5))
    assert features(pieces)["characters"].tolist() == list(map(len, texts[2:7]))
    import pyarrow as pa

    joined = Batch(pa.concat_tables([table.slice(1, 2), table.slice(7, 3)]))
    assert features(joined)["words"].tolist() == [len(text.split()) for text in texts[1:3] + texts[7:10]]
    assert len(features(Batch(table.slice(0, 0)))["words"]) == 0


@given(st.binary(max_size=40))
def test_bytes_that_are_no_text_are_never_read_beyond_the_end(data: bytes) -> None:
    bytes_ = np.frombuffer(data, np.uint8)
    place = 0
    while place < len(data):
        point, size = character(bytes_, place, len(data))
        assert 0 <= point < characters.CHARACTERS and size >= 1 and place + size <= len(data)
        place += size
