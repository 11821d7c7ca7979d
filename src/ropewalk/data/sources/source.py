"""The source family: where records come from. A source names its shards and reads one, record by record.

Files of any format build on `file_source.FileSource`; a source of your own needs `read` and, to run on several cores, `shards`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from ropewalk.core.component import Component
from ropewalk.core.shards import Shard
from ropewalk.data.records import Document, Rejected

Record = Mapping[str, Any]
"""A record as its file has it: what a JSON object holds."""


@dataclass(frozen=True)
class Ready:
    """A source with all it reads on this machine, and what was fetched for it: address, size and hash of each file."""

    source: Source
    fetched: tuple[Mapping[str, Any], ...] = ()


class Source(Component, family="source", folders=("ropewalk.data.sources",)):
    """Where documents or records come from."""

    name: str = ""
    """What the documents' `source` column says; by default the file's name, or the type."""
    license: str = ""
    """Licence of the texts, such as CC-BY-4.0; it travels with each document to the model card."""
    on_bad_record: Literal["quarantine", "skip", "error"] = "quarantine"
    """A record that can't be read: set aside with its raw bytes, leave out, or stop; it is counted and listed in any case."""
    max_bad_fraction: Annotated[float, Field(ge=0, le=1)] = 0.001
    """Stop when a larger share of the records is bad. A share of 0.001 is judged from 1,000 records on; below that, half may be bad."""

    def check(self) -> None:
        """Raises DataError when what is named is not there; called before any work, so it only looks."""

    def ready(self, work: Path) -> Ready:
        """Fetch or unpack what must be, into a folder that survives a kill; called once, before `shards`. Most have nothing to do."""
        return Ready(self)

    def shards(self) -> list[Shard]:
        """The pieces that are read on their own, in the order of the output; the same list on every machine."""
        return [Shard("00000", None)]

    def read(self, shard: Shard) -> Iterator[Document | Rejected]:
        """One shard's documents, streamed; what can't be one is yielded as Rejected, never raised. Runs in any process."""
        raise TypeError(f"source {self.tag!r} has no read()")

    def records(self, shard: Shard) -> Iterator[Record | Rejected]:
        """The raw records, for formatters; by default the documents with their meta."""
        for item in self.read(shard):
            yield item if isinstance(item, Rejected) else {**item.meta, "id": item.id, "text": item.text}

    def records_by_file(self, shard: Shard, limit: int | None = None) -> Iterator[tuple[str, str, Record | Rejected]]:
        """(file, label, record): the raw records with where they stand; `limit` is how many of each file, or of the shard."""
        for item in islice(self.records(shard), limit):
            yield "", "", item
