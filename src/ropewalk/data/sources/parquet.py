"""Parquet files, read a few thousand rows at a time."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from ropewalk.data.records import Rejected
from ropewalk.data.sources.damage import CorruptFile
from ropewalk.data.sources.fields import BadRecord
from ropewalk.data.sources.file_source import PIECE_BYTES, Parsed, Piece, RecordFiles, file_size, rejected
from ropewalk.data.sources.found import FoundFile, fault

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

BATCH_ROWS = 1024


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
        import pyarrow as pa

        if not file_size(piece.file) and not fault(piece.file.path):
            return
        with _opened(piece.file) as file:
            self.fields().check(file.schema_arrow.names, piece.file.path)
            low, high = piece.groups or (0, file.metadata.num_row_groups)
            number = sum(file.metadata.row_group(group).num_rows for group in range(low))
            batches = file.iter_batches(BATCH_ROWS, row_groups=list(range(low, high)))
            while True:
                try:
                    batch = next(batches, None)
                except (pa.ArrowException, OSError) as error:
                    raise CorruptFile(f"damaged Parquet: {_first_line(error)}") from None
                if batch is None:
                    return
                for row in _rows(batch):
                    number += 1
                    yield Parsed(row, number) if isinstance(row, dict) else rejected(piece, number, row, b"")


def _opened(file: FoundFile) -> pq.ParquetFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if wrong := fault(file.path):
        raise CorruptFile(wrong)
    try:
        return pq.ParquetFile(file.path)
    except (pa.ArrowException, OSError) as error:
        raise CorruptFile(f"not a whole Parquet file: {_first_line(error)}") from None


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | BadRecord]:
    """A batch's rows; one that holds bytes that are not UTF-8 is found by halving."""
    try:
        rows = batch.to_pylist()
    except UnicodeDecodeError as error:
        if batch.num_rows == 1:
            yield BadRecord("bad_utf8", f"byte 0x{error.object[error.start]:02x}")
        else:
            half = batch.num_rows // 2
            yield from _rows(batch.slice(0, half))
            yield from _rows(batch.slice(half))
        return
    for row in rows:
        yield {name: plain(value) for name, value in row.items()}


def plain(value: Any) -> Any:
    """A cell as JSON has it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value) if isinstance(value, Decimal) else value


def _first_line(error: BaseException) -> str:
    return str(error).split("\n")[0]
