"""The sizes of a Parquet file's pages as their own headers say: a file's footer may claim anything, these must fit to be unpacked."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ropewalk.data.sources.damage import CorruptFile

if TYPE_CHECKING:
    import pyarrow.parquet as pq

HEADER_BYTES = 64 << 10  # a page's header, with the statistics in it
DICTIONARY_PAGE = 2
MAX_DEPTH = 8


@dataclass(frozen=True)
class Column:
    """A column of a row group: its largest page and dictionary, and the most bytes a value takes in the mean of a page."""

    path: str
    page_bytes: int
    dictionary_bytes: int
    value_bytes: int


def columns_of(path: Path, metadata: pq.FileMetaData, group: int) -> list[Column]:
    """Every column of a row group; raises CorruptFile for pages that are none."""
    row_group = metadata.row_group(group)
    with path.open("rb") as file:
        return [_column(file, row_group.column(index)) for index in range(row_group.num_columns)]


def _column(file: io.BufferedReader, chunk: Any) -> Column:
    begins = [offset for offset in (chunk.dictionary_page_offset, chunk.data_page_offset) if offset]
    place = min(begins) if begins else 0
    end = place + chunk.total_compressed_size
    page = dictionary = value = values = 0
    while place < end and values < chunk.num_values:
        file.seek(place)
        head = file.read(HEADER_BYTES)
        try:
            fields, used = _struct(head, 0, 0)
            kind, unpacked, packed = fields[1], fields[2], fields[3]
            if unpacked < 0 or packed < 0:
                raise CorruptFile("damaged Parquet: a page of less than nothing", place)
        except (IndexError, KeyError, TypeError):
            raise CorruptFile("damaged Parquet: a page without a header", place) from None
        if kind == DICTIONARY_PAGE:
            dictionary = max(dictionary, unpacked)
        else:
            number = max(1, (fields.get(5) or fields.get(8) or {}).get(1, 1))
            values += number
            value = max(value, unpacked // number)
        page = max(page, unpacked)
        place += used + packed
    return Column(chunk.path_in_schema, page, dictionary, value)


def _struct(data: bytes, place: int, depth: int) -> tuple[dict[int, Any], int]:
    """(fields by number, end) of a struct in Thrift's compact form; raises IndexError or TypeError for what is none."""
    if depth > MAX_DEPTH:
        raise TypeError
    found: dict[int, Any] = {}
    number = 0
    while True:
        head = data[place]
        place += 1
        if head == 0:
            return found, place
        kind, step = head & 15, head >> 4
        if step:
            number += step
        else:
            number, place = _zigzag(data, place)
        found[number], place = (kind == 1, place) if kind in (1, 2) else _value(data, place, kind, depth)


def _value(data: bytes, place: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in (1, 2, 3):
        return data[place], place + 1
    if kind in (4, 5, 6):
        return _zigzag(data, place)
    if kind == 7:
        return None, place + 8
    if kind == 8:
        size, place = _varint(data, place)
        return None, place + size
    if kind in (9, 10):
        head = data[place]
        place += 1
        size = head >> 4
        if size == 15:
            size, place = _varint(data, place)
        for _ in range(size):
            _, place = _value(data, place, head & 15, depth + 1)
        return None, place
    if kind == 12:
        return _struct(data, place, depth + 1)
    raise TypeError


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
        shift += 7
        if shift > 63:
            raise TypeError


def _zigzag(data: bytes, place: int) -> tuple[int, int]:
    value, place = _varint(data, place)
    return (value >> 1) ^ -(value & 1), place
