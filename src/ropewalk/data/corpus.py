"""Corpus: documents in Parquet shards `documents/NAME.parquet` (id, text, source, license, meta as JSON text)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ropewalk.core.artifact import Artifact
from ropewalk.core.shards import Shard
from ropewalk.data.records import Document

if TYPE_CHECKING:
    import pyarrow as pa


_encoded = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode


class Corpus(Artifact, kind="Corpus"):
    """Documents, streamed shard by shard."""

    def shards(self) -> list[Shard]:
        """One shard a file; `content` is the file's path."""
        files = sorted((self.path / "documents").glob("*.parquet"))
        return [Shard(path.stem, path, path.stat().st_size) for path in files]

    def tables(self) -> Iterator[pa.Table]:
        """Each shard as an Arrow table with the columns of `schema()`."""
        for shard in self.shards():
            yield read_documents(shard.content)

    def documents(self) -> Iterator[Document]:
        for table in self.tables():
            yield from to_documents(table)

    @property
    def num_documents(self) -> int:
        return self.manifest.counts["kept"]


def schema() -> pa.Schema:
    import pyarrow as pa

    names = ("id", "text", "source", "license", "meta")
    return pa.schema([(name, pa.large_string() if name == "text" else pa.string()) for name in names])


def read_documents(path: Path) -> pa.Table:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, memory_map=True) as file:  # `read_table` imports pandas first where it is installed
        return file.read().select(schema().names).cast(schema())


def write_documents(table: pa.Table, path: Path) -> None:
    """Parquet (zstd); only columns that repeat get a dictionary, and texts no statistics: both would copy long texts."""
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    rows = table.select(schema().names).cast(schema()).replace_schema_metadata(None)
    pq.write_table(rows, path, row_group_size=16384, **writer_options())


def writer_options() -> dict[str, Any]:
    """How documents are written."""
    return {"compression": "zstd", "use_dictionary": ["source", "license"], "write_statistics": ["id"]}


def to_documents(table: pa.Table) -> Iterator[Document]:
    for row in table.to_pylist():
        yield Document(row["id"], row["text"], row["source"], row["license"], json.loads(row["meta"] or "{}"))


def from_documents(documents: Iterable[Document]) -> pa.Table:
    import pyarrow as pa

    rows = list(documents)
    columns = {
        "id": [row.id for row in rows],
        "text": [row.text for row in rows],
        "source": [row.source for row in rows],
        "license": [row.license for row in rows],
        "meta": [_encoded(row.meta) if row.meta else "{}" for row in rows],
    }
    return pa.Table.from_arrays([strings(columns[field.name], field.type) for field in schema()], schema=schema())


def strings(values: Sequence[str], kind: pa.DataType) -> pa.Array:
    """Text as an Arrow array, from its bytes: `pa.array` imports pandas first where it is installed, 0.3 s and 40 MiB."""
    import numpy as np
    import pyarrow as pa

    encoded = [value.encode() for value in values]
    width = np.int64 if pa.types.is_large_string(kind) else np.int32
    ends = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)))
    if len(ends) and ends[-1] > np.iinfo(width).max:
        return pa.array(values, kind)
    offsets = np.concatenate([[0], ends]).astype(width)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(kind, len(encoded), buffers)
