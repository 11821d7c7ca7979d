"""Runs of lines: every line once, with its number, however blocks, parts and long lines fall."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.data.sources import lines as lines_module
from ropewalk.data.sources.lines import bounded_lines, runs_of_lines

LONGEST = 9


def flat(data: bytes, start: int = 0, stop: int | None = None) -> list[tuple[int, bytes, bool]]:
    found = []
    for number, lines, complete in runs_of_lines(io.BufferedReader(io.BytesIO(data), 4), start, stop, LONGEST):
        found += [(number + index, bytes(line), complete) for index, line in enumerate(lines)]
    return found


@given(
    parts=st.lists(st.sampled_from([b"", b"a", b"\r", b"abcd", b"12345678", b"123456789", b"1234567890", b"x" * 30]), max_size=12),
    ended=st.booleans(),
    block=st.integers(1, 12),
    size=st.integers(1, 40),
)
def test_lines_come_once_in_blocks_and_parts_of_any_size(parts: list[bytes], ended: bool, block: int, size: int) -> None:
    data = b"\n".join(parts) + b"\n" * ended
    whole = data.split(b"\n")[: -1 if data.endswith(b"\n") or not data else None]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "CHUNK_BYTES", block)
        patch.setattr(lines_module, "KEPT_BYTES", 5)
        found = flat(data)
        fits = [(number, line if len(line) <= LONGEST else line[:5], len(line) <= LONGEST) for number, line in enumerate(whole, 1)]
        assert found == fits
        pieces = [flat(data, start, start + size) for start in range(0, len(data), size)]
        assert [(line, complete) for piece in pieces for _, line, complete in piece] == [(line, complete) for _, line, complete in fits]
        stream = io.BufferedReader(io.BytesIO(data))
        assert [(number, line.rstrip(b"\n"), complete) for number, line, complete in bounded_lines(stream, LONGEST)] == fits
