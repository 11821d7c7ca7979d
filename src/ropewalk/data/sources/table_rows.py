"""Rows of Arrow tables as plain records, few at a time however much of one text they repeat."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ropewalk.data.sources.fields import BadRecord

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_BYTES = 16 << 20


def bounded(batch: pa.RecordBatch) -> Iterator[tuple[pa.RecordBatch, int]]:
    """(part of the batch, its bytes), such that texts that stand once in the file and a thousand times in the rows stay few at a time."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    sizes = np.full(batch.num_rows, batch.nbytes // max(1, batch.num_rows), np.int64)
    for column in batch.columns:
        if pa.types.is_dictionary(column.type) and len(column.dictionary):
            lengths = pc.fill_null(pc.binary_length(column.dictionary).take(column.indices), 0)
            sizes += lengths.to_numpy(zero_copy_only=False).astype(np.int64)
    ends = np.cumsum(sizes)
    begin = 0
    while begin < batch.num_rows:
        before = int(ends[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, before + BATCH_BYTES, "right")))
        yield batch.slice(begin, end - begin), int(ends[end - 1]) - before
        begin = end


def records_of(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | BadRecord]:
    """A batch's rows; one that holds bytes that are not UTF-8 is found by halving."""
    try:
        rows = batch.to_pylist()
    except UnicodeDecodeError as error:
        if batch.num_rows == 1:
            yield BadRecord("bad_utf8", f"byte 0x{error.object[error.start]:02x}")
        else:
            half = batch.num_rows // 2
            yield from records_of(batch.slice(0, half))
            yield from records_of(batch.slice(half))
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
