"""Signatures estimate Jaccard similarity as well as independent hash functions would, from one shingle up."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import dedup_reference as reference
from ropewalk.data.dedup.hash import Texts
from ropewalk.data.dedup.near import Near
from ropewalk.data.dedup.signature import band_keys, signatures


def signed(texts: list[str], ngram: int = 1, values: int = 128) -> NDArray[np.uint32]:
    return signatures(Texts.of(pa.array(texts, pa.large_string())), ngram, values)[0]


def pairs(jaccard_above: int, size: int, count: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Pairs of texts of `size` words each that share `jaccard_above` of them, all words their own."""
    draw = np.random.default_rng(seed)
    alone = size - jaccard_above
    left, right = [], []
    for _ in range(count):
        names = [f"w{number:x}" for number in draw.integers(0, 1 << 60, jaccard_above + 2 * alone)]
        shared, mine, other = names[:jaccard_above], names[jaccard_above : jaccard_above + alone], names[jaccard_above + alone :]
        left.append(" ".join(draw.permutation(shared + mine)))
        right.append(" ".join(draw.permutation(shared + other)))
    return left, right


@settings(max_examples=40)
@given(text=st.text(st.sampled_from("abcd "), max_size=60), ngram=st.integers(1, 3), values=st.sampled_from([8, 100, 128]))
def test_any_text_has_the_reference_signature(text: str, ngram: int, values: int) -> None:
    assert signed([text], ngram, values)[0].tolist() == reference.signature(reference.shingles(text, ngram, fold=False), values)


@pytest.mark.parametrize(("shared", "size"), [(1, 2), (4, 5), (9, 10), (30, 65), (80, 90), (300, 400), (900, 1000)])
def test_the_share_of_equal_values_is_the_similarity(shared: int, size: int) -> None:
    left, right = pairs(shared, size, 400)
    jaccard = shared / (2 * size - shared)
    estimates = (signed(left) == signed(right)).mean(axis=1)
    spread = np.sqrt(jaccard * (1 - jaccard) / 128)  # of 128 independent hash functions
    assert abs(estimates.mean() - jaccard) < 4 * spread / np.sqrt(400)
    assert estimates.std() < 1.15 * spread


def test_order_and_repetition_of_shingles_do_not_matter() -> None:
    first, second, third = signed(["x y z", "z z y x x", "x y"])
    assert (first == second).all() and (first != third).any()


@pytest.mark.parametrize(("shared", "size"), [(80, 90), (30, 65)])
def test_bands_and_rows_are_not_swapped(shared: int, size: int) -> None:
    """Case O15: 20 bands of 5 make candidates of 99.96% of the pairs at J = 0.8 and 4.75% at 0.3."""
    bands = Near(bands=20, rows=5).banding()
    assert (bands.count, bands.rows) == (20, 5)
    left, right = pairs(shared, size, 1000, seed=15)
    same = band_keys(signed(left), 20, 5) == band_keys(signed(right), 20, 5)
    assert same.shape == (1000, 20)
    jaccard = shared / (2 * size - shared)
    assert abs(same.any(axis=1).mean() - (1 - (1 - jaccard**5) ** 20)) < 0.03
    assert bands.chance(jaccard) == pytest.approx(1 - (1 - jaccard**5) ** 20)


def test_a_band_key_is_equal_when_all_its_values_are() -> None:
    values = np.arange(24, dtype=np.uint32).reshape(2, 12)
    values[1] = values[0]
    values[1, 4] += 1
    same = band_keys(values, 3, 4)[0] == band_keys(values, 3, 4)[1]
    assert same.tolist() == [True, False, True]
    assert band_keys(values, 2, 4).shape == (2, 2) and (band_keys(values, 2, 4) == band_keys(values, 3, 4)[:, :2]).all()
