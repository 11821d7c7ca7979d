"""Cuts a stream into runs of whole lines; a line that is longer than allowed is passed over without being held."""

from __future__ import annotations

import io
from collections.abc import Iterator

CHUNK_BYTES = 256 << 10
KEPT_BYTES = 64 << 10  # of a line that is too long


def runs_of_lines(
    file: io.BufferedReader, start: int = 0, stop: int | None = None, longest: int = 128 << 20
) -> Iterator[tuple[int, list[bytes | bytearray], bool]]:
    """(number of the first line from 1, lines without their ends, True) of the lines that begin in [start, stop), some at a time.

    For a line over `longest` bytes: (its number, its first 64 KiB, False). The lists are the caller's to empty.
    """
    number, place = 1, start
    if start:
        file.seek(start - 1)
        rest = _passed_over(file) - 1  # of the line that began before
        place += rest
        number = 2 if rest else 1
    held = bytearray()
    while stop is None or place < stop:
        block = file.read1(CHUNK_BYTES)
        if not block:
            if held:
                yield (number, *_whole(held, longest))
            return
        end = block.rfind(b"\n") + 1
        if not end:
            held += block
            if len(held) > longest:
                yield number, [bytes(held[:KEPT_BYTES])], False
                place += len(held) + _passed_over(file)
                held, number = bytearray(), number + 1
            continue
        if held:  # the line that began before, by itself: it may be long
            end = block.find(b"\n") + 1
            held += block[: end - 1]
            place += len(held) + 1
            waiting = [held]
            del held  # the caller decides how long a long line lives
            yield (number, *_whole(waiting.pop(), longest))
            held, number, block = bytearray(), number + 1, block[end:]
            if stop is not None and place >= stop:
                return
            end = block.rfind(b"\n") + 1
            if not end:
                held += block
                continue
        if stop is not None and place + end > stop:
            end = block.find(b"\n", stop - place - 1) + 1
        lines: list[bytes | bytearray] = [*block[: end - 1].split(b"\n")]
        size = len(lines)
        if longest < CHUNK_BYTES and any(len(line) > longest for line in lines):
            for index, line in enumerate(lines):
                yield (number + index, *_whole(line, longest))
        else:
            yield number, lines, True
        number += size
        place += end
        held += block[end:]


def bounded_lines(file: io.BufferedReader, longest: int) -> Iterator[tuple[int, bytes, bool]]:
    """(number, line with its end, True) of every line; of one over `longest` bytes its first 64 KiB, and False."""
    number = 0
    while line := file.readline(longest + 1):
        number += 1
        if len(line) - line.endswith(b"\n") <= longest:
            yield number, line, True
        else:
            _passed_over(file)
            yield number, line[:KEPT_BYTES], False


def _whole(line: bytes | bytearray, longest: int) -> tuple[list[bytes | bytearray], bool]:
    return ([line], True) if len(line) <= longest else ([bytes(line[:KEPT_BYTES])], False)


def _passed_over(file: io.BufferedReader) -> int:
    """How many bytes there are up to the next line's start, which is where the file then stands."""
    size = 0
    while part := file.readline(CHUNK_BYTES):
        size += len(part)
        if part.endswith(b"\n"):
            break
    return size
