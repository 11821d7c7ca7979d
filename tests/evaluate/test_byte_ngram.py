"""Byte n-gram baselines against a slow model written from the formula, and against facts that need no formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ropewalk.evaluate import byte_ngram
from ropewalk.evaluate.byte_ngram import ByteNgram

TEXTS = st.lists(st.text(alphabet="ab é", max_size=12), max_size=6)


def slow_bits(order: int, train: list[str], text: str) -> float:
    """Witten-Bell by dictionaries, byte by byte."""
    seen: dict[bytes, dict[int, int]] = {}
    for data in (one.encode() for one in train):
        for place, byte in enumerate(data):
            for length in range(min(order - 1, place) + 1):
                followers = seen.setdefault(data[place - length : place], {})
                followers[byte] = followers.get(byte, 0) + 1

    def chance(context: bytes, byte: int) -> float:
        shorter = chance(context[1:], byte) if context else 1 / 256
        followers = seen.get(context, {})
        total, kinds = sum(followers.values()), len(followers)
        return (followers.get(byte, 0) + kinds * shorter) / (total + kinds) if total else shorter

    data = text.encode()
    return sum(-math.log2(chance(data[max(0, place - order + 1) : place], byte)) for place, byte in enumerate(data))


@settings(max_examples=60)
@given(order=st.integers(1, 4), train=TEXTS, held_out=TEXTS)
def test_bits_are_those_of_the_formula(order: int, train: list[str], held_out: list[str]) -> None:
    expected = [slow_bits(order, train, text) for text in held_out]
    np.testing.assert_allclose(ByteNgram(order).fit(train).bits(held_out), np.array(expected, float), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("order", [1, 2, 3, 8])
def test_the_chances_of_the_next_byte_sum_to_one(order: int) -> None:
    model = ByteNgram(order).fit(["abracadabra", "cadabra, abra"])
    before = "abracad"
    ascii_bytes = [chr(value) for value in range(128)]
    costs = model.bits([before, *(before + character for character in ascii_bytes)])
    shares = 2.0 ** -(costs[1:] - costs[0])
    unseen = shares[0]  # NUL was never seen; nor was any byte from 128 up, all of them at the same price
    assert shares.sum() + 128 * unseen == pytest.approx(1.0)


def test_the_pieces_in_which_texts_are_read_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["the rope", "", "the walk of the rope", "é" * 30]
    whole = ByteNgram(3).fit(texts)
    expected = whole.bits(texts)
    monkeypatch.setattr(byte_ngram, "CHUNK_BYTES", 5)
    np.testing.assert_allclose(ByteNgram(3).fit(iter(texts)).bits(iter(texts)), expected, rtol=1e-12)
    assert expected[1] == 0.0


def test_a_text_does_not_see_its_neighbour() -> None:
    model = ByteNgram(3).fit(["abcabc"] * 3)
    alone = [model.bits([text])[0] for text in ("c", "ab", "abc")]
    np.testing.assert_allclose(model.bits(["c", "ab", "abc"]), alone)


def test_longer_context_costs_less_on_english_and_nothing_known_costs_eight_bits_a_byte() -> None:
    train = [f"The rope number {number} is made of hemp and tested under load." for number in range(50)]
    held_out = ["The rope number 77 is tested and made of hemp."]
    costs = [ByteNgram(order).fit(train).bits(held_out)[0] for order in (1, 2, 3)]
    assert costs[0] > 1.5 * costs[1] and costs[1] > costs[2] > 0
    assert ByteNgram(3).fit([]).bits(held_out)[0] == pytest.approx(8 * len(held_out[0]))
    assert ByteNgram(3).fit(train).bits([]).shape == (0,)


def test_an_order_that_does_not_fit_is_refused() -> None:
    with pytest.raises(AssertionError, match="must be 1 to 8"):
        ByteNgram(9)
