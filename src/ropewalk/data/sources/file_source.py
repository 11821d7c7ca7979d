"""What all sources that read files share: finding them, cutting them into shards, and the policies for damage and bad records.

A format adds `parse`, which turns one piece of a file into records; `RecordFiles` adds where text and id stand in them.
"""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import Field, PrivateAttr

from ropewalk.core.artifact import digest
from ropewalk.core.component import RUNTIME
from ropewalk.core.errors import DataError
from ropewalk.core.log import LOGGER
from ropewalk.core.shards import Shard
from ropewalk.core.units import Bytes
from ropewalk.data.records import Document, Rejected
from ropewalk.data.sources.archive import is_archive, unpack
from ropewalk.data.sources.damage import CorruptFile
from ropewalk.data.sources.fields import BadRecord, Fields
from ropewalk.data.sources.found import FoundFile, content_hash, fault, find_files
from ropewalk.data.sources.opener import opened
from ropewalk.data.sources.packed import SUFFIXES
from ropewalk.data.sources.source import Ready, Record, Source

PIECE_BYTES = 32 << 20  # a shard's worth of text: small files are read together, large ones in pieces where the format allows
PACKED = 4  # bytes of text in a packed byte, roughly
SHARD_FILES = 1000
CORRUPT = "corrupt_file"
"""The reason of the one rejected entry that stands for what could not be read of a file."""
IN_CORRUPT = "in_corrupt_file"
"""The reason of a bad record of such a file: damage that is told late makes garbage first."""
HELD = 100_000

T = TypeVar("T")


@dataclass(frozen=True)
class Piece:
    """A file or a part of it: the lines that begin at the bytes [start, stop), or the row groups [first, last)."""

    file: FoundFile
    size_bytes: int = 0
    start: int = 0
    stop: int | None = None
    groups: tuple[int, int] | None = None
    format: str = ""
    """For the source that reads several formats: which one."""


@dataclass(frozen=True)
class Parsed:
    """A record with where it stands (its line in the part, its row in the file) and the bytes it was read from, if still at hand."""

    record: Record
    where: int
    raw: bytes | str = b""


class FileSource(Source):
    """Reads files."""

    suffixes: ClassVar[tuple[str, ...]] = ()
    """The names, compression aside, that are read when a folder is named; all of them when empty."""

    labelled_by: ClassVar[Literal["file", "folder"]] = "file"
    """What documents name as their source when `name` is not set."""

    path: Annotated[Path | Annotated[list[Path], Field(min_length=1)], RUNTIME]
    """A file, a folder, a zip or tar archive, a pattern such as `data/*.jsonl.gz`, or a list of these. What counts is what the files
    hold and are called, not where they lie: a corpus is not made again because its folder moved."""
    on_corrupt: Literal["error", "skip"] = "error"
    """A file that ends early, is damaged or can't be opened: stop, or keep what could be read and list it."""
    max_record: Annotated[Bytes, Field(gt=0)] = 128 << 20
    """Longest record: a longer line is a bad record, and a longer text, row, cell or JSON file can't be read."""
    max_unpacked: Annotated[Bytes, Field(gt=0)] | None = None
    """How large a packed file may become. By default all is read that grows less than 200-fold, and 1 GiB of what grows more."""
    bad_characters: Literal["reject", "replace"] = "reject"
    """Bytes that are not UTF-8 and half surrogate pairs: the record is bad, or U+FFFD stands in their place."""

    _unpacked: dict[Path, list[FoundFile]] = PrivateAttr(default_factory=dict)

    def parse(self, piece: Piece) -> Iterator[Parsed | Rejected]:
        """A piece's records; raises CorruptFile where the file can't be read on."""
        raise TypeError(f"source {self.tag!r} has no parse()")

    def pieces(self, file: FoundFile) -> list[Piece]:
        """How a file is cut; whole, unless a format knows better."""
        return [Piece(file, text_size(file))]

    def fields(self) -> Fields:
        """Where text and id stand in a record."""
        raise TypeError(f"source {self.tag!r} has no fields()")

    def found(self) -> list[FoundFile]:
        """The files, sorted by name."""
        files = find_files(self.path if isinstance(self.path, list) else [self.path], self.suffixes)
        return [inside for file in files for inside in self._unpacked.get(file.path, [file])]

    def ready(self, work: Path) -> Ready:
        """With its archives unpacked, in which files are found as in folders."""
        archives = [file for file in self.found() if is_archive(file)]
        if not archives:
            return Ready(self)
        unpacked = {
            file.path: unpack(file, work / f"{number:05d}", self.suffixes, self.max_unpacked, skip=self.on_corrupt == "skip")
            for number, file in enumerate(archives)
        }
        copy = self.model_copy()
        copy._unpacked = unpacked  # noqa: SLF001
        return Ready(copy)

    def label(self, file: FoundFile) -> str:
        """What a file's documents name as their source."""
        return self.name or (file.label if self.labelled_by == "file" else file.folder)

    def check(self) -> None:
        """Raises DataError when a path leads nowhere, or a file can't be opened and `on_corrupt` is error."""
        wrong = [f"{file.path}: {why}" for file in self.found() if (why := fault(file.path))]
        if wrong and self.on_corrupt == "error":
            more = f"\nand {len(wrong) - 5} more" if len(wrong) > 5 else ""
            raise DataError("\n".join(wrong[:5]) + more, remedy="mend or remove it, or set on_corrupt: skip")

    def fingerprint(self) -> Any:
        """Number, size and hash of the files, with their names; also does what `check` does, for it comes before any work."""
        self.check()
        files = self.found()
        facts = [[file.name, self.label(file), content_hash(file.path)] for file in files]
        return {"files": len(files), "bytes": sum(map(file_size, files)), "hash": digest(facts)}

    def shards(self) -> list[Shard]:
        """Pieces of some 32 MiB; says which files are empty, and what format each has where that was to be found out."""
        files = self.found()
        empty = [file.name for file in files if not fault(file.path) and file_size(file) == 0]
        if empty:
            LOGGER.warning("%d empty %s: %s", len(empty), "file" if len(empty) == 1 else "files", ", ".join(empty[:5]))
        pieces = [piece for file in files for piece in self.pieces(file)]
        formats = Counter({piece.file: piece.format for piece in pieces}.values())
        if any(formats):
            LOGGER.info("%d files: %s", len(files), ", ".join(f"{number} {name}" for name, number in sorted(formats.items())))
        return _bundled(pieces)

    def opened(self, file: FoundFile) -> AbstractContextManager[io.BufferedReader]:
        """A file's plain bytes, as far as `max_unpacked` allows."""
        return opened(file.path, self.max_unpacked)

    def records(self, shard: Shard) -> Iterator[Record | Rejected]:
        """The records as the files have them."""
        yield from self._settled(shard, lambda piece: lambda item: item.record)

    def records_by_file(self, shard: Shard, limit: int | None = None) -> Iterator[tuple[str, str, Record | Rejected]]:
        """The records with their file's name and label; under a limit a large file's first part alone is read."""
        for piece in shard.content:
            if limit is None or not (piece.start or (piece.groups and piece.groups[0])):
                items = self.records(replace(shard, content=(piece,)))
                yield from ((piece.file.name, self.label(piece.file), item) for item in islice(items, limit))

    def read(self, shard: Shard) -> Iterator[Document | Rejected]:
        """The records as documents."""
        yield from self._settled(shard, self._as_document)

    def _as_document(self, piece: Piece) -> Callable[[Parsed], Document | Rejected]:
        fields, label, license = self.fields(), self.label(piece.file), self.license  # noqa: A001

        def turned(item: Parsed) -> Document | Rejected:
            try:
                return fields.document(item.record, label, license)
            except BadRecord as bad:
                return rejected(piece, item.where, bad, item.raw or json.dumps(item.record, ensure_ascii=False, default=str))

        return turned

    def _settled(self, shard: Shard, turn: Callable[[Piece], Callable[[Parsed], T | Rejected]]) -> Iterator[T | Rejected]:
        """Every record of a shard, turned, under `on_corrupt`: bad records of a file that proves damaged are put down to that."""
        for piece in shard.content:
            number = 0
            turned, held = turn(piece), list[Rejected]()
            try:
                if piece.file.damage:
                    raise CorruptFile(piece.file.damage)
                for item in self.parse(piece):
                    number += 1
                    result = item if isinstance(item, Rejected) else turned(item)
                    if self.on_corrupt == "error" or not isinstance(result, Rejected):
                        yield result
                    else:
                        held.append(result)
                        if len(held) == HELD:  # garbage behind the damage is less than this, or the file is hopeless by itself
                            yield from held
                            held.clear()
            except CorruptFile as error:
                message = f"truncated after {number:,} records: {error} (byte {error.offset:,} of the file)" if number else str(error)
                if self.on_corrupt == "error":
                    raise DataError(
                        f"{piece.file.path}: {message}",
                        remedy="get the file again, or set on_corrupt: skip to keep what could be read",
                    ) from None
                held = [replace(item, reason=IN_CORRUPT, witness=f"{item.witness} ({item.reason})") for item in held]
                held.append(Rejected(CORRUPT, f"{piece.file.name}: {message}"))
            yield from held


class RecordFiles(FileSource):
    """Reads files of records with named fields."""

    text: str = "text"
    """The field that holds the text; a dotted path such as `page.body` reaches into objects and lists."""
    id: str | None = None
    """The field that holds the id. When left out, `id` is used where a record has one, else the text's hash."""

    def fields(self) -> Fields:
        """As `text` and `id` say."""
        return Fields(self.text, self.id)


def rejected(piece: Piece, where: int, bad: BadRecord, raw: bytes | str) -> Rejected:
    """A bad record with its place, `file:line`, and what is wrong."""
    detail = f": {bad.detail}" if bad.detail else ""
    where += _lines_before(piece.file.path, piece.start) if piece.start else 0
    return Rejected(
        bad.reason, f"{piece.file.name}:{where}{detail}", raw if isinstance(raw, bytes) else raw.encode("utf-8", "surrogatepass")
    )


@lru_cache(maxsize=64)
def _lines_before(path: Path, offset: int) -> int:
    """How many lines end before a byte: counted only when a line of a later part is bad."""
    number = 0
    with path.open("rb") as file:
        while offset > 0 and (block := file.read(min(offset, 1 << 20))):
            number += block.count(b"\n")
            offset -= len(block)
    return number


def file_size(file: FoundFile) -> int:
    """A file's size on disk; 0 for what can't be read."""
    return 0 if fault(file.path) else file.path.stat().st_size


def text_size(file: FoundFile) -> int:
    """A file's size, as a guess of the size unpacked where its name says that it is packed."""
    return file_size(file) * (PACKED if file.path.suffix in SUFFIXES else 1)


def _bundled(pieces: Sequence[Piece]) -> list[Shard]:
    """Small pieces together, in order; each shard is named after its number and first file."""
    bundles: list[list[Piece]] = []
    filled = 0
    for piece in pieces:
        if not bundles or filled + piece.size_bytes > PIECE_BYTES or len(bundles[-1]) >= SHARD_FILES:
            bundles.append([])
            filled = 0
        bundles[-1].append(piece)
        filled += piece.size_bytes
    return [
        Shard(f"{index:05d}-{_plain(bundle[0].file.label)}", tuple(bundle), sum(piece.size_bytes for piece in bundle))
        for index, bundle in enumerate(bundles)
    ]


def _plain(label: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]+", "-", label)[:40].strip("-") or "file"
