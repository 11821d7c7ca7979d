"""Plain text: a document a file, a paragraph, or whatever stands between separators."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ropewalk.data.records import Rejected
from ropewalk.data.sources.fields import BadRecord, Fields
from ropewalk.data.sources.file_source import FileSource, Parsed, Piece, rejected
from ropewalk.data.sources.json_text import JsonReader
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
            for line, raw in self._cut(file):
                if raw.isspace() or not raw:
                    continue
                number += 1
                name = piece.file.name if self.per == "file" and self.separator is None else f"{piece.file.name}#{number}"
                try:
                    yield Parsed({"id": name, "text": reader.decode(raw)}, line, raw)
                except BadRecord as bad:
                    yield rejected(piece, line, bad, raw)

    def _cut(self, file: io.BufferedReader) -> Iterator[tuple[int, bytes]]:
        """(line on which it begins, bytes) of each piece."""
        if self.separator is not None:
            yield from separated(file, self.separator.encode())
        elif self.per == "file":
            yield 1, b"".join(iter(lambda: file.read(BUFFER_BYTES), b""))
        elif self.per == "line":
            yield from ((number, line.rstrip(b"\r\n")) for number, line in enumerate(file, 1))
        else:
            yield from paragraphs(file)


def paragraphs(file: io.BufferedReader) -> Iterator[tuple[int, bytes]]:
    """What stands between blank lines."""
    held: list[bytes] = []
    begun = 1
    for number, line in enumerate(file, 1):
        if line.isspace():
            yield begun, b"".join(held).rstrip(b"\r\n")
            held, begun = [], number + 1
        else:
            held.append(line)
    yield begun, b"".join(held).rstrip(b"\r\n")


def separated(file: io.BufferedReader, separator: bytes) -> Iterator[tuple[int, bytes]]:
    """What stands between separators, without the line ends beside them."""
    rest, begun, seen = bytearray(), 1, 0
    while block := file.read(BUFFER_BYTES):
        rest += block
        while (end := rest.find(separator, seen)) >= 0:
            part = bytes(rest[:end])
            yield begun + _leading_lines(part), part.strip(b"\r\n")
            begun += part.count(b"\n") + separator.count(b"\n")
            del rest[: end + len(separator)]
            seen = 0
        seen = max(0, len(rest) - len(separator) + 1)  # a separator may begin in this block and end in the next
    yield begun + _leading_lines(rest), bytes(rest.strip(b"\r\n"))


def _leading_lines(part: bytes | bytearray) -> int:
    return part[: len(part) - len(part.lstrip(b"\r\n"))].count(b"\n")
