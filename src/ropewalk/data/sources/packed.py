"""Decompressors of one shape for gz, zst, bz2 and xz: what one call gives is bounded, however far the data grows."""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, Protocol

from ropewalk.core.units import show_bytes
from ropewalk.data.sources.damage import CorruptFile

if TYPE_CHECKING:
    from typing_extensions import Buffer

MAGIC = {b"\x1f\x8b": "gz", b"\x28\xb5\x2f\xfd": "zst", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz"}
SUFFIXES = (".gz", ".zst", ".bz2", ".xz")
STEP_BYTES = 64 << 10
OUTPUT_BYTES = 1 << 20
ZST_STEP_BYTES = 1024  # zstandard can't bound what it gives: zeros grow 32,000-fold
ZST_WARY_BYTES = 64  # and once they were seen to, by so little at a time
XZ_MEMORY_BYTES = 100 << 20  # `xz -9` needs 65 MiB; a file may ask for 4 GiB
BOMB_RATIO = 200
BOMB_BYTES = 1 << 30


def unsuffixed(name: str) -> str:
    """`a.jsonl` for `a.jsonl.gz`."""
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name


class Growth:
    """Watches how far packed data grows: what grows more than 200-fold is a bomb beyond 1 GiB, and all is beyond a limit that was set."""

    def __init__(self, limit_bytes: int | None = None) -> None:
        self.limit_bytes = limit_bytes
        self.unpacked_bytes = 0

    def add(self, size: int, packed_bytes: int) -> None:
        """Raises CorruptFile when it is too much; `packed_bytes` is how far into the packed data reading got."""
        self.unpacked_bytes += size
        if self.limit_bytes is not None:
            if self.unpacked_bytes > self.limit_bytes:
                raise CorruptFile(f"grows beyond max_unpacked ({show_bytes(self.limit_bytes)})", packed_bytes)
        elif self.unpacked_bytes > BOMB_BYTES and self.unpacked_bytes > BOMB_RATIO * max(packed_bytes, 1):
            grown = self.unpacked_bytes // max(packed_bytes, 1)
            raise CorruptFile(
                f"grows {grown:,}-fold, beyond {show_bytes(self.unpacked_bytes)}: taken for a bomb; set max_unpacked if it is none",
                packed_bytes,
            )


class Unpacked(io.RawIOBase):
    """All members or frames of a packed file as one stream; hands out what was read before it raises CorruptFile for a cut or damage."""

    def __init__(self, raw: BinaryIO, compression: str, growth: Growth | None = None) -> None:
        self.raw = raw
        self.start, self.damage = _STARTS[compression]()
        self.growth = growth or Growth()
        self.member: _Member | None = None
        self.rest = b""
        self.ready = memoryview(b"")
        self.failed: CorruptFile | None = None

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        """How far into the packed file reading got: where damage is."""
        return self.raw.tell()

    def readinto(self, buffer: Buffer, /) -> int:
        target = memoryview(buffer)
        while not self.ready:
            if self.failed:
                raise self.failed
            block = self._next()
            if block is None:
                return 0
            self.ready = memoryview(block)
        size = min(len(target), len(self.ready))
        target[:size] = self.ready[:size]
        self.ready = self.ready[size:]
        return size

    def _next(self) -> bytes | None:
        """Some more plain bytes, perhaps none; None at the end."""
        if self.member is None or self.member.needs_input:
            self.rest = self.rest or self.raw.read(STEP_BYTES)
            if not self.rest:
                if self.member is not None:
                    raise CorruptFile("the compressed data ends early", self.raw.tell())
                return None
        if self.member is None:
            self.rest = self.rest.lstrip(b"\0")  # padding between members, as tapes have it
            self.member = self.start() if self.rest else None
            return b""
        rest, self.rest = self.rest, b""
        try:
            plain = self.member.decompress(rest, OUTPUT_BYTES)
        except self.damage as error:
            raise CorruptFile(f"the compressed data is damaged: {error}", self.raw.tell()) from None
        if self.member.eof:
            self.rest = self.member.unused_data
            self.member = None
        try:
            self.growth.add(len(plain), self.raw.tell())
        except CorruptFile as error:
            self.failed = error
        return plain


class _Member(Protocol):
    """What bz2's and lzma's decompression objects share."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Gz:
    """zlib's in that shape."""

    def __init__(self) -> None:
        self.inner = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self.inner.eof

    @property
    def unused_data(self) -> bytes:
        return self.inner.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        plain = self.inner.decompress(self.inner.unconsumed_tail + data, max_length)
        self.needs_input = len(plain) < max_length and not self.inner.unconsumed_tail
        return plain


class _Zst:
    """zstandard's in that shape: fed so little at a time that it can't give much."""

    def __init__(self) -> None:
        from zstandard import ZstdDecompressor

        self.inner = ZstdDecompressor().decompressobj()
        self.waiting = memoryview(b"")
        self.step = ZST_STEP_BYTES

    @property
    def eof(self) -> bool:
        return self.inner.eof

    @property
    def needs_input(self) -> bool:
        return not self.waiting

    @property
    def unused_data(self) -> bytes:
        return self.inner.unused_data + bytes(self.waiting)

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        if data:
            self.waiting = memoryview(data)
        parts: list[bytes] = []
        size = 0
        while self.waiting and not self.inner.eof and size < max_length:
            step, self.waiting = self.waiting[: self.step], self.waiting[self.step :]
            parts.append(self.inner.decompress(step))
            size += len(parts[-1])
            self.step = ZST_WARY_BYTES if len(parts[-1]) > max_length else ZST_STEP_BYTES if size < max_length // 8 else self.step
        return b"".join(parts)


def _gz() -> tuple[Callable[[], _Member], type[Exception] | tuple[type[Exception], ...]]:
    return _Gz, zlib.error


def _zst() -> tuple[Callable[[], _Member], type[Exception] | tuple[type[Exception], ...]]:
    from zstandard import ZstdError

    return _Zst, ZstdError


def _bz2() -> tuple[Callable[[], _Member], type[Exception] | tuple[type[Exception], ...]]:
    return bz2.BZ2Decompressor, (OSError, ValueError)


def _xz() -> tuple[Callable[[], _Member], type[Exception] | tuple[type[Exception], ...]]:
    return lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, XZ_MEMORY_BYTES), lzma.LZMAError


_STARTS = {"gz": _gz, "zst": _zst, "bz2": _bz2, "xz": _xz}
