"""What a data stage left, read record by record: documents or chats, their scores, and the ledger of those that are not there.

Roots are a finished artifact, or the folders of the shards that an unfinished stage has done; both have the same layout inside.
Ids are looked up in the id columns alone; a text is read with its own row group and no other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ropewalk.core.artifact import MANIFEST
from ropewalk.core.shards import RECEIPT

if TYPE_CHECKING:
    import pyarrow as pa

FOLDERS = ("documents", "chats", "pairs")
STATES = {"dropped": "dropped", "quarantined": "set aside"}


@dataclass(frozen=True)
class Entry:
    """A line of the ledger; `state` is dropped or set aside, or noted when the record went on."""

    id: str
    state: str
    reason: str
    score: float | None
    witness: str


@dataclass(frozen=True)
class Record:
    """A record as a stage left it."""

    id: str
    text: str
    columns: Mapping[str, Any]
    """source, license, meta; of a chat its messages."""
    file: Path


@dataclass(frozen=True)
class Shelf:
    """A stage's records, for looking at."""

    roots: tuple[Path, ...]
    finished: bool = True
    before: tuple[Path, ...] = ()
    """The artifacts that led here, the nearest last: they may hold scores of these records."""
    _counts: dict[Path, Mapping[str, int]] = field(default_factory=dict, compare=False)

    @cached_property
    def files(self) -> list[Path]:
        """The Parquet files of records, in their order."""
        found = [path for root in self.roots for folder in FOLDERS for path in (root / folder).glob("*.parquet")]
        return sorted(found, key=lambda path: path.stem)

    def id_columns(self) -> Iterator[tuple[Path, pa.ChunkedArray]]:
        """(file, its ids)."""
        import pyarrow.parquet as pq

        for path in self.files:
            yield path, pq.read_table(path, columns=["id"], memory_map=True)["id"]

    def tables(self) -> Iterator[tuple[Path, pa.Table]]:
        """(file, rows) of each row group, texts and all."""
        import pyarrow.parquet as pq

        for path in self.files:
            file = pq.ParquetFile(path)
            for group in range(file.num_row_groups):
                yield path, file.read_row_group(group)

    def beginning_with(self, prefix: str, most: int) -> list[str]:
        """Ids of records and of ledger lines that begin so, `most` at most."""
        import pyarrow.compute as pc

        found: dict[str, None] = {}
        for ids in [*(ids for _, ids in self.id_columns()), *(table["id"] for _, table in self._ledgers())]:
            found.update(dict.fromkeys(ids.filter(pc.starts_with(ids, prefix)).to_pylist()))
            if len(found) >= most:
                break
        return list(found)[:most]

    def fetch(self, ids: Sequence[str]) -> dict[str, Record]:
        """The records of these ids that are here."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        wanted, found = set(ids), dict[str, Record]()
        for path in self.files:
            file = pq.ParquetFile(path)
            for group in range(file.num_row_groups):
                missing = wanted.difference(found)
                if not missing:
                    return found
                if _may_hold(file, group, missing):
                    column = file.read_row_group(group, columns=["id"])["id"]
                    places = np.flatnonzero(pc.is_in(column, value_set=pa.array(sorted(missing))).to_numpy()).tolist()
                    if places:
                        rows = file.read_row_group(group).take(places).to_pylist()
                        found |= {row["id"]: record_of(row, path) for row in rows}
        return found

    def entries(self, ids: Sequence[str] | None = None, reason: str = "") -> Iterator[Entry]:
        """The ledger's lines, of these ids or all, whose reason is or begins with `reason`."""
        import pyarrow as pa
        import pyarrow.compute as pc

        for root, table in self._ledgers():
            if ids is not None:
                table = table.filter(pc.is_in(table["id"], value_set=pa.array(ids, pa.string())))
            if reason:
                table = table.filter(pc.or_(pc.equal(table["reason"], reason), pc.starts_with(table["reason"], f"{reason}.")))
            for row in table.to_pylist():
                yield Entry(row["id"], self._state(root, row["reason"]), row["reason"], row["score"], row["witness"])

    def reasons(self) -> dict[str, int]:
        """Reason -> how many, of all that did not go on; the most frequent first."""
        found: dict[str, int] = {}
        for root in self.roots:
            for name, number in self._counted(root).items():
                head, slash, reason = name.partition("/")
                if slash and head in STATES and number:
                    found[reason] = found.get(reason, 0) + number
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def scores(self, ids: Sequence[str], folders: Sequence[Path]) -> dict[str, dict[str, float]]:
        """What was measured of these records in the folders, dropped ones too; of a score in two folders the later counts."""
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        found: dict[str, dict[str, float]] = {}
        for folder in folders:
            missing = set(ids)
            for path in sorted((folder / "scores").glob("*.parquet")):
                if not missing:
                    break
                column = pq.read_table(path, columns=["id"])["id"]
                chosen = pc.is_in(column, value_set=pa.array(ids, pa.string()))
                if pc.any(chosen).as_py():
                    for row in pq.read_table(path).filter(chosen).to_pylist():
                        id_ = row.pop("id")
                        missing.discard(id_)
                        measured = {name: value for name, value in row.items() if name != "kept" and value is not None}
                        found[id_] = found.get(id_, {}) | measured
        return found

    def raw(self, place: str) -> str:
        """The raw bytes of a record that was set aside, as text."""
        import pyarrow.parquet as pq

        for root in self.roots:
            for path in sorted((root / "quarantine").glob("*.parquet")):
                rows = pq.read_table(path, filters=[("place", "=", place)]).to_pylist()
                if rows:
                    return bytes(rows[0]["raw"]).decode("utf-8", "replace")
        return ""

    def _ledgers(self) -> Iterator[tuple[Path, pa.Table]]:
        import pyarrow.parquet as pq

        for root in self.roots:
            for path in sorted((root / "ledger").glob("*.parquet")):
                yield root, pq.read_table(path)

    def _state(self, root: Path, reason: str) -> str:
        counts = self._counted(root)
        return next((state for kind, state in STATES.items() if counts.get(f"{kind}/{reason}")), "noted")

    def _counted(self, root: Path) -> Mapping[str, int]:
        """What the manifest of an artifact or the receipt of a shard counts."""
        if root not in self._counts:
            place = root / (MANIFEST if (root / MANIFEST).is_file() else RECEIPT)
            self._counts[root] = json.loads(place.read_bytes())["counts"]
        return self._counts[root]


def _may_hold(file: Any, group: int, ids: set[str]) -> bool:
    """By the smallest and largest id that the file's foot gives for a row group."""
    statistics = file.metadata.row_group(group).column(0).statistics
    if statistics is None or not statistics.has_min_max or file.metadata.row_group(group).column(0).path_in_schema != "id":
        return True
    return any(statistics.min <= id_ <= statistics.max for id_ in ids)


def record_of(row: Mapping[str, Any], file: Path) -> Record:
    """A row of documents, or of chats or pairs with their turns as text."""
    text = row.get("text")
    if text is None and "prompt" in row:
        sides = ((name, row[name] or ()) for name in ("prompt", "chosen", "rejected"))
        text = "\n".join(f"{name}: {turn['role']}: {turn['content']}" for name, turns in sides for turn in turns)
    elif text is None:
        text = "\n".join(f"{turn['role']}: {turn['content']}" for turn in row["messages"])
    return Record(row["id"], text, {name: value for name, value in row.items() if name not in ("id", "text")}, file)
