"""Plain text: a document a file, a paragraph, or whatever stands between separators."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ropewalk.core.units import show_bytes
from ropewalk.data.records import Rejected
from ropewalk.data.sources.fields import BadRecord, Fields
from ropewalk.data.sources.file_source import FileSource, Parsed, Piece, rejected
from ropewalk.data.sources.json_text import JsonReader
from ropewalk.data.sources.lines import KEPT_BYTES, bounded_lines
from ropewalk.data.sources.opener import BUFFER_BYTES


class Text(FileSource, type="text"):
    """Plain text files in UTF-8. A document's id is its file's name, and its number in it where there are several."""

    suffixes: ClassVar[tuple[str, ...]] = (".txt", ".text", ".md", ".rst")
    labelled_by: ClassVar[Literal["file", "folder"]] = "folder"
    per: Literal["file", "paragraph", "line"] = "file"
    """What makes a document; paragraphs stand between blank lines."""
    separator: Annotated[str, Field(min_length=1)] | None = None
    """Text that stands between documents, such as `<|endoftext|>`; then leave `per` as it is."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.separator is not None and self.per != "file":
            raise ValueError("cut by per or by separator, not by both")
        return self

    def fields(self) -> Fields:
        """The records are made here, so their fields are known."""
        return Fields("text", "id")

    def parse(self, piece: Piece) -> Iterator[Parsed | Rejected]:
        """Pieces of text that are not blank, as they stand in the file."""
        reader = JsonReader(self.bad_characters)
        with self.opened(piece.file) as file:
            number = 0
            for line, raw, complete in self._cut(file):
                if raw.isspace() or not raw:
                    continue
                number += 1
                name = piece.file.name if self.per == "file" and self.separator is None else f"{piece.file.name}#{number}"
                try:
                    if not complete:
                        raise BadRecord("too_long", f"over {show_bytes(self.max_record)}")
                    yield Parsed({"id": name, "text": reader.decode(raw)}, line, raw)
                except BadRecord as bad:
                    yield rejected(piece, line, bad, raw)

    def _cut(self, file: io.BufferedReader) -> Iterator[tuple[int, bytes, bool]]:
        """(line on which it begins, bytes, whether these are all) of each piece."""
        if self.separator is not None:
            yield from separated(file, self.separator.encode(), self.max_record)
        elif self.per == "file":
            yield from separated(file, b"", self.max_record)
        elif self.per == "line":
            yield from ((number, line.rstrip(b"\r\n"), complete) for number, line, complete in bounded_lines(file, self.max_record))
        else:
            yield from paragraphs(file, self.max_record)


def paragraphs(file: io.BufferedReader, longest: int) -> Iterator[tuple[int, bytes, bool]]:
    """What stands between blank lines; of one that is longer than allowed, its beginning."""
    held: list[bytes] = []
    begun, size, whole = 1, 0, True
    for number, line, complete in bounded_lines(file, longest):
        if line.isspace():
            yield begun, b"".join(held).rstrip(b"\r\n"), whole
            held, begun, size, whole = [], number + 1, 0, True
        elif whole:
            size += len(line)
            whole = complete and size <= longest
            if whole:
                held.append(line)
            else:
                held = [b"".join([*held, line])[:KEPT_BYTES]]
    yield begun, b"".join(held).rstrip(b"\r\n"), whole


def separated(file: io.BufferedReader, separator: bytes, longest: int) -> Iterator[tuple[int, bytes, bool]]:
    """What stands between separators, without the line ends beside them; all at once where there is none."""
    rest, begun, seen, whole = bytearray(), 1, 0, True
    while block := file.read1(BUFFER_BYTES):
        rest += block
        while separator and (end := rest.find(separator, seen)) >= 0:
            part = bytes(rest[:end])
            yield begun + _leading_lines(part), part.strip(b"\r\n"), whole and end <= longest
            begun += part.count(b"\n") + separator.count(b"\n")
            del rest[: end + len(separator)]
            seen, whole = 0, True
        if len(rest) > longest + len(separator):
            kept = max(KEPT_BYTES, len(separator))  # its end may be half a separator
            begun += rest[:-kept].count(b"\n")
            whole = False
            del rest[:-kept]
        seen = max(0, len(rest) - len(separator) + 1)  # a separator may begin in this block and end in the next
    part = bytes(rest)
    yield begun + _leading_lines(part), part.strip(b"\r\n") if separator else part, whole and len(part) <= longest


def _leading_lines(part: bytes) -> int:
    return part[: len(part) - len(part.lstrip(b"\r\n"))].count(b"\n")
