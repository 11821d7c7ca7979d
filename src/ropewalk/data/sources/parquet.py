"""Parquet files, read a few thousand rows at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from ropewalk.core.units import show_bytes
from ropewalk.data.records import Rejected
from ropewalk.data.sources.damage import CorruptFile
from ropewalk.data.sources.file_source import PIECE_BYTES, Parsed, Piece, RecordFiles, file_size, rejected
from ropewalk.data.sources.found import FoundFile, fault
from ropewalk.data.sources.packed import Growth
from ropewalk.data.sources.parquet_pages import columns_of
from ropewalk.data.sources.table_rows import BATCH_BYTES, bounded, records_of

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

BATCH_ROWS = 1024
FOLDED_BYTES = 64 << 10  # a column with a larger dictionary is kept folded: a page of 1 MB may stand for 18 GiB of text
BUFFER_BYTES = 1 << 20


class Parquet(RecordFiles, type="parquet"):
    """Parquet files: a record a row. Dates become ISO text in meta, decimals text, bytes base64, NaN null."""

    suffixes: ClassVar[tuple[str, ...]] = (".parquet",)

    def pieces(self, file: FoundFile) -> list[Piece]:
        """Row groups of some 32 MiB together."""
        size = file_size(file)
        if size <= PIECE_BYTES:
            return [Piece(file, size)]
        try:
            groups = _opened(file).metadata.num_row_groups
        except CorruptFile:  # said when it is read, where the policy is known
            return [Piece(file, size)]
        parts = min(groups, math.ceil(size / PIECE_BYTES)) or 1
        edges = [groups * part // parts for part in range(parts + 1)]
        return [Piece(file, size // parts, groups=(low, high)) for low, high in pairwise(edges)]

    def parse(self, piece: Piece) -> Iterator[Parsed | Rejected]:
        """A record a row, numbered from 1 in the whole file."""
        if not file_size(piece.file) and not fault(piece.file.path):
            return
        growth = Growth(self.max_unpacked)
        with _opened(piece.file) as file:
            self.fields().check(file.schema_arrow.names, piece.file.path)
            low, high = piece.groups or (0, file.metadata.num_row_groups)
            number = sum(file.metadata.row_group(group).num_rows for group in range(low))
        for group in range(low, high):
            for batch in self._batches(piece.file, group):
                for part, part_bytes in bounded(batch):
                    for row in records_of(part):
                        number += 1
                        yield Parsed(row, number) if isinstance(row, dict) else rejected(piece, number, row, b"")
                    growth.add(part_bytes, piece.size_bytes)

    def _batches(self, found: FoundFile, group: int) -> Iterator[pa.RecordBatch]:
        """A row group's batches of so few rows that they are small, whatever the file claims."""
        import pyarrow as pa

        with _opened(found) as plain:
            columns = columns_of(found.path, plain.metadata, group)
        if wide := [column for column in columns if column.page_bytes > self.max_record]:
            raise CorruptFile(f"the column {wide[0].path!r} has a page of {show_bytes(wide[0].page_bytes)}, more than max_record")
        folded = [column.path for column in columns if column.dictionary_bytes > FOLDED_BYTES]
        rows_bytes = sum(column.value_bytes + column.dictionary_bytes * ("." in column.path) for column in columns)
        size = max(1, min(BATCH_ROWS, BATCH_BYTES // max(1, rows_bytes)))
        with _opened(found, folded) as file:
            batches = file.iter_batches(size, row_groups=[group])
            while True:
                try:
                    batch = next(batches, None)
                except (pa.ArrowException, OSError) as error:
                    raise CorruptFile(f"damaged Parquet: {_first_line(error)}") from None
                if batch is None:
                    return
                yield batch


def _opened(file: FoundFile, folded: list[str] | None = None) -> pq.ParquetFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if wrong := fault(file.path):
        raise CorruptFile(wrong)
    try:
        return pq.ParquetFile(file.path, read_dictionary=folded, buffer_size=BUFFER_BYTES, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise CorruptFile(f"not a whole Parquet file: {_first_line(error)}") from None


def _first_line(error: BaseException) -> str:
    return str(error).split("\n")[0]
