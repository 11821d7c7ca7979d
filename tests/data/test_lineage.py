"""From a step to its documents and back, for one store and for a mixture."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from ropewalk.data.lineage import documents_of_step, steps_of_document
from ropewalk.data.loader import Loader
from ropewalk.data.mixed_loader import MixedLoader
from ropewalk.data.order import inverse, permutation
from ropewalk.data.windows import Windows
from token_kit import make_mixture, make_store

LENGTHS = [40, 9, 2, 1, 17, 33, 5, 60]


@pytest.mark.parametrize("n", [1, 2, 5, 64, 1000])
def test_the_inverse_undoes_the_order(n: int) -> None:
    for epoch in (0, 3):
        assert np.array_equal(inverse(n, 7, epoch, permutation(n, 7, epoch, np.arange(n))), np.arange(n))


def loaders(folder: Path) -> dict[str, Loader | MixedLoader]:
    a = make_store(folder / "a", LENGTHS, 16, windows=Windows(12))
    b = make_store(folder / "b", LENGTHS[::-1], 16, first_id=100_000)
    means = np.arange(len(a.sequences("train")))[::-1].copy()
    mixture = make_mixture(folder / "m", {"a": a, "b": b}, {"a": 3.0, "b": 1.0}, spread=0.5, easiest={"a": means})
    return {"store": Loader(b, "train", 3, 1), "windows": Loader(a, "train", 2, 1), "mixture": MixedLoader(mixture, "train", 3, 1)}


@pytest.mark.parametrize("kind", ["store", "windows", "mixture"])
def test_documents_of_a_step_are_those_whose_tokens_it_holds(tmp_path: Path, kind: str) -> None:
    loader = loaders(tmp_path)[kind]
    for step in range(5):
        batch = loader.at(step)
        found = list(documents_of_step(loader, step))
        assert sum(seen.trained for seen in found) == loader.weight(step)
        assert sum(seen.positions for seen in found) == (batch.documents > 0).sum()
        base = {"a": 1000, "b": 100_000, "": 100_000 if kind == "store" else 1000}
        wanted = sorted(base[seen.part] * (int(seen.id[1:]) + 1) + seen.first + i for seen in found for i in range(seen.positions))
        assert wanted == sorted(batch.tokens[batch.documents > 0].tolist())


@pytest.mark.parametrize("kind", ["store", "windows", "mixture"])
def test_steps_of_a_document_are_all_that_held_it(tmp_path: Path, kind: str) -> None:
    loader, steps = loaders(tmp_path)[kind], 40
    held: dict[str, list[int]] = defaultdict(list)
    for step in range(steps):
        for id_ in {seen.id for seen in documents_of_step(loader, step)}:
            held[id_].append(step)
    for number in range(len(LENGTHS)):
        assert steps_of_document(loader, f"d{number}", steps) == held.get(f"d{number}", [])
    assert steps_of_document(loader, "nobody", steps) == []
    assert len(held) == (len(LENGTHS) if kind == "mixture" else len(LENGTHS) - 1), "a token alone is in no batch"
