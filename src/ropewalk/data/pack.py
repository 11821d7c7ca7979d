"""Packing: how documents' positions become sequences. A plan is indices; every position is kept, whatever the method."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.tokens import GROUPS, Grouping, Packing, Sequences
from ropewalk.data.windows import Windows, cut

Int64s = NDArray[np.int64]


def plan(
    offsets: Int64s,
    positions: Int64s,
    length: int,
    packing: Packing | Grouping,
    mask: NDArray[np.uint8] | None,
    windows: Windows | None = None,
) -> Sequences:
    """Sequences of at most `length` positions from documents at `offsets` with so many `positions`.

    `concat` cuts the stream of documents evenly; `best_fit` keeps documents whole where they fit (best-fit decreasing);
    `pad` gives each document sequences of its own. Documents longer than a sequence are cut by all of them: end to end,
    or (not by `concat`) into windows that overlap.
    """
    assert length > 0, "a sequence needs at least one position"
    assert windows is None or packing != "concat", "windows are kept whole"
    if packing in GROUPS:
        return _grouped(offsets, positions, GROUPS[packing])
    used = positions > 0
    offsets, positions = offsets[used], positions[used]
    context: Int64s | None = None
    if packing == "concat":
        segments = _stream(offsets, positions, length)
    else:
        document, first, sizes, seen = cut(positions, length, windows.stride if windows else length)
        segments = np.stack([offsets[document] + first, sizes], 1).astype(np.int64)
        context = seen if windows and not windows.count_overlap else None
    if packing == "concat":
        ends = np.cumsum(segments[:, 1])
        cuts = np.searchsorted(ends, np.arange(length, ends[-1] if len(ends) else 0, length), "left") + 1
        starts = np.unique(np.concatenate([[0], cuts, [len(segments)]])).astype(np.int64)
    elif packing == "best_fit":
        from ropewalk.data.pack_kernels import best_fit

        order, starts = best_fit(np.ascontiguousarray(segments[:, 1]), length)
        segments = segments[order]
        context = None if context is None else context[order]
    else:
        starts = np.arange(len(segments) + 1, dtype=np.int64)
    found = None if context is None else context.astype(np.int32)
    return Sequences(segments, starts, _trained(segments, starts, mask, found), found)


def _grouped(offsets: Int64s, positions: Int64s, size: int) -> Sequences:
    """Every `size` documents are a sequence, empty ones too; it weighs 1, whatever it holds."""
    assert len(offsets) % size == 0, f"{len(offsets)} answers are no groups of {size}"
    starts = np.arange(0, len(offsets) + 1, size, dtype=np.int64)
    return Sequences(np.stack([offsets, positions], 1).astype(np.int64), starts, np.ones(len(starts) - 1, np.int32))


def _stream(offsets: Int64s, positions: Int64s, length: int) -> Int64s:
    """The documents end to end, cut at their own ends and at each multiple of `length`."""
    ends = np.cumsum(positions)
    if not len(ends):
        return np.zeros((0, 2), np.int64)
    cuts = np.unique(np.concatenate([ends - positions, np.arange(0, ends[-1], length)]))
    sizes = np.diff(np.concatenate([cuts, [ends[-1]]]))
    document = np.searchsorted(ends, cuts, "right")
    return np.stack([offsets[document] + cuts - (ends - positions)[document], sizes], 1).astype(np.int64)


def _trained(segments: Int64s, starts: Int64s, mask: NDArray[np.uint8] | None, context: NDArray[np.int32] | None) -> NDArray[np.int32]:
    """Predicted tokens of each sequence: the trained ones among those that its positions predict, behind what is only read."""
    first = segments[:, 0] + (0 if context is None else context)
    last = segments[:, 0] + segments[:, 1]
    if mask is None:
        each = last - first
    else:
        before = np.concatenate([[0], np.cumsum(mask, dtype=np.int64)])
        each = before[last + 1] - before[first + 1]
    sums = np.concatenate([[0], np.cumsum(each)])
    found: NDArray[np.int32] = (sums[starts[1:]] - sums[starts[:-1]]).astype(np.int32)
    return found
