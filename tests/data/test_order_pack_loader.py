"""Order, packing and batches: nothing lost, nothing doubled, nothing seen across documents (cases O05, O19, O20, O30)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ropewalk.core.artifact import Manifest
from ropewalk.core.errors import DataError
from ropewalk.data.loader import IGNORED, Loader
from ropewalk.data.order import permutation
from ropewalk.data.pack import plan
from ropewalk.data.tokens import Attend, Packing, TokenFacts, Tokens, split_of

PACKINGS: tuple[Packing, ...] = ("best_fit", "concat", "pad")


def store(
    folder: Path, lengths: list[int], length: int, packing: Packing, mask: np.ndarray[Any, Any] | None = None, attend: Attend = "document"
) -> Tokens:
    """A store whose token ids are 1000 * document + place, so that every token tells where it comes from."""
    ids = np.concatenate([np.arange(n) + 1000 * (i + 1) for i, n in enumerate(lengths)] or [np.zeros(0)]).astype(np.uint32)
    ids.tofile(folder / "tokens.bin")
    if mask is not None:
        mask.astype(np.uint8).tofile(folder / "mask.bin")
    sizes = np.array(lengths, np.int64)
    planned = plan(np.cumsum(sizes) - sizes, np.maximum(sizes - 1, 0), length, packing, mask)
    (folder / "train").mkdir()
    for name in ("segments", "starts", "trained"):
        np.save(folder / "train" / f"{name}.npy", getattr(planned, name))
    TokenFacts("uint32", 1 << 20, length, 0, 0, 0, "key", packing, attend).write(folder)
    return Tokens(folder, Manifest("Tokens"))


@pytest.mark.parametrize("n", [1, 2, 3, 7, 64, 1000, 4097])
def test_each_epoch_is_a_permutation_and_epochs_differ(n: int) -> None:
    orders = [permutation(n, 7, epoch, np.arange(n)) for epoch in (0, 1)]
    assert all(sorted(order) == list(range(n)) for order in orders)
    if n > 10:
        assert not np.array_equal(*orders) and not np.array_equal(orders[0], permutation(n, 8, 0, np.arange(n)))
    some = np.array([0, n // 2, n - 1])
    assert np.array_equal(permutation(n, 7, 0, some), orders[0][some])


def test_order_is_not_near_the_identity() -> None:
    order = permutation(10_000, 1, 0, np.arange(10_000))
    assert abs(np.corrcoef(np.arange(10_000), order)[0, 1]) < 0.05
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.05


@settings(max_examples=60)
@given(
    lengths=st.lists(st.integers(0, 90), max_size=40),
    length=st.sampled_from([1, 2, 7, 16, 64]),
    packing=st.sampled_from(PACKINGS),
)
def test_every_position_of_every_document_is_packed_exactly_once(lengths: list[int], length: int, packing: Packing) -> None:
    sizes = np.array(lengths, np.int64)
    offsets = np.cumsum(sizes) - sizes
    planned = plan(offsets, np.maximum(sizes - 1, 0), length, packing, None)
    covered = [place for offset, size in planned.segments.tolist() for place in range(offset, offset + size)]
    wanted = [place for offset, size in zip(offsets.tolist(), lengths, strict=True) for place in range(offset, offset + size - 1)]
    assert sorted(covered) == wanted
    per_sequence = [planned.segments[a:b, 1].sum() for a, b in zip(planned.starts[:-1], planned.starts[1:], strict=True)]
    assert all(0 < size <= length for size in per_sequence) and planned.trained.sum() == len(wanted)
    if packing == "concat":
        assert all(size == length for size in per_sequence[:-1])


def test_best_fit_keeps_short_documents_whole_and_fills() -> None:
    generator = np.random.default_rng(0)
    sizes = generator.integers(2, 200, 3000)
    planned = plan(np.cumsum(sizes) - sizes, sizes - 1, 256, "best_fit", None)
    assert len(planned.segments) == 3000 and planned.positions / (len(planned) * 256) > 0.999


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(2, 50), min_size=1, max_size=20),
    packing=st.sampled_from(PACKINGS),
    batch=st.integers(1, 5),
    data=st.data(),
)
def test_batches_predict_each_trained_token_once_an_epoch(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], packing: Packing, batch: int, data: st.DataObject
) -> None:
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=sum(lengths), max_size=sum(lengths))))
    tokens = store(tmp_path_factory.mktemp("store"), lengths, 16, packing, mask)
    loader = Loader(tokens, "train", batch, seed=3)
    flat, place = np.asarray(tokens.tokens, np.int64), 0
    wanted = []
    for size in lengths:
        wanted += [int(flat[i]) for i in range(place + 1, place + size) if mask[i]]
        place += size
    for epoch in (0, 1):
        seen: list[int] = []
        for step in range(epoch * loader.steps_per_epoch, (epoch + 1) * loader.steps_per_epoch):
            found = loader.at(step)
            assert loader.weight(step) == (found.targets != IGNORED).sum()
            own = found.targets != IGNORED
            assert (found.targets[own] == found.tokens[own] + 1).all(), "a target of another document"
            assert (found.targets[found.documents == 0] == IGNORED).all() and (found.tokens[found.documents == 0] == 0).all()
            seen += found.targets[own].tolist()
        assert sorted(seen) == sorted(wanted)


def test_positions_restart_and_documents_are_told_apart(tmp_path: Path) -> None:
    loader = Loader(store(tmp_path, [4, 3, 2], 8, "best_fit"), "train", 1, 0)
    batch = loader.at(0)
    assert batch.tokens.tolist() == [[1000, 1001, 1002, 2000, 2001, 3000]]
    assert batch.positions.tolist() == [[0, 1, 2, 0, 1, 0]] and batch.documents.tolist() == [[1, 1, 1, 2, 2, 3]]
    assert batch.targets.tolist() == [[1001, 1002, 1003, 2001, 2002, 3001]]


def test_attention_over_whole_sequences_is_one_document_a_row(tmp_path: Path) -> None:
    batch = Loader(store(tmp_path, [4, 3], 8, "concat", attend="sequence"), "train", 1, 0).at(0)
    assert batch.documents.tolist() == [[1] * 5] and batch.positions.tolist() == [[0, 1, 2, 3, 4]]
    assert batch.targets.tolist() == [[1001, 1002, 1003, 2001, 2002]]


def test_micro_batches_are_the_batch_in_order(tmp_path: Path) -> None:
    loader = Loader(store(tmp_path, [9] * 7, 8, "pad"), "train", 4, 0)
    assert loader.steps_per_epoch == 2 and loader.tokens_per_epoch == 56
    parts = list(loader.micro_batches(loader.at(0), 3))
    assert [len(part.sequences) for part in parts] == [3, 1]
    assert np.array_equal(np.concatenate([part.tokens for part in parts]), loader.at(0).tokens)
    assert len(loader.at(1).sequences) == 3 and Loader(loader.store, "train", 4, 0, drop_last=True).steps_per_epoch == 1


def test_too_little_data_and_a_cut_file_are_data_errors(tmp_path: Path) -> None:
    tokens = store(tmp_path, [], 8, "concat")
    with pytest.raises(DataError, match="0 sequences"):
        Loader(tokens, "train", 4, 0)
    cut = Tokens(tmp_path, Manifest("Tokens", files={"tokens.bin": {"bytes": 400}}))
    with pytest.raises(DataError, match="should be 400"):
        _ = cut.tokens


def test_what_a_small_holdout_takes_a_larger_one_takes_too() -> None:
    ids = [f"doc{i}" for i in range(4000)]
    small = {id_ for id_ in ids if split_of(id_, 7, 0.05) == "holdout"}
    large = {id_ for id_ in ids if split_of(id_, 7, 0.1) == "holdout"}
    assert small < large and 150 < len(small) < 250 and small != {id_ for id_ in ids if split_of(id_, 8, 0.05) == "holdout"}
    assert all(split_of(id_, 7, 0.0) == "train" for id_ in ids)
