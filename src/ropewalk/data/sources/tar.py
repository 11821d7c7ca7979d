"""Reads tar archives from a stream, header by header: plain, GNU's long names and pax records, each of bounded size."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ropewalk.data.sources.damage import CorruptFile

HEADER_BYTES = 512
MAX_NOTE_BYTES = 1 << 20  # a long name or a pax record
BLOCK_BYTES = 1 << 20
FILES, NOTES = (b"0", b"\0", b"7"), (b"L", b"K", b"x", b"g")

Kind = Literal["file", "folder", "other"]


@dataclass(frozen=True)
class Member:
    """A member of an archive; its blocks must be taken before the next member is asked for, or are passed over."""

    name: str
    kind: Kind
    blocks: Iterator[bytes]


def tar_members(stream: io.BufferedReader) -> Iterator[Member]:
    """Every member; raises CorruptFile where the archive is damaged or ends early."""
    notes: dict[str, str] = {}
    begun = False
    while True:
        header = _exactly(stream, HEADER_BYTES, "ends without its end mark")
        if not header.strip(b"\0"):
            return
        try:
            info = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        except (tarfile.HeaderError, ValueError) as error:
            raise CorruptFile(f"damaged tar archive: {error}" if begun else "is no tar archive") from None
        begun = True
        if info.size < 0:
            raise CorruptFile(f"damaged tar archive: a member of {info.size} bytes")
        if info.type in NOTES:
            if info.size > MAX_NOTE_BYTES:
                raise CorruptFile("a name in it is longer than 1 MiB")
            data = b"".join(_data(stream, info.size))
            if info.type == b"L":
                notes["path"] = data.rstrip(b"\0").decode("utf-8", "surrogateescape")
            elif info.type == b"x":
                notes |= _pax(data)
            continue
        if any(name.startswith("GNU.sparse") for name in notes) or info.type == b"S":
            raise CorruptFile(f"the member {info.name!r} is a sparse file, which is not read here")
        size = int(notes["size"]) if notes.get("size", "").isdecimal() else info.size
        kind: Kind = "file" if info.type in FILES else "folder" if info.type == b"5" else "other"
        blocks = _data(stream, size if info.type not in (b"1", b"2") else 0)
        yield Member(notes.get("path") or info.name, kind, blocks)
        for _ in blocks:  # what was not taken
            pass
        notes = {}


def _data(stream: io.BufferedReader, size: int) -> Iterator[bytes]:
    left, padding = size, -size % HEADER_BYTES
    while left:
        block = stream.read1(min(left, BLOCK_BYTES))
        if not block:
            raise CorruptFile("ends within a member")
        left -= len(block)
        yield block
    if padding:
        _exactly(stream, padding, "ends within a member")


def _exactly(stream: io.BufferedReader, size: int, otherwise: str) -> bytes:
    data = b""
    while len(data) < size and (block := stream.read1(size - len(data))):
        data += block
    if len(data) < size:
        raise CorruptFile(otherwise)
    return data


def _pax(data: bytes) -> dict[str, str]:
    """`LENGTH KEY=VALUE` lines, where LENGTH counts them whole."""
    found = {}
    while match := re.match(rb"(\d{1,7}) ", data):
        length = int(match[1])
        if length <= match.end() or length > len(data):
            break
        key, _, value = data[match.end() : length - 1].partition(b"=")
        found[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        data = data[length:]
    return found
