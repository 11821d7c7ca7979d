"""Writes documents as Parquet files of bounded size, however large the file is from which they come."""

from __future__ import annotations

from pathlib import Path

from ropewalk.core.errors import DataError
from ropewalk.data.corpus import from_documents, write_documents
from ropewalk.data.records import Document

PART_BYTES = 32 << 20
PART_DOCUMENTS = 100_000


class Parts:
    """`documents/NAME.parquet`, then `NAME_0001.parquet` and so on: a new one after 32 MiB of text or 100,000 documents."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self.held: list[Document] = []
        self.held_bytes = 0
        self.written = 0

    def add(self, document: Document) -> int:
        """Take a document; returns its text's size in bytes."""
        size = len(document.text) if document.text.isascii() else len(document.text.encode("utf-8", "surrogatepass"))
        if self.held and (self.held_bytes + size > PART_BYTES or len(self.held) >= PART_DOCUMENTS):
            self.flush()
        self.held.append(document)
        self.held_bytes += size
        return size

    def flush(self) -> None:
        """Write what is held; must be called at the end."""
        if not self.held:
            return
        name = f"{self.name}_{self.written:04d}" if self.written else self.name
        try:
            table = from_documents(self.held)
        except UnicodeEncodeError as error:
            raise DataError(
                f"a document between {self.held[0].id!r} and {self.held[-1].id!r} holds half a surrogate pair: {error}",
                remedy="its source must yield it as Rejected, or with U+FFFD in that place",
            ) from None
        self.held, self.held_bytes = [], 0
        write_documents(table, self.folder / "documents" / f"{name}.parquet")
        self.written += 1
