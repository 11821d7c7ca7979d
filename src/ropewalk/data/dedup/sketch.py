"""A sketch: what deduplication needs to know of each text before it compares any, a few hundred bytes a text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.dedup.near import Bands

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Sketch:
    """Of each text: its exact hash, size, and band keys."""

    exact: NDArray[np.uint64]
    """(texts, 2): equal for texts that are equal but for ASCII case and white space."""
    sizes: NDArray[np.int64]
    """Bytes of the text."""
    shingles: NDArray[np.int64]
    """How many word n-grams, repeated ones too; 0 for a text without words."""
    keys: NDArray[np.uint64]
    """(texts, bands): texts with an equal key in one column are candidates; no columns without near-duplicates."""

    def __len__(self) -> int:
        return len(self.sizes)

    def save(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for field in fields(self):
            np.save(folder / f"{name}.{field.name}.npy", getattr(self, field.name), allow_pickle=False)

    @classmethod
    def load(cls, folder: Path, name: str) -> Sketch:
        return cls(**{field.name: np.load(folder / f"{name}.{field.name}.npy", allow_pickle=False) for field in fields(cls)})

    @classmethod
    def join(cls, parts: Iterable[Sketch]) -> Sketch:
        """One sketch of all texts, in order; needs at least one part."""
        parts = list(parts)
        return cls(**{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)})


def sketch(column: pa.ChunkedArray | pa.LargeStringArray, ngram: int, values: int, bands: Bands | None) -> Sketch:
    """Sketch a large_string column; `bands` is None when only exact copies are looked for."""
    from ropewalk.data.dedup.hash import exact_hashes, pieces
    from ropewalk.data.dedup.signature import band_keys, signatures

    columns = bands.count if bands else 0
    nothing = np.empty(0, np.int64)
    parts = [Sketch(np.empty((0, 2), np.uint64), nothing, nothing, np.empty((0, columns), np.uint64))]
    for texts in pieces(column):
        shingles = np.zeros(len(texts), np.int64)
        keys = np.empty((len(texts), columns), np.uint64)
        if bands:
            signed, shingles = signatures(texts, ngram, values)
            keys = band_keys(signed, bands.count, bands.rows)
        parts.append(Sketch(exact_hashes(texts), texts.sizes, shingles, keys))
    return Sketch.join(parts)


def bytes_per_document(bands: Bands | None) -> int:
    """Memory of the exchange for each document: the sketch, its groups, and the index of kept ones."""
    return 16 + 8 + 8 + 24 + (bands.count * (8 + 4 + 16) if bands else 0)
