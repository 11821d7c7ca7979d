"""Quotes are found word for word, then in another form, then nearly so; places always are those of the text as it is."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.data.align import align, folded

TEXT = "Background: none. The “new” drug\n  reduced Pain—by half (p<0.01)  in ﬁve trials. Nothing else changed."


@pytest.mark.parametrize(
    ("quote", "how", "found"),
    [
        ("Nothing else changed.", "exact", "Nothing else changed."),
        (" Nothing else changed. ", "exact", "Nothing else changed."),
        ('the "new" drug reduced pain-by half', "normalised", "The “new” drug\n  reduced Pain—by half"),
        ("in five trials.", "normalised", "in ﬁve trials."),
        ("reduced Pain by a half (p<0.01) in five trial.", "fuzzy", "reduced Pain—by half (p<0.01)  in ﬁve trials"),
    ],
)
def test_a_quote_is_found_and_its_place_is_in_the_text_itself(quote: str, how: str, found: str) -> None:
    aligned = align(TEXT, quote, 0.85)
    assert aligned is not None and aligned.how == how
    assert (
        TEXT[aligned.start : aligned.end].strip().startswith(found[:10]) and found.strip()[-8:-1] in TEXT[aligned.start : aligned.end + 1]
    )
    if how != "fuzzy":
        assert TEXT[aligned.start : aligned.end] == found and aligned.score == 1.0
    else:
        assert 0.85 <= aligned.score < 1


@pytest.mark.parametrize("quote", ["", "   ", "quite another sentence about the weather", "short no"])
def test_what_is_not_there_is_not_found(quote: str) -> None:
    assert align(TEXT, quote, 0.9) is None


def test_a_bound_of_one_searches_nothing_fuzzy() -> None:
    quote = "Nothing else changed at all."
    assert align(TEXT, quote, 0.8) is not None and align(TEXT, quote, 1.0) is None


@given(st.text(max_size=60), st.integers(0, 60), st.integers(1, 60))
def test_any_piece_of_a_text_is_found_where_its_first_copy_stands(text: str, start: int, length: int) -> None:
    piece = text[start : start + length].strip()
    aligned = align(text, piece)
    if not piece:
        assert aligned is None
        return
    assert (
        aligned is not None and aligned.how == "exact" and aligned.start == text.find(piece) and text[aligned.start : aligned.end] == piece
    )


@given(st.text(max_size=80))
def test_folding_keeps_order_and_covers_what_it_kept(text: str) -> None:
    plain, places = folded(text)
    assert len(plain) == len(places)
    assert all(0 <= start < end <= len(text) for start, end in places)
    assert all(one[0] <= other[0] for one, other in pairwise(places))
