"""Opens a file for reading, compressed or not, by its first bytes; a file that ends early or is damaged is told from one that ends.

gz, zst, bz2 and xz are read, several members or frames one behind the other too; a UTF-8 byte order mark is skipped.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ropewalk.data.sources.damage import CorruptFile
from ropewalk.data.sources.found import fault
from ropewalk.data.sources.packed import MAGIC, SUFFIXES, Growth, Unpacked

HEAD_BYTES = 4096
BUFFER_BYTES = 1 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
UNREAD = {b"PK\x03\x04": "zip", b"7z\xbc\xaf": "7z"}
UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def compression_of(path: Path) -> str:
    """`gz`, `zst`, `bz2`, `xz` or nothing, by the first bytes; a wrong name does not matter."""
    if fault(path):
        return ""
    with path.open("rb") as file:
        return _compression(file.read(8))


def _compression(head: bytes) -> str:
    return next((name for magic, name in MAGIC.items() if head.startswith(magic)), "")


@contextmanager
def opened(path: Path, max_unpacked: int | None = None) -> Iterator[io.BufferedReader]:
    """The file's plain bytes behind its byte order mark. What can't be opened, and damage while it is read, raise CorruptFile."""
    if wrong := fault(path):
        raise CorruptFile(wrong)
    with io.BufferedReader(path.open("rb", 0), BUFFER_BYTES) as raw, closing(plain_stream(path, raw, Growth(max_unpacked))) as file:
        head = file.peek(len(BYTE_ORDER_MARK))[: len(BYTE_ORDER_MARK)]
        if head.startswith(UTF_16):
            raise CorruptFile("is UTF-16, not UTF-8")
        if head == BYTE_ORDER_MARK:
            file.read(len(BYTE_ORDER_MARK))
        yield file


def plain_stream(path: Path, raw: io.BufferedReader[Any], growth: Growth) -> io.BufferedReader:
    """A file's plain bytes, from its first one."""
    head = raw.peek(8)[:8]
    compression = _compression(head)
    if compression:
        return io.BufferedReader(Unpacked(raw, compression, growth), BUFFER_BYTES)
    for magic, name in UNREAD.items():
        if head.startswith(magic):
            raise CorruptFile(f"is a {name} file, which is not read here: unpack it, or name it .{name}")
    if path.suffix in SUFFIXES and not is_text(raw.peek(HEAD_BYTES)[:HEAD_BYTES]):
        raise CorruptFile(f"is named {path.suffix} but does not begin like one")
    return raw


def offset_of(file: io.BufferedReader) -> int:
    """How far into the file on disk reading got."""
    raw = file.raw
    return raw.raw.tell() if isinstance(raw, Unpacked) else file.tell()


def is_text(head: bytes) -> bool:
    """Whether a file's first bytes look like text in UTF-8; nothing at all does not."""
    if not head or b"\0" in head:
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 3  # a character cut in half by the end of the head
    return True
