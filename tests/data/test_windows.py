"""Windows reach every place, overlap by length less stride, and train what they share once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ropewalk.data.loader import IGNORED, Loader
from ropewalk.data.tokens import Packing
from ropewalk.data.windows import Windows, cut
from token_kit import make_store


@settings(max_examples=80)
@given(st.lists(st.integers(1, 90), max_size=12), st.integers(1, 20), st.data())
def test_windows_cover_every_place_and_say_what_they_share(counts: list[int], size: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(1, size))
    item, first, length, seen = cut(np.array(counts, np.int64), size, stride)
    for number, count in enumerate(counts):
        mine = [(f, n, s) for i, f, n, s in zip(item, first, length, seen, strict=True) if i == number]
        fresh = [place for f, n, s in mine for place in range(f + s, f + n)]
        assert fresh == list(range(count)), "each place is new in exactly one window"
        assert all(0 < n <= size and (n == size or f + n == count) for f, n, _ in mine)
        assert all(f + n < count for f, n, _ in mine[:-1]), "no window behind the one that reaches the end"


@pytest.mark.parametrize("packing", ["best_fit", "pad"])
@pytest.mark.parametrize("count_overlap", [False, True])
def test_what_two_windows_share_is_trained_once_unless_asked(tmp_path: Path, packing: Packing, count_overlap: bool) -> None:
    lengths = [40, 9, 2, 1, 17]
    store = make_store(tmp_path / "s", lengths, 16, packing, windows=Windows(10, count_overlap))
    loader = Loader(store, "train", 3, 0)
    batches = [loader.at(step) for step in range(loader.steps_per_epoch)]
    targets = np.concatenate([batch.targets[batch.targets != IGNORED] for batch in batches]).tolist()
    wanted = [1000 * (d + 1) + place for d, size in enumerate(lengths) for place in range(1, size)]
    assert sorted(set(targets)) == wanted
    assert (sorted(targets) == wanted) != count_overlap
    assert sum(loader.weight(step) for step in range(loader.steps_per_epoch)) == len(targets)


def test_a_window_sees_what_it_does_not_train(tmp_path: Path) -> None:
    loader = Loader(make_store(tmp_path / "s", [12], 6, "pad", windows=Windows(4)), "train", 3, 0)
    batch = loader.at(0)
    rows = {int(tokens[0]): (tokens.tolist(), targets.tolist()) for tokens, targets in zip(batch.tokens, batch.targets, strict=True)}
    assert rows[1004] == ([1004, 1005, 1006, 1007, 1008, 1009], [IGNORED, IGNORED, 1007, 1008, 1009, 1010])
    assert rows[1008] == ([1008, 1009, 1010, 0, 0, 0], [IGNORED, IGNORED, 1011, IGNORED, IGNORED, IGNORED])
    assert (batch.positions[:, 0] == 0).all()


def test_a_stride_as_long_as_the_window_is_plain_packing(tmp_path: Path) -> None:
    lengths = [40, 9, 2, 17, 33]
    plain = make_store(tmp_path / "plain", lengths, 16).sequences("train")
    windowed = make_store(tmp_path / "windows", lengths, 16, windows=Windows(16)).sequences("train")
    assert np.array_equal(plain.segments, windowed.segments) and np.array_equal(plain.trained, windowed.trained)
