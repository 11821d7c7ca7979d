"""JSON lines: an object a line. Large plain files are read in several pieces at once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar, Literal

from ropewalk.core.errors import DataError
from ropewalk.core.units import show_bytes
from ropewalk.data.records import Rejected
from ropewalk.data.sources.fields import BadRecord
from ropewalk.data.sources.file_source import PIECE_BYTES, Parsed, Piece, RecordFiles, file_size, rejected, text_size
from ropewalk.data.sources.found import FoundFile
from ropewalk.data.sources.json_text import JsonReader
from ropewalk.data.sources.lines import runs_of_lines
from ropewalk.data.sources.opener import compression_of

LARGE_LINE_BYTES = 8 << 20  # of longer lines the raw bytes are not kept beside the record


class Jsonl(RecordFiles, type="jsonl"):
    """JSON lines, plain or packed: `{"id": "a", "text": "..."}` on each line; other fields are kept as meta."""

    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".ndjson")
    not_finite: Literal["reject", "null"] = "reject"
    """NaN and Infinity, which are not JSON: the record is bad, or null stands in their place."""

    def pieces(self, file: FoundFile) -> list[Piece]:
        """Parts of 32 MiB of a plain file; a packed one is whole."""
        size = file_size(file)
        if size <= PIECE_BYTES or compression_of(file.path):
            return [Piece(file, text_size(file))]
        starts = range(0, size, PIECE_BYTES)
        return [Piece(file, min(PIECE_BYTES, size - start), start, start + PIECE_BYTES) for start in starts]

    def parse(self, piece: Piece) -> Iterator[Parsed | Rejected]:
        """A record a line; blank lines are none, and only LF and CRLF end one."""
        with self.opened(piece.file) as file:
            for first, lines, complete in runs_of_lines(file, piece.start, piece.stop, self.max_record):
                if not complete:
                    yield rejected(piece, first, BadRecord("too_long", f"over {show_bytes(self.max_record)}"), bytes(lines[0]))
                    continue
                lines.reverse()
                for number in range(first, first + len(lines)):
                    line = lines.pop()
                    if not line or line.isspace():
                        continue
                    try:
                        text = self._reader.decode(line)
                    except BadRecord as bad:
                        yield rejected(piece, number, bad, bytes(line))
                        continue
                    raw = bytes(line) if len(line) <= LARGE_LINE_BYTES else b""
                    del line  # one of 100 MiB is not held twice
                    try:
                        record = self._reader.parse_object(text)
                    except BadRecord as bad:
                        if bad.reason == "not_json" and number == 1 and text.lstrip().startswith("["):
                            where = piece.file.path
                            raise DataError(f"{where}: is one JSON array, not an object a line", remedy="use type: json") from None
                        yield rejected(piece, number, bad, raw.rstrip(b"\r") or text)
                        continue
                    del text
                    yield Parsed(record, number, raw)

    @cached_property
    def _reader(self) -> JsonReader:
        return JsonReader(self.bad_characters, self.not_finite)
