"""One character out of UTF-8 bytes, in a file of its own because all kernels are made with it and it never changes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.dedup.compiled import compiled

_LAST = 0x10FFFF


@compiled
def character(data: NDArray[np.uint8], place: int, end: int) -> tuple[np.int64, int]:
    """(code point, bytes) of what begins at `place`; bytes that are no UTF-8 give some character, never one beyond the end."""
    first = np.int64(data[place])
    if first < 0xC0 or place + 1 >= end:
        return first, 1
    second = np.int64(data[place + 1]) & 0x3F
    if first < 0xE0 or place + 2 >= end:
        return (first & 0x1F) << 6 | second, 2
    third = np.int64(data[place + 2]) & 0x3F
    if first < 0xF0 or place + 3 >= end:
        return (first & 0x0F) << 12 | second << 6 | third, 3
    point = (first & 0x07) << 18 | second << 12 | third << 6 | np.int64(data[place + 3]) & 0x3F
    return np.int64(_LAST) if point > _LAST else point, 4
