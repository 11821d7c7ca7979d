"""The exchange finds every shared key, through files or not, in any number of parts and ranges, in the memory that it says."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ropewalk.data.dedup import exchange
from ropewalk.data.dedup.exchange import Groups, first_copies, shared_keys
from ropewalk.data.dedup.sketch import Sketch, Sketched, SketchFiles, _sorted


def made(keys: NDArray[np.uint64], exact: NDArray[np.uint64] | None = None) -> Sketch:
    count = len(keys)
    exact = np.arange(2 * count, dtype=np.uint64).reshape(count, 2) if exact is None else exact
    return Sketch(exact, np.zeros(count, np.int64), np.ones(count, bool), *_sorted(keys))


def groups_of(groups: Groups) -> list[list[int]]:
    found: list[list[int]] = []
    for number in np.concatenate([*groups.chunks(), np.empty(0, np.int64)]).tolist():
        if number & 1:
            found.append([])
        found[-1].append(number >> 1)
    return found


@settings(max_examples=40)
@given(data=st.data(), sizes=st.lists(st.integers(0, 9), min_size=1, max_size=4), disk=st.booleans(), ranges=st.integers(1, 5))
def test_every_shared_key_is_a_group(
    data: st.DataObject, sizes: list[int], disk: bool, ranges: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    value = st.sampled_from([0, 1, 5 << 40, 1 << 63, (1 << 63) + 1, (1 << 64) - 1])
    count, bands = sum(sizes), 3
    keys = np.array(data.draw(st.lists(st.lists(value, min_size=bands, max_size=bands), min_size=count, max_size=count)), np.uint64)
    keys = keys.reshape(count, bands)
    alone = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)), bool)
    starts = np.cumsum([0, *sizes])
    parts: list[Sketched] = [made(keys[start:end]) for start, end in pairwise(starts)]
    folder = tmp_path_factory.mktemp("exchange") if disk else None
    if folder:
        for number, part in enumerate(parts):
            assert isinstance(part, Sketch)
            part.save(folder, str(number))
        parts = [SketchFiles(folder, str(number), size) for number, size in enumerate(sizes)]
    groups = Groups(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exchange, "ranges_of", lambda documents: ranges)
        patch.setattr(exchange, "CHUNK_ENTRIES", 4)
        shared_keys(parts, starts, alone, bands, groups)
    expected = []
    for band in range(bands):
        for key in np.unique(keys[:, band]):
            members = np.flatnonzero((keys[:, band] == key) & alone).tolist()
            expected += [members] if len(members) > 1 else []
    found = groups_of(groups)
    assert sorted(found) == sorted(expected)
    levels = [int(np.ceil(np.log2(len(group)))) for group in found]
    assert levels == sorted(levels), "small groups first"
    groups.clear()
    assert folder is None or not list(folder.glob("groups-*"))


@settings(max_examples=40)
@given(hashes=st.lists(st.sampled_from([0, 3, 1 << 62, (1 << 64) - 1]), max_size=12), ranges=st.integers(1, 4), scored=st.booleans())
def test_one_stands_for_all_copies(hashes: list[int], ranges: int, scored: bool) -> None:
    exact = np.array([[value, value >> 1] for value in hashes], np.uint64).reshape(-1, 2)
    half = len(hashes) // 2
    parts = [made(np.empty((len(part), 0), np.uint64), part) for part in (exact[:half], exact[half:])]
    scores = np.array([number % 3 for number in range(len(hashes))], float) if scored else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exchange, "ranges_of", lambda documents: ranges)
        first = first_copies(parts, np.array([0, half, len(hashes)]), 0, scores)
    for number, value in enumerate(hashes):
        same = [other for other, another in enumerate(hashes) if another == value]
        assert first[number] == min(same, key=lambda other: (-(other % 3) if scored else 0, other))


MEASURE = """
import sys
from pathlib import Path
import numpy as np
from ropewalk.data.dedup import exchange
from ropewalk.data.dedup.cluster import Part, decide
from ropewalk.data.dedup.near import Near
from ropewalk.data.dedup.sketch import Sketch, SketchFiles, _sorted

exchange.RANGE_BYTES = 1 << 20
folder, near, size = Path(sys.argv[1]), Near(), 10_000
draw = np.random.default_rng(0)

def part(number):
    keys = draw.integers(0, 1 << 63, (size, near.banding().count)).astype(np.uint64)
    exact = draw.integers(0, 1 << 63, (size, 2)).astype(np.uint64)
    Sketch(exact, np.ones(size, np.int64), np.ones(size, bool), *_sorted(keys)).save(folder, str(number))
    return Part(SketchFiles(folder, str(number), size), lambda rows: iter(()))

parts = [part(number) for number in range(30)]

def peak(some):
    Path("/proc/self/clear_refs").write_text("5")
    decide(some, near, exact=True, folder=folder)
    return next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmHWM"))

peak(parts[:1])
print(peak(parts[:3]), peak(parts))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from /proc")
def test_ten_times_the_documents_take_the_memory_that_is_said(tmp_path: Path) -> None:
    from ropewalk.data.dedup.cluster import bytes_per_document

    done = subprocess.run([sys.executable, "-c", MEASURE, str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    small, large = map(int, done.stdout.split())
    more = 270_000
    key_range = more * exchange.ENTRY_BYTES // exchange.MOST_RANGES
    assert large - small < 1.25 * (more * bytes_per_document() + key_range) + (4 << 20)
    assert large - small < 0.6 * more * 21 * 12, "all keys at once would take far more"
