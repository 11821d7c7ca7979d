"""A window: the bytes around a candidate of the scan, never past its document's ends, as text with one character a byte."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """`text[begin:stop]` is what the scan pointed at; what lies before and behind it is there for boundaries and words."""

    text: str
    begin: int
    stop: int
    digits: int = 0
    groups: int = 0
    """Of a number: how many digits in how many groups."""


def window(
    data: memoryview, document: tuple[int, int], begin: int, stop: int, before: int, after: int, size: tuple[int, int] = (0, 0)
) -> tuple[Window, int]:
    """The window and where it begins in `data`. Latin-1 keeps places equal: one byte is one character."""
    first = max(document[0], begin - before)
    text = str(data[first : min(document[1], stop + after)], "latin-1")
    return Window(text, begin - first, stop - first, *size), first
