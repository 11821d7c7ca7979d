"""Makes ids unique over a corpus: the first document keeps its id, the next one with the same becomes `ID#2`, and so on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.ledger import Ledger
from ropewalk.core.shards import Outcome, Shard
from ropewalk.data.corpus import read_documents, write_documents

REPEATED = "id_made_unique"
"""The ledger's reason; the witness is the id that the source gave."""

Renames = dict[int, str]
"""Row -> new id, of one file."""


def repeated_ids(files: Sequence[Path]) -> dict[Path, Renames]:
    """What to rename in which file; 16 bytes of memory a document, and files where all is well are read once."""
    hashes = [_hashes(_ids(path)) for path in files]
    taken, numbers = np.unique(np.concatenate(hashes), return_counts=True)
    twice = taken[numbers > 1]
    used: dict[str, int] = {}
    found: dict[Path, Renames] = {}
    for path, hashed in zip(files, hashes, strict=True):
        rows = np.flatnonzero(np.isin(hashed, twice)).tolist() if len(twice) else []
        ids = _ids(path) if rows else []
        for row in rows:
            given = ids[row]
            number = used.get(given, 0) + 1
            while number > 1 and _is_among(f"{given}#{number}", taken):  # some document is called that already
                number += 1
            used[given] = number
            if number > 1:
                found.setdefault(path, {})[row] = f"{given}#{number}"
    return found


class Rename:
    """Shard function: writes a documents file again with new ids; content is (old file, its renames)."""

    def __init__(self, stage: str) -> None:
        self.stage = stage

    def __call__(self, shard: Shard, folder: Path) -> Outcome:
        import pyarrow as pa

        path, renames = shard.content
        table = read_documents(path)
        ids = table["id"].to_pylist()
        ledger = Ledger(self.stage)
        for row, new in renames.items():
            ledger.add(new, REPEATED, witness=ids[row])
            ids[row] = new
        table = table.set_column(table.schema.get_field_index("id"), "id", pa.array(ids, pa.string()))
        write_documents(table, folder / "documents" / path.name)
        ledger.write(folder / "ledger" / f"{path.stem}_ids.parquet")
        return Outcome()


def _ids(path: Path) -> list[str]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, memory_map=True) as file:  # `read_table` imports pandas first where it is installed
        found: list[str] = file.read(columns=["id"])["id"].to_pylist()
    return found


def _hashes(ids: Sequence[str]) -> NDArray[np.uint64]:
    """64 bits of each id: two that differ and agree in them cost a needless rename, once in 10^9 documents or so."""
    import xxhash

    return np.fromiter((xxhash.xxh3_64_intdigest(name.encode()) for name in ids), np.uint64, len(ids))


def _is_among(name: str, taken: NDArray[np.uint64]) -> bool:
    wanted = _hashes([name])
    place = np.searchsorted(taken, wanted)[0]
    return bool(place < len(taken) and taken[place] == wanted[0])
