"""JSON lines: an object a line. Large plain files are read in several pieces at once."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar, Literal

from ropewalk.core.errors import DataError
from ropewalk.data.records import Rejected
from ropewalk.data.sources.fields import BadRecord
from ropewalk.data.sources.file_source import PIECE_BYTES, Parsed, Piece, RecordFiles, file_size, rejected, text_size
from ropewalk.data.sources.found import FoundFile
from ropewalk.data.sources.json_text import JsonReader
from ropewalk.data.sources.opener import compression_of, opened

LARGE_LINE_BYTES = 8 << 20  # of longer lines the raw bytes are not kept beside the record


class Jsonl(RecordFiles, type="jsonl"):
    """JSON lines, plain or packed as gz or zst: `{"id": "a", "text": "..."}` on each line; other fields are kept as meta."""

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
        """A record a line; blank lines are none."""
        with opened(piece.file.path) as file:
            for number, line in lines(file, piece.start, piece.stop):
                raw = line if len(line) <= LARGE_LINE_BYTES else b""
                try:
                    text = self._reader.decode(line)
                except BadRecord as bad:
                    yield rejected(piece, number, bad, line)
                    continue
                del line  # one of 100 MiB is not held twice
                try:
                    record = self._reader.parse_object(text)
                except BadRecord as bad:
                    if bad.reason == "not_json" and number == 1 and text.lstrip().startswith("["):
                        raise DataError(f"{piece.file.path}: is one JSON array, not an object a line", remedy="use type: json") from None
                    yield rejected(piece, number, bad, raw or text.encode("utf-8", "surrogatepass"))
                    continue
                del text
                yield Parsed(record, number, raw)

    @cached_property
    def _reader(self) -> JsonReader:
        return JsonReader(self.bad_characters, self.not_finite)


def lines(file: io.BufferedReader, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, bytes]]:
    """(number from 1, line without its end) of the lines that begin in [start, stop) and are not blank; only LF and CRLF end one."""
    number = 0
    if start:
        file.seek(start - 1)
        rest = len(file.readline()) - 1  # of the line that began before
        start += rest
        number = 1 if rest else 0
    while stop is None or start < stop:
        line = file.readline()
        if not line:
            return
        start += len(line)
        number += 1
        line = line.rstrip(b"\r\n")
        if line and not line.isspace():
            held = [line]
            del line  # the caller decides how long a long line lives
            yield number, held.pop()
