"""A sketch: what deduplication needs to know of each text before it compares any, a few hundred bytes a text.

The keys of each band lie sorted, beside the number of the text that each belongs to: so a key range of a band is one slice, and
sketches of many parts are merged without reading more than that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

    from ropewalk.data.dedup.near import Near


class Sketched(Protocol):
    """The arrays of a Sketch by name, from memory or from a file."""

    def __len__(self) -> int: ...

    def read(self, name: str) -> NDArray[Any]: ...


@dataclass(frozen=True)
class Sketch:
    """Of each text: its exact hash, size, and band keys."""

    exact: NDArray[np.uint64]
    """(texts, 2): equal for texts that are equal but for ASCII case and white space."""
    sizes: NDArray[np.int64]
    """Bytes of the text."""
    worded: NDArray[np.bool_]
    """Whether the text has any word (or character): one without is no near-duplicate of any."""
    keys: NDArray[np.uint64]
    """(bands, texts): each band's keys, rising; texts with an equal one are candidates. No rows without near-duplicates."""
    order: NDArray[np.uint32]
    """(bands, texts): whose key it is."""

    def __len__(self) -> int:
        return len(self.sizes)

    def read(self, name: str) -> NDArray[Any]:
        found: NDArray[Any] = getattr(self, name)
        return found

    def save(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for each in fields(self):
            np.save(folder / f"{name}.{each.name}.npy", getattr(self, each.name), allow_pickle=False)


@dataclass(frozen=True)
class SketchFiles:
    """A saved sketch; an array is mapped while it is used and no longer, so the system takes its pages back."""

    folder: Path
    name: str
    size: int

    def __len__(self) -> int:
        return self.size

    def read(self, name: str) -> NDArray[Any]:
        place = self.folder / f"{self.name}.{name}.npy"
        return np.asarray(np.load(place, mmap_mode="r" if self.size else None, allow_pickle=False))


def sketch(column: pa.ChunkedArray | pa.LargeStringArray, near: Near | None, device: str = "cpu") -> Sketch:
    """Sketch a large_string column; `near` is None when only exact copies are looked for."""
    from ropewalk.data.dedup.hash import exact_hashes, pieces

    exact, sizes, worded, keys = [np.empty((0, 2), np.uint64)], [np.empty(0, np.int64)], [np.empty(0, bool)], []
    signed = _signed(column, near, device) if near else None
    for texts in pieces(column):
        exact.append(exact_hashes(texts))
        sizes.append(texts.sizes)
        if signed:
            found, has = next(signed)
            keys.append(found)
            worded.append(has)
        else:
            worded.append(np.zeros(len(texts), bool))
    bands = near.banding().count if near else 0
    ordered, order = _sorted(np.concatenate([np.empty((0, bands), np.uint64), *keys]))
    return Sketch(np.concatenate(exact), np.concatenate(sizes), np.concatenate(worded), ordered, order)


def _signed(
    column: pa.ChunkedArray | pa.LargeStringArray, near: Near, device: str
) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.bool_]]]:
    """The band keys of each piece, and which texts have any shingle."""
    from ropewalk.data.dedup.hash import folded, slices
    from ropewalk.data.dedup.signature import band_keys, signatures

    bands = near.banding()
    for piece in slices(column):
        texts = folded(piece, near.folding())
        if device == "cpu":
            signed, counts = signatures(texts, near.ngram, near.values, near.unit)
        else:
            from ropewalk.data.dedup.signature_torch import torch_signatures

            signed, counts = torch_signatures(texts, near.ngram, near.values, near.unit, device.removeprefix("torch:"))
        yield band_keys(signed, bands.count, bands.rows), counts > 0


def _sorted(keys: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    ordered = np.empty(keys.shape[::-1], np.uint64)
    order = np.empty(keys.shape[::-1], np.uint32)
    for band, column in enumerate(keys.T):
        order[band] = np.argsort(column)
        ordered[band] = column[order[band]]
    return ordered, order


def save_sets(sets: Iterable[tuple[NDArray[np.uint64], NDArray[np.int64]]], folder: Path, name: str) -> None:
    """Shingle sets one after the other, and where each begins."""
    sizes = [np.zeros(1, np.int64)]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.sets").open("wb") as file:
        for hashes, counts in sets:
            file.write(hashes.data)
            sizes.append(counts)
    np.save(folder / f"{name}.starts.npy", np.cumsum(np.concatenate(sizes)), allow_pickle=False)
