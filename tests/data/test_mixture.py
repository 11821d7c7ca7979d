"""Mixtures: shares as told, every sequence once an epoch of its part, a batch a function of the step alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ropewalk.core.errors import DataError
from ropewalk.data.curriculum import Course, Length
from ropewalk.data.draws import plan_draws
from ropewalk.data.loader import IGNORED, Batch, Loader
from ropewalk.data.loading import Ahead, Loading
from ropewalk.data.mixed_loader import MixedLoader, cut_rows, open_loader
from ropewalk.data.mixture import Mixture, sequence_means
from ropewalk.data.tokens import Tokens
from token_kit import make_mixture, make_store


def stores(folder: Path, sizes: dict[str, int], length: int = 8) -> dict[str, Tokens]:
    return {
        name: make_store(folder / name, [length + 1] * count, length, "pad", first_id=1000 * (number + 1) * 100)
        for number, (name, count) in enumerate(sizes.items())
    }


def drawn(loader: MixedLoader, steps: range) -> list[tuple[str, int]]:
    return [(part, int(row)) for step in steps for part, _, rows in loader.parts(step) for row in rows]


@settings(max_examples=8, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=5),
    batch=st.integers(1, 7),
    data=st.data(),
)
def test_every_batch_is_full_and_each_part_is_read_epoch_by_epoch(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], batch: int, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("mixture")
    names = {f"p{number}": size for number, size in enumerate(sizes)}
    weights = {name: data.draw(st.floats(0.01, 10)) for name in names}
    loader = MixedLoader(make_mixture(folder / "m", stores(folder, names), weights), "train", batch, 3)
    steps = 30
    found = drawn(loader, range(steps))
    assert len(found) == steps * batch and all(len(loader.indices(step)) == batch for step in range(steps))
    for name, size in names.items():
        mine = [row for part, row in found if part == name]
        epochs = [mine[start : start + size] for start in range(0, len(mine), size)]
        assert all(sorted(epoch) == list(range(size)) for epoch in epochs[:-1])
        assert len(set(epochs[-1] if epochs else [])) == len(epochs[-1] if epochs else [])
        share = weights[name] / sum(weights.values())
        assert abs(len(mine) - share * len(found)) <= len(sizes) / 2 + 1


def test_weights_are_shares_of_positions_and_change_without_encoding_anew(tmp_path: Path) -> None:
    parts = {"long": make_store(tmp_path / "long", [17] * 40, 16, "pad"), "short": make_store(tmp_path / "short", [5] * 40, 16, "pad")}
    for number, (long, short) in enumerate([(1.0, 1.0), (3.0, 1.0), (0.0, 1.0)]):
        mixture = make_mixture(tmp_path / f"m{number}", parts, {"long": long, "short": short})
        assert (mixture.path / "parts" / "long" / "tokens.bin").samefile(parts["long"].path / "tokens.bin")
        loader = MixedLoader(mixture, "train", 10, 0)
        counts = Counter(part for part, _ in drawn(loader, range(50)))
        assert counts["long"] * 16 / (counts["long"] * 16 + counts["short"] * 4) == pytest.approx(long / (long + short), abs=0.01)


def test_batches_hold_what_the_parts_hold(tmp_path: Path) -> None:
    parts = {"a": make_store(tmp_path / "a", [17, 9, 5], 16), "b": make_store(tmp_path / "b", [7] * 9, 8, first_id=10_000)}
    loader = MixedLoader(make_mixture(tmp_path / "m", parts, {"a": 1.0, "b": 1.0}), "train", 4, 0)
    for step in range(6):
        batch = loader.at(step)
        own = batch.targets != IGNORED
        assert (batch.targets[own] == batch.tokens[own] + 1).all() and own.sum() == loader.weight(step)
        assert batch.tokens.shape[0] == 4 and len(batch.sequences) == 4 and (batch.tokens[batch.documents == 0] == 0).all()


def test_caps_hold_and_the_others_take_over(tmp_path: Path) -> None:
    mixture = make_mixture(tmp_path / "m", stores(tmp_path, {"a": 10, "b": 50}), {"a": 1.0, "b": 1.0}, {"a": 20})
    counts = Counter(part for part, _ in drawn(MixedLoader(mixture, "train", 5, 0), range(40)))
    assert counts == {"a": 20, "b": 180}


def test_a_mixture_that_is_spent_says_so_before_training(tmp_path: Path) -> None:
    mixture = make_mixture(tmp_path / "m", stores(tmp_path, {"a": 10, "b": 5}), {"a": 1.0, "b": 1.0}, {"a": 20, "b": 7})
    loader = MixedLoader(mixture, "train", 4, 0)
    assert Counter(part for part, _ in drawn(loader, range(6))).total() == 24
    with pytest.raises(DataError, match="27 sequences, 7 steps of 4"):
        loader.over(7)
    with pytest.raises(DataError, match="given all they may"):
        loader.at(6)


def test_shares_move_over_the_training_and_the_batch_stays_a_function_of_the_step(tmp_path: Path) -> None:
    course = Course(start=0, end=1, until=0.5).model_dump()
    mixture = make_mixture(tmp_path / "m", stores(tmp_path, {"a": 30, "b": 30}), {"a": course, "b": 1.0})
    loader = MixedLoader(mixture, "train", 10, 0).over(100)
    shares = [sum(part == "a" for part, _ in drawn(loader, range(start, start + 10))) for start in (0, 40, 90)]
    assert shares[0] < 15 and 40 < shares[1] < 50 and 48 <= shares[2] <= 52
    again = MixedLoader(mixture, "train", 10, 0).over(100)
    backwards = [again.indices(step).tolist() for step in reversed(range(100))][::-1]
    assert backwards == [loader.indices(step).tolist() for step in range(100)]


def test_short_rows_first_hold_the_same_tokens(tmp_path: Path) -> None:
    parts = {"a": make_store(tmp_path / "a", [30, 9, 20, 17, 33, 5], 32)}
    plain = MixedLoader(make_mixture(tmp_path / "plain", parts, {"a": 1.0}), "train", 2, 0).over(20)
    grown = MixedLoader(make_mixture(tmp_path / "grown", parts, {"a": 1.0}, length=Length(start=4, until=0.6)), "train", 2, 0).over(20)
    widths = []
    for step in range(20):
        whole, cut = plain.at(step), grown.at(step)
        widths.append(cut.tokens.shape[1])
        assert grown.weight(step) == plain.weight(step) == (cut.targets != IGNORED).sum()
        assert cut.targets[cut.targets != IGNORED].tolist() == whole.targets[whole.targets != IGNORED].tolist()
        assert ((cut.positions[:, 0] == 0) & (cut.documents[:, 0] > 0)).all()
        inside = (cut.documents[:, 1:] == cut.documents[:, :-1]) & (cut.documents[:, 1:] > 0)
        assert (np.diff(cut.positions, axis=1)[inside] == 1).all()
    assert widths[0] == 4 and set(widths[:12]) >= {4, 8, 16} and widths[12] > 16


def test_cut_rows_keep_their_sequence(tmp_path: Path) -> None:
    whole = np.arange(10).reshape(1, 10)
    batch = Batch(
        whole, whole + 1, np.array([[0, 1, 2, 3, 4, 5, 0, 1, 2, 0]]), np.array([[1] * 6 + [2] * 3 + [0]], np.int32), np.array([7])
    )
    cut = cut_rows(batch, 4, 0)
    assert cut.positions.tolist() == [[0, 1, 2, 3], [0, 1, 0, 1], [0, 0, 0, 0]] and cut.sequences.tolist() == [7, 7, 7]
    assert cut.documents.tolist() == [[1, 1, 1, 1], [1, 1, 2, 2], [2, 0, 0, 0]]


def test_easy_sequences_come_first_in_the_first_epoch_and_each_once(tmp_path: Path) -> None:
    store = make_store(tmp_path / "a", [1 + n for n in range(1, 101)], 128, "pad")
    easiest = np.argsort(sequence_means(store, store.documents["length"].to_numpy().astype(np.float64)), kind="stable")
    mixture = make_mixture(tmp_path / "m", {"a": store}, {"a": 1.0}, spread=0.1, easiest={"a": easiest})
    loader = MixedLoader(mixture, "train", 10, 0)
    first = [[int(row) for _, row in drawn(loader, range(step, step + 1))] for step in range(10)]
    assert [sorted(rows) for rows in first] == [list(range(10 * step, 10 * step + 10)) for step in range(10)]
    assert any(rows != sorted(rows) for rows in first)
    second = [row for _, row in drawn(loader, range(10, 20))]
    assert sorted(second) == list(range(100)) and abs(np.corrcoef(second, np.arange(100))[0, 1]) < 0.4
    assert sorted(int(i) for i in MixedLoader(mixture, "train", 100, 0, even=True).indices(0)) == list(range(100))


def test_held_out_sequences_are_taken_by_size_each_once(tmp_path: Path) -> None:
    parts = {"a": make_store(tmp_path / "a", [9] * 30, 8, "pad", holdout=12), "b": make_store(tmp_path / "b", [9] * 9, 8, "pad", holdout=3)}
    mixture = make_mixture(tmp_path / "m", parts, {"a": 1.0, "b": 50.0})
    assert mixture.num_sequences("holdout") == 15 and mixture.length == 8
    assert sorted(MixedLoader(mixture, "holdout", 15, 0).indices(0).tolist()) == list(range(15))
    with pytest.raises(DataError, match="no part has sequences"):
        MixedLoader(make_mixture(tmp_path / "n", stores(tmp_path, {"c": 3}), {"c": 1.0}), "holdout", 2, 0)


def test_parts_of_other_tokenizers_or_masks_are_refused(tmp_path: Path) -> None:
    a = make_store(tmp_path / "a", [9], 8)
    with pytest.raises(DataError, match="another tokenizer"):
        make_mixture(tmp_path / "m", {"a": a, "b": make_store(tmp_path / "b", [9], 8, key="other")}, {"a": 1.0, "b": 1.0})
    with pytest.raises(DataError, match="same attend"):
        make_mixture(tmp_path / "n", {"a": a, "c": make_store(tmp_path / "c", [9], 8, attend="sequence")}, {"a": 1.0, "c": 1.0})


def test_open_loader_tells_them_apart(tmp_path: Path) -> None:
    a = make_store(tmp_path / "a", [9] * 5, 8)
    mixture: Mixture = make_mixture(tmp_path / "m", {"a": a}, {"a": 1.0})
    assert isinstance(open_loader(a, "train", 2, 0), Loader) and isinstance(open_loader(mixture, "train", 2, 0), MixedLoader)


@pytest.mark.parametrize("workers", [0, 1, 2, 4])
def test_threads_that_work_ahead_change_no_bit(tmp_path: Path, workers: int) -> None:
    loader = Loader(make_store(tmp_path / "a", [5, 9, 30, 2, 17] * 4, 16), "train", 2, 0)
    wanted = [loader.at(step) for step in (*range(12), 3, 4, 0)]
    with Loading(workers=workers, prefetch=3).start(loader) as ahead:
        found = [ahead.at(step) for step in (*range(12), 3, 4, 0)]
    for left, right in zip(wanted, found, strict=True):
        assert all(
            np.array_equal(getattr(left, name), getattr(right, name))
            for name in ("tokens", "targets", "positions", "documents", "sequences")
        )
    assert ahead.weight(1) == loader.weight(1) and len(list(ahead.micro_batches(wanted[0], 1))) == len(wanted[0].sequences)
    assert isinstance(ahead, Ahead) == bool(workers)


def test_draws_with_a_share_that_is_zero_at_first() -> None:
    draws = plan_draws(lambda progress: np.array([0.0, 1.0]) if progress < 0.5 else np.array([1.0, 0.0]), np.array([np.inf, np.inf]), 100)
    assert draws.before(50).tolist() == [0, 50] and draws.before(100).tolist() == [50, 50] and draws.before(200).tolist() == [150, 50]
    spent = plan_draws(lambda progress: np.array([1.0, 0.0]), np.array([10.0, np.inf]), None)
    assert spent.most == 10
