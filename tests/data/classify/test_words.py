"""Words as classifiers read them: plain letters, disguises undone, each with its place; the same with and without the compiler."""

from __future__ import annotations

import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.data.classify.words import Room, Words
from ropewalk.data.dedup.hash import Texts


def texts_of(*texts: str) -> Texts:
    return Texts.of(pa.array(texts, pa.large_string()))


def spelt(words: Words) -> list[list[str]]:
    """The words of each text as strings."""
    whole = ["".join(map(chr, words.units[words.starts[i] : words.starts[i + 1]])) for i in range(len(words))]
    return [whole[words.firsts[row] : words.firsts[row + 1]] for row in range(len(words.firsts) - 1)]


def read(text: str, *, disguises: bool = True, limit: int = 0) -> list[str]:
    return spelt(Room(disguises).read(texts_of(text), limit))[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, World!", "hello world"),
        ("don\u2019t can't", "dont cant"),
        ("ÀÉÎ õ e\u0301t\u00e9 \uff37\uff49\uff44\uff45", "aei o ete wide"),
        ("\U0001d4ef\U0001d4fe\U0001d4f7 \U0001d5a2\U0001d5ba\U0001d5bd", "fun cad"),
        ("\u0441\u043e\u0440", "cop"),  # all Cyrillic
        ("n1ce t0y h3llo 4ll", "nice toy hello all"),
        ("gra$$ cl@y h!t", "grass clay hit"),
        ("$100 and 2,000 in 1999", "0 and 0 0 in 0"),
        ("gr*ss g***s g***", "gr*ss g***s g***"),
        ("*bold* **words**", "bold words"),
        ("g r a s s", "grass"),
        ("g.r.a.s.s and a b", "grass and a b"),
        ("cooool niiice passsst", "cool nice passt"),
        ("@some_body1 said @2", "@ said @"),
        ("see https://a.b/c?d=e now www.x.org", "see \x03 now \x03"),
        ("this &amp; that&#128514;", "this that"),
        ("AT&T; R&D", "at t r d"),
        ("", ""),
        (" \n\t", ""),
        ("日本語 テスト", "日本語 テスト"),
        ("ok \U0001f600\U0001f600", "ok \U0001f600"),
    ],
)
def test_words_as_they_are_meant(text: str, words: str) -> None:
    found = read(text)
    assert [unicodedata.normalize("NFC", word) for word in found] == words.split(" ") if words else found == []


def test_without_disguises_signs_and_digits_stay() -> None:
    assert read("N1ce, $5 -- fuuun 1999 @you", disguises=False) == ["n0ce", ",", "$", "0", "-", "fuuun", "0000", "@", "you"]


@pytest.mark.parametrize("disguises", [False, True])
@given(texts=st.lists(st.text(max_size=40), max_size=4), limit=st.integers(0, 30))
def test_a_text_is_read_alone_as_among_others(disguises: bool, texts: list[str], limit: int) -> None:
    room = Room(disguises)
    together = spelt(room.read(texts_of(*texts), limit))
    assert together == [read(text, disguises=disguises, limit=limit) for text in texts]


@given(text=st.text(alphabet="ab1@$*! .\né\u0301字\U0001f600&;#w/:", max_size=40), limit=st.integers(0, 30))
def test_each_word_knows_its_place(text: str, limit: int) -> None:
    raw = text.encode()
    words = Room(disguises=True).read(texts_of(text), limit)
    assert np.all(words.begins < words.ends) and np.all(words.ends[:-1] <= words.begins[1:])
    assert not len(words) or words.ends[-1] <= (limit or len(raw))
    for begin, end in zip(words.begins.tolist(), words.ends.tolist(), strict=True):
        assert raw[begin:end].decode().strip()  # whole characters, not blank


def test_a_limit_inside_a_character_leaves_it_out() -> None:
    assert read("aé", limit=2) == ["a"] and read("aé", limit=3) == ["ae"]
    assert read("字字", limit=5) == ["字"]


def test_sentences_end_with_a_line_a_stop_or_many_words() -> None:
    text = "One two. Three! four? Five\nsix e.g. seven 3.5 eight. " + "word " * 70
    words = Room(disguises=False).read(texts_of("", text, "Last. one"))
    parts, rows = words.sentences()
    sizes = np.diff(parts)
    assert rows.tolist() == [1] * 8 + [2] * 2 and parts[0] == 0 and parts[-1] == len(words)
    assert sizes.max() == 64


def test_nothing_to_read() -> None:
    words = Room(disguises=True).read(texts_of())
    assert len(words) == 0 and words.firsts.tolist() == [0]
    assert words.sentences()[0].tolist() == [0]
