"""Files of any kind in one folder: each one's format is told by its name and first bytes, and said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar, Literal

from ropewalk.core.errors import DataError
from ropewalk.data.records import Rejected
from ropewalk.data.sources.arrow import FILE_MAGIC, STREAM_MAGIC, Arrow
from ropewalk.data.sources.csv import Csv
from ropewalk.data.sources.damage import CorruptFile
from ropewalk.data.sources.file_source import FileSource, Parsed, Piece, RecordFiles, file_size
from ropewalk.data.sources.found import FoundFile, fault
from ropewalk.data.sources.json import Json
from ropewalk.data.sources.jsonl import Jsonl
from ropewalk.data.sources.opener import HEAD_BYTES, is_text, opened
from ropewalk.data.sources.packed import unsuffixed
from ropewalk.data.sources.parquet import Parquet
from ropewalk.data.sources.text import Text

NAMED: dict[str, str] = {
    **dict.fromkeys(Csv.suffixes, "csv"),
    **dict.fromkeys(Json.suffixes, "json"),
    **dict.fromkeys(Jsonl.suffixes, "jsonl"),
    **dict.fromkeys(Text.suffixes, "text"),
}
HUGGING_FACE_NOTES = ("dataset_info.json", "state.json", "dataset_dict.json")
"""What `save_to_disk` puts beside its Arrow files."""


class Files(RecordFiles, type="files"):
    """All files of a folder: JSON lines, JSON, CSV, TSV, Parquet, Arrow and plain text, packed or not, and archives of them."""

    labelled_by: ClassVar[Literal["file", "folder"]] = "folder"

    def pieces(self, file: FoundFile) -> list[Piece]:
        """Cut as the file's format is. Raises DataError for one of no known format, unless `on_corrupt` is skip."""
        if file.path.name in HUGGING_FACE_NOTES and any(file.path.parent.rglob("*.arrow")):
            return []
        name = format_of(file)
        if name:
            return [replace(piece, format=name) for piece in self._reader(name).pieces(file)]
        if self.on_corrupt == "error":
            remedy = "choose files by a pattern such as folder/*.jsonl, or set on_corrupt: skip"
            raise DataError(f"{file.path}: is of no known format", remedy=remedy)
        return [Piece(file, file_size(file), format="unknown")]

    def parse(self, piece: Piece) -> Iterator[Parsed | Rejected]:
        """As the file's format is read; a text's id and text stand where this source looks for them."""
        if piece.format == "unknown":
            raise CorruptFile("is of no known format")
        for item in self._reader(piece.format).parse(piece):
            if piece.format == "text" and isinstance(item, Parsed):
                item = replace(item, record={self.text: item.record["text"], self.id or "id": item.record["id"]})
            yield item

    def _reader(self, name: str) -> FileSource:
        policies = ("path", "on_corrupt", "bad_characters", "max_record", "max_unpacked")
        shared: dict[str, Any] = {policy: getattr(self, policy) for policy in policies}
        if name == "text":
            return Text(**shared)
        kinds: dict[str, type[RecordFiles]] = {"arrow": Arrow, "csv": Csv, "json": Json, "jsonl": Jsonl, "parquet": Parquet}
        return kinds[name](**shared, text=self.text, id=self.id)


def format_of(file: FoundFile) -> str:
    """`arrow`, `csv`, `json`, `jsonl`, `parquet` or `text` by name and first bytes, or nothing; an empty file by its name alone."""
    plain_name = unsuffixed(file.path.name.lower())
    named = next((name for suffix, name in NAMED.items() if plain_name.endswith(suffix)), "")
    if fault(file.path) or not file_size(file):
        return named or "text"
    try:
        with opened(file.path) as stream:
            head = stream.peek(HEAD_BYTES)[:HEAD_BYTES]
    except CorruptFile:
        return named
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith((FILE_MAGIC, STREAM_MAGIC)):
        return "arrow"
    if named in ("json", "jsonl"):
        return "json" if head.lstrip().startswith(b"[") else "jsonl" if _is_lines(head) else named
    if named:
        return named
    if head.lstrip().startswith(b"{") and _is_lines(head):
        return "jsonl"
    return "text" if is_text(head) else ""


def _is_lines(head: bytes) -> bool:
    """Whether the first line is an object by itself, so far as the head shows."""
    first, end, _ = head.lstrip().partition(b"\n")
    return first.startswith(b"{") and (first.rstrip().endswith(b"}") or not end)
