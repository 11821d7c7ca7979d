"""Matches are those of the written rules, run in plain Python; nothing is found by a hash alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import contamination_reference
from ropewalk.data.contamination import kernels
from ropewalk.data.contamination.index import Index, make_index, texts_of
from ropewalk.data.contamination.match import joined, masked, matches
from ropewalk.data.contamination.rows import Item, TaskRows

QUESTION = "Which of these animals sleeps through the whole winter in a den under the snow of the forest?"
OTHER = "A ship that leaves the harbour at noon with a crew of nine sails how many miles before the night falls?"


def index_of(*items: tuple[str, ...], ngram: int = 13, least: int = 8, common: int = 10) -> Index:
    return make_index([Item("task", number, texts) for number, texts in enumerate(items, 1)], ngram, least, common)


def found(index: Index, *texts: str, min_runs: int = 1, min_share: float = 0.0) -> dict[tuple[int, int], tuple[int, int]]:
    return {(match.row, match.item): (match.found, match.known) for match in matches(index, texts_of(texts), min_runs, min_share)}


def test_an_item_is_found_whatever_case_punctuation_and_white_space() -> None:
    shouted = "He asked: «" + QUESTION.upper().replace(" ", " \u2014\n") + "»"
    index = index_of((QUESTION, OTHER))
    assert found(index, "Nothing.", shouted, OTHER) == {(1, 0): (6, 6), (2, 0): (9, 9)}
    match = matches(index, texts_of([shouted]), 1, 0.0)[0]
    start, end = match.longest
    assert shouted.encode()[start:end].decode().startswith("WHICH") and shouted.encode()[start:end].endswith(b"FOREST")


def test_curly_quotes_and_letters_beyond_ascii() -> None:
    straight = "Janet's ducks in Zürich lay sixteen eggs a day and she's eating three of them"
    assert found(index_of((straight,)), straight.replace("'", "\u2019")) == {(0, 0): (5, 5)}
    assert found(index_of((straight,)), straight.replace("ü", "u")) == {}


def test_an_equal_hash_with_other_words_is_no_match(monkeypatch: pytest.MonkeyPatch) -> None:
    index = index_of((QUESTION,), ngram=3, least=3)
    runs = index.runs[0]
    spoilt = np.array(index.data)
    spoilt[0] = ord("X")  # the words that the hashes stand for are others now
    spoilt.flags.writeable = False
    other = Index(spoilt, index.starts, index.ends, index.part_item, index.items, index.runs)
    assert found(index, "Which of these?") == {(0, 0): (1, len(runs.word))} and found(other, "Which of these?") == {}


def test_runs_and_share_that_are_too_few_do_not_count() -> None:
    part = " ".join(QUESTION.split()[:14])
    index = index_of((QUESTION,))
    assert found(index, part) == {(0, 0): (2, 6)}
    assert found(index, part, min_runs=3) == {} == found(index, part, min_share=0.34)
    assert found(index, part, min_runs=2, min_share=0.33) == {(0, 0): (2, 6)}
    short = "Eight plain words are here to be found"
    assert found(index_of((short,)), short, min_runs=5) == {(0, 0): (1, 1)}, "all of an item that has fewer runs"


def test_short_items_count_whole_and_very_short_ones_never() -> None:
    short, tiny = "Nine words stand in this item and no more", "Seven words are not enough to tell"
    index = index_of((short,), (tiny,), ("",), ("...",))
    assert found(index, f"So: {short}!", tiny, short.replace("no", "some"), " ".join(short.split()[:8])) == {(0, 0): (1, 1)}
    assert index.part_runs().tolist() == [1, 0, 0, 0]
    mixed = index_of((QUESTION, short))
    assert found(mixed, short) == {(0, 0): (1, 1)}, "whatever the item's other texts are"


def test_numbers_and_repeats_tell_nothing() -> None:
    counting, dull = " ".join(map(str, range(40))), "yes no " * 20
    assert found(index_of((counting,), (dull,)), counting, dull) == {}
    measured = "in 1 of 2 or 3 cases 4 people or 5 more were 6 feet tall"
    assert found(index_of((measured,)), measured) == {(0, 0): (4, 4)}


def test_the_format_of_many_items_is_not_their_content() -> None:
    asked = [
        (f"Choose the one best answer to the question that now follows here below please: number {name} it is?",) for name in "abcdefgh"
    ]
    assert found(index_of(*asked, common=8), asked[0][0])[0, 3] == (3, 6)
    assert list(found(index_of(*asked, common=7), asked[0][0])) == [(0, 0)]


def test_allowed_passages_are_left_out() -> None:
    index = index_of((QUESTION,), (OTHER,), ("Nine words stand in this item and no more",))
    passage = f"They say that {QUESTION} And: nine words stand in this item and no more, they say."
    allowing = index.allowing([passage])
    assert list(found(index, passage, OTHER)) == [(0, 0), (0, 2), (1, 1)] and list(found(allowing, passage, OTHER)) == [(1, 1)]


def test_an_index_is_the_same_after_it_was_saved(tmp_path: Path) -> None:
    index = index_of((QUESTION, OTHER), ("Nine words stand in this item and no more",))
    index.save(tmp_path / "index.npz")
    again = Index.load(tmp_path / "index.npz")
    texts = [QUESTION, "Nine words stand in this item and no more", "x"]
    assert found(again, *texts) == found(index, *texts) != {} and again.items == index.items
    assert again.size_bytes == index.size_bytes > 0


def test_more_matches_than_the_first_room_for_them() -> None:
    long = " ".join(f"word{number}" for number in range(200))
    assert found(index_of((long,)), long) == {(0, 0): (188, 188)}


def test_masking_leaves_nothing_to_find() -> None:
    text = f"Before. {QUESTION} Between, {OTHER} After."
    index = index_of((QUESTION,), (OTHER,))
    spans = [span for match in matches(index, texts_of([text]), 1, 0.0) for span in match.spans]
    assert masked(text.encode(), spans, b"[removed]") == b"Before. [removed]? Between, [removed]? After."
    assert list(joined([(5, 9), (0, 2), (2, 4), (6, 7)])) == [(0, 4), (5, 9)] and list(joined([])) == []


@pytest.mark.slow  # in plain Python, when the compiler is off
def test_every_item_of_real_tasks_is_found_where_it_stands(data_dir: Path) -> None:
    rows = TaskRows(path=data_dir / "eval", limit=60)
    items = list(rows.items())
    index = make_index(items, 13, 8, 10)
    first = np.cumsum([0, *(len(item.texts) for item in items)])[:-1]
    tellable = np.flatnonzero(index.part_runs()[first]).tolist()
    planted = [f"They asked:\n\u201c{items[number].texts[0].upper()}\u201d Nobody knew." for number in tellable]
    there = found(index, *planted)
    assert [number for row, number in enumerate(tellable) if (row, number) not in there] == []
    assert len(tellable) > 800 and {items[number].task for number in tellable} == {item.task for item in items}


WORDS = st.sampled_from(["a", "B", "b", "12", "7", "é", "x_1", "\u3042"])
GAPS = st.sampled_from([" ", ", ", "\n", "\u2014", "\u00a0", "'", "\u3002"])
TEXTS = st.lists(st.tuples(WORDS, GAPS), max_size=12).map(lambda pairs: "".join(word + gap for word, gap in pairs))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(TEXTS, max_size=3), max_size=4),
    st.lists(TEXTS, max_size=4),
    st.integers(2, 5),
    st.integers(2, 5),
    st.integers(1, 3),
    st.lists(TEXTS, max_size=1),
)
def test_matches_are_those_of_the_written_rules(
    items: list[list[str]], texts: list[str], ngram: int, least: int, common: int, allow: list[str]
) -> None:
    least = min(least, ngram)
    index = index_of(*map(tuple, items), ngram=ngram, least=least, common=common).allowing(allow)
    assert found(index, *texts) == contamination_reference.contamination(items, texts, ngram, least, common, allow)


def test_words_are_the_references() -> None:
    text = "A b\u2019c _d9 \u00e9\u00ea\u00a0\u3042\u3001\u4e00 \u2c60\u206fZ\U0001f600z \u2070x"
    texts = texts_of([text])
    room = np.empty(99, np.uint64), np.empty(99, np.int64), np.empty(99, np.int64)
    with np.errstate(over="ignore"):
        count = kernels.split(texts.data, 0, len(texts.data), *room)
    pieces = [text.encode()[start:end].decode() for start, end in zip(room[1][:count], room[2][:count], strict=True)]
    assert [piece.translate(contamination_reference.ASCII_LOWER) for piece in pieces] == contamination_reference.words(text)
