"""CSV and TSV files with a header line."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from ropewalk.core.errors import DataError
from ropewalk.core.units import show_bytes
from ropewalk.data.records import Rejected
from ropewalk.data.sources.damage import CorruptFile
from ropewalk.data.sources.fields import BadRecord
from ropewalk.data.sources.file_source import Parsed, Piece, RecordFiles, rejected
from ropewalk.data.sources.json_text import JsonReader
from ropewalk.data.sources.opener import offset_of

MAX_CELL_CHARACTERS = 1 << 30
CELL_BYTES = 8  # of memory that a byte of a row takes while it is parsed


class Csv(RecordFiles, type="csv"):
    """CSV and TSV files: a record a row, every cell text (`007` stays). A row may be as long as an eighth of `max_record`."""

    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".tsv")
    delimiter: Annotated[str, Field(max_length=1)] = ""
    """What stands between cells; by default a tab in files named .tsv, else a comma."""
    columns: list[str] = []
    """The columns' names, for files without a header line."""

    @model_validator(mode="after")
    def _has_text(self) -> Self:
        if self.columns and self.text not in self.columns:
            raise ValueError(f"{self.text!r} is not among columns")
        return self

    def parse(self, piece: Piece) -> Iterator[Parsed | Rejected]:
        """A record a row, at the line on which it ends; an unclosed quote, which would swallow the rest of a file, is damage."""
        csv.field_size_limit(MAX_CELL_CHARACTERS)
        delimiter = self.delimiter or ("\t" if ".tsv" in piece.file.path.suffixes else ",")
        with self.opened(piece.file) as file:
            source = _Lines(file, self.max_record // CELL_BYTES)
            rows = csv.reader(source, delimiter=delimiter, strict=True)
            header = self.columns
            while True:
                begun = source.number + 1
                source.begin_row()
                try:
                    row = next(rows, None)
                    if row is None:
                        return
                    if not row:
                        continue
                    row = [self._text(cell) for cell in row]
                    if not header:
                        header = self._checked(row, piece)
                        continue
                    if len(row) != len(header):
                        raise BadRecord("columns", f"{len(row)} instead of {len(header)}")
                    yield Parsed(dict(zip(header, row, strict=True)), source.number, b"".join(source.raw))
                except csv.Error as error:
                    if source.ended:
                        raise CorruptFile(f"a quote opened on line {begun} is never closed", offset_of(file)) from None
                    yield rejected(piece, source.number, BadRecord("not_csv", str(error)), b"".join(source.raw))
                except BadRecord as bad:
                    yield rejected(piece, source.number, bad, b"".join(source.raw))

    def _text(self, cell: str) -> str:
        """The cell, once its bytes are seen to be UTF-8."""
        if cell.isascii():
            return cell
        return JsonReader(self.bad_characters).decode(cell.encode("utf-8", "surrogateescape"))

    def _checked(self, header: list[str], piece: Piece) -> list[str]:
        """A file's header, or DataError when it can't be the right one."""
        twice = [name for name, number in Counter(header).items() if number > 1]
        if twice:
            raise DataError(f"{piece.file.path}: the column {twice[0]!r} is there twice", remedy="rename one, or give columns: [...]")
        self.fields().check(header, piece.file.path)
        return header


class _Lines:
    """Lines as text for the csv module; keeps the bytes of those of the current row, and whether there are no more."""

    def __init__(self, file: io.BufferedReader, longest: int) -> None:
        self.file = file
        self.longest = longest
        self.row_bytes = 0
        self.number = 0
        self.raw: list[bytes] = []
        self.ended = False

    def begin_row(self) -> None:
        self.raw.clear()
        self.row_bytes = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.file.readline(self.longest + 1)
        self.row_bytes += len(line)
        if self.row_bytes > self.longest:
            what = f"a row of more than {show_bytes(self.longest)} begins at line {self.number - len(self.raw) + 1}"
            raise CorruptFile(f"{what}: a quote may be open; or raise max_record, which is {CELL_BYTES} times that", offset_of(self.file))
        if not line:
            self.ended = True
            raise StopIteration
        self.number += 1
        self.raw.append(line)
        return line.decode("utf-8", "surrogateescape")
