"""JSON files: one array of objects, also somewhere inside an object."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import ClassVar, Literal

from ropewalk.core.units import show_bytes
from ropewalk.data.records import Rejected
from ropewalk.data.sources.damage import CorruptFile
from ropewalk.data.sources.fields import BadRecord, value_at
from ropewalk.data.sources.file_source import Parsed, Piece, RecordFiles, rejected
from ropewalk.data.sources.json_text import JsonReader


class Json(RecordFiles, type="json"):
    """JSON files that hold one list of objects. A file is read whole; for large ones JSON lines are better."""

    suffixes: ClassVar[tuple[str, ...]] = (".json",)
    rows: str = ""
    """Dotted path of the list inside the file's object, such as `data.rows`; left out where the file is the list."""
    not_finite: Literal["reject", "null"] = "reject"
    """NaN and Infinity, which are not JSON: the file can't be read, or null stands in their place."""

    def parse(self, piece: Piece) -> Iterator[Parsed | Rejected]:
        """A record an item, numbered from 1; a file that is not whole JSON is damaged."""
        reader = JsonReader(self.bad_characters, self.not_finite)
        with self.opened(piece.file) as file:
            data = file.read(self.max_record + 1)
        if len(data) > self.max_record:
            raise CorruptFile(f"is larger than max_record ({show_bytes(self.max_record)}): make it JSON lines, or raise max_record")
        if not data.strip():
            return
        try:
            value = reader.parse(reader.decode(data))
        except BadRecord as bad:
            raise CorruptFile(f"is not JSON throughout: {bad.reason} {bad.detail}", len(data)) from None
        items = value_at(value, self.rows) if self.rows else value
        if not isinstance(items, list):
            raise CorruptFile(f"holds no list{f' at {self.rows}' if self.rows else ''}", len(data))
        for number, item in enumerate(items, 1):
            if isinstance(item, dict):
                yield Parsed(item, number)
            else:
                yield rejected(piece, number, BadRecord("not_an_object"), json.dumps(item).encode())
