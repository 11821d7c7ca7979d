"""The compiled best fit gives what the definition gives."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ropewalk.data.pack_kernels import best_fit


def first_fitting(sizes: list[int], length: int) -> tuple[list[int], list[int]]:
    """Best-fit decreasing as it is defined, one look at every bin a piece."""
    bins: list[tuple[int, int, list[int]]] = []  # (space, when the space became so, pieces)
    for when, piece in enumerate(sorted(range(len(sizes)), key=lambda piece: -sizes[piece])):
        fitting = [index for index, (space, _, _) in enumerate(bins) if space >= sizes[piece]]
        if not fitting:
            bins.append((length, -1, []))
            fitting = [len(bins) - 1]
        chosen = min(fitting, key=lambda index: (bins[index][0], -bins[index][1]))
        space, _, pieces = bins[chosen]
        bins[chosen] = (space - sizes[piece], when, [*pieces, piece])
    order = [piece for _, _, pieces in bins for piece in sorted(pieces)]
    return order, np.cumsum([0, *(len(pieces) for _, _, pieces in bins)]).tolist()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), st.data())
def test_the_compiled_best_fit_is_best_fit(length: int, data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(1, length), max_size=40))
    order, starts = best_fit(np.array(sizes, np.int64), length)
    assert (order.tolist(), starts.tolist()) == first_fitting(sizes, length)


def test_the_compiled_best_fit_with_spaces_far_apart() -> None:
    length, generator = 20_000, np.random.default_rng(0)
    sizes = np.concatenate([generator.integers(1, length + 1, 60), generator.integers(1, 40, 40)])
    order, starts = best_fit(sizes, length)
    assert (order.tolist(), starts.tolist()) == first_fitting(sizes.tolist(), length)
