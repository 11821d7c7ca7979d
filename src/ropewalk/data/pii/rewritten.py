"""Texts after a rewrite, as bytes: what was not touched is copied and never becomes a Python string."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.dedup.hash import Texts

if TYPE_CHECKING:
    import pyarrow as pa


def spliced(texts: Texts, changes: Iterable[tuple[int, int, int, bytes]]) -> Texts:
    """The texts with bytes start:stop of each (row, start, stop, bytes) replaced; changes come by place and don't overlap."""
    data = texts.data.data
    parts: list[bytes | memoryview] = []
    grown = np.zeros(len(texts), np.int64)
    end = int(texts.offsets[0])
    for row, start, stop, put in changes:
        parts += [data[end:start], put]
        grown[row] += len(put) - (stop - start)
        end = stop
    parts.append(data[end : int(texts.offsets[-1])])
    offsets = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(texts.sizes + grown, out=offsets[1:])
    return Texts(np.frombuffer(b"".join(parts), np.uint8), offsets)


def column(texts: Texts) -> pa.LargeStringArray:
    """The texts as an Arrow column over the same memory."""
    import pyarrow as pa

    offsets = np.ascontiguousarray(texts.offsets)
    return pa.LargeStringArray.from_buffers(len(texts), pa.py_buffer(offsets), pa.py_buffer(texts.data))


class Rewritten(Sequence[str]):
    """A list of texts that is an Arrow column: `pyarrow.array` takes it as it is, an index makes one string."""

    def __init__(self, texts: Texts) -> None:
        self.texts = texts

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, place: Any) -> Any:
        found: Any = column(self.texts)[place]
        return found.to_pylist() if isinstance(place, slice) else found.as_py()

    def __iter__(self) -> Iterator[str]:
        strings: list[str] = column(self.texts).to_pylist()
        return iter(strings)

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __arrow_array__(self, type: pa.DataType | None = None) -> pa.Array:  # noqa: A002
        made = column(self.texts)
        return made if type is None else made.cast(type)


def counted(rows: NDArray[np.int64] | list[int], number: int) -> NDArray[np.int64]:
    """How often each of `number` rows turns up."""
    return np.bincount(np.asarray(rows, np.int64), minlength=number)
