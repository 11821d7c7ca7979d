"""Writes documents as Parquet files of bounded size, however large the file is from which they come."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ropewalk.core.errors import DataError
from ropewalk.data.corpus import from_documents, schema, writer_options
from ropewalk.data.records import Document

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

PART_BYTES = 32 << 20
PART_DOCUMENTS = 100_000
BATCH_BYTES = 2 << 20  # held as text: small enough to be in the cache still when it is written
LARGE_BYTES = 16 << 20


class Parts:
    """`documents/NAME.parquet`, then `NAME_0001.parquet` and so on: a new one after 32 MiB of text or 100,000 documents."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self.held: list[Document] = []
        self.held_bytes = 0
        self.part_bytes = 0
        self.part_documents = 0
        self.written = 0
        self.writer: pq.ParquetWriter | None = None

    def add(self, document: Document) -> int:
        """Take a document; returns its text's size in bytes."""
        size = len(document.text) if document.text.isascii() else len(document.text.encode("utf-8", "surrogatepass"))
        if self.part_documents and (self.part_bytes + size > PART_BYTES or self.part_documents >= PART_DOCUMENTS):
            self.flush()
        self.held.append(document)
        self.held_bytes += size
        self.part_bytes += size
        self.part_documents += 1
        if self.held_bytes > BATCH_BYTES:
            self._write()
        return size

    def flush(self) -> None:
        """Finish the part; must be called at the end."""
        self._write()
        if self.writer is not None:
            self.writer.close()
            self.writer = None
            self.written += 1
        self.part_bytes = self.part_documents = 0

    def _write(self) -> None:
        import pyarrow.parquet as pq

        if not self.held:
            return
        large = self.held_bytes >= LARGE_BYTES
        try:
            table = _one_by_one(self.held) if large else from_documents(self.held)
        except UnicodeEncodeError as error:
            raise DataError(
                f"a document between {self.held[0].id!r} and {self.held[-1].id!r} holds half a surrogate pair: {error}",
                remedy="its source must yield it as Rejected, or with U+FFFD in that place",
            ) from None
        if self.writer is None:
            name = f"{self.name}_{self.written:04d}" if self.written else self.name
            place = self.folder / "documents" / f"{name}.parquet"
            place.parent.mkdir(parents=True, exist_ok=True)
            # Pages of version 2 are packed before they are put together: a text of 100 MiB is there once less.
            version = "2.0" if large else "1.0"
            self.writer = pq.ParquetWriter(place, schema(), data_page_version=version, **writer_options())
        self.held, self.held_bytes = [], 0
        if large:  # a row group by itself goes to the disk page by page
            self.writer.write_table(table)
            return
        for batch in table.to_batches():
            self.writer.write_batch(batch)


def _one_by_one(documents: list[Document]) -> pa.Table:
    """As `from_documents`, without a copy of a long text where it is ASCII."""
    import pyarrow as pa

    empty = [Document(document.id, "", document.source, document.license, document.meta) for document in documents]
    texts = pa.chunked_array([_array(document.text) for document in documents], pa.large_string())
    table = from_documents(empty)
    return table.set_column(table.schema.get_field_index("text"), "text", texts)


def _array(text: str) -> pa.LargeStringArray:
    import ctypes
    import struct

    import pyarrow as pa

    if text.isascii():
        address_of = ctypes.pythonapi.PyUnicode_AsUTF8
        address_of.restype, address_of.argtypes = ctypes.c_void_p, [ctypes.py_object]
        size, data = len(text), pa.foreign_buffer(address_of(text), len(text), text)
    else:
        encoded = text.encode()
        size, data = len(encoded), pa.py_buffer(encoded)
    return pa.LargeStringArray.from_buffers(1, pa.py_buffer(struct.pack("=qq", 0, size)), data)
