"""Opens a file for reading, compressed or not, by its first bytes; a file that ends early or is damaged is told from one that ends.

gz and zst are read, several members or frames one behind the other too; a UTF-8 byte order mark is skipped.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from ropewalk.data.sources.found import fault

if TYPE_CHECKING:
    from typing_extensions import Buffer

HEAD_BYTES = 4096
BUFFER_BYTES = 1 << 20
STEP_BYTES = 2048  # compressed bytes at a time: zeros grow 32,000-fold in zst, and what one step gives is in memory at once
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MAGIC = {b"\x1f\x8b": "gz", b"\x28\xb5\x2f\xfd": "zst"}
UNREAD = {b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"PK\x03\x04": "zip", b"7z\xbc\xaf": "7z"}
UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class CorruptFile(Exception):
    """A file, or the rest of one, that can't be read; `offset` is how far into the file on disk reading got."""

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.offset = offset


def compression_of(path: Path) -> str:
    """`gz`, `zst` or nothing, by the first bytes; a wrong name does not matter."""
    if fault(path):
        return ""
    with path.open("rb") as file:
        return _compression(file.read(8))


def _compression(head: bytes) -> str:
    return next((name for magic, name in MAGIC.items() if head.startswith(magic)), "")


@contextmanager
def opened(path: Path) -> Iterator[io.BufferedReader]:
    """The file's plain bytes behind its byte order mark. What can't be opened, and damage while it is read, raise CorruptFile."""
    if wrong := fault(path):
        raise CorruptFile(wrong)
    with path.open("rb") as raw, closing(_plain(path, raw)) as file:
        head = file.peek(len(BYTE_ORDER_MARK))[: len(BYTE_ORDER_MARK)]
        if head.startswith(UTF_16):
            raise CorruptFile("is UTF-16, not UTF-8")
        if head == BYTE_ORDER_MARK:
            file.read(len(BYTE_ORDER_MARK))
        yield file


def _plain(path: Path, raw: io.BufferedReader) -> io.BufferedReader:
    head = raw.peek(8)[:8]
    compression = _compression(head)
    if compression:
        return io.BufferedReader(_Unpacked(raw, compression), BUFFER_BYTES)
    for magic, name in UNREAD.items():
        if head.startswith(magic):
            raise CorruptFile(f"is a {name} file, which is not read: unpack it, or pack it as .gz or .zst")
    if path.suffix in (".gz", ".zst") and not is_text(raw.peek(HEAD_BYTES)[:HEAD_BYTES]):
        raise CorruptFile(f"is named {path.suffix} but does not begin like one")
    return raw


def is_text(head: bytes) -> bool:
    """Whether a file's first bytes look like text in UTF-8; nothing at all does not."""
    if not head or b"\0" in head:
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 3  # a character cut in half by the end of the head
    return True


class _Unpacked(io.RawIOBase):
    """All gz members or zst frames of a file as one stream; hands out what was read before it raises CorruptFile for a cut or damage."""

    def __init__(self, raw: BinaryIO, compression: str) -> None:
        self.raw = raw
        self.start, self.damage = _gz() if compression == "gz" else _zst()
        self.member: _Decompressor | None = None
        self.ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        target = memoryview(buffer)
        while not self.ready:
            block = self.raw.read(STEP_BYTES)
            if not block:
                if self.member is not None:
                    raise CorruptFile("the compressed data ends early", self.raw.tell())
                return 0
            self.ready = memoryview(self._unpacked(block))
        size = min(len(target), len(self.ready))
        target[:size] = self.ready[:size]
        self.ready = self.ready[size:]
        return size

    def _unpacked(self, block: bytes) -> bytes:
        parts = []
        try:
            while block:
                if self.member is None:
                    block = block.lstrip(b"\0")  # padding between members, as tapes have it
                    self.member = self.start() if block else None
                    continue
                parts.append(self.member.decompress(block))
                block = self.member.unused_data if self.member.eof else b""
                if self.member.eof:
                    self.member = None
        except self.damage as error:
            raise CorruptFile(f"the compressed data is damaged: {error}", self.raw.tell()) from None
        return b"".join(parts)


class _Decompressor(Protocol):
    """What zlib's and zstandard's decompression objects share."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def _gz() -> tuple[Callable[[], _Decompressor], type[Exception]]:
    return lambda: zlib.decompressobj(wbits=16 + zlib.MAX_WBITS), zlib.error


def _zst() -> tuple[Callable[[], _Decompressor], type[Exception]]:
    from zstandard import ZstdDecompressor, ZstdError

    return ZstdDecompressor().decompressobj, ZstdError
