"""From a record to a document: which field is the text, which the id; the rest is kept as meta. Nothing is reinterpreted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ropewalk.core.errors import DataError
from ropewalk.data.records import Document

_MISSING = object()


class BadRecord(Exception):
    """A record that can't be used: `reason` is one of `REASONS`, `detail` what exactly."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


REASONS = {
    "bad_id": "its id is neither text nor a whole number",
    "bad_utf8": "it is not UTF-8",
    "columns": "it has not as many columns as the header",
    "duplicate_key": "a key is there twice",
    "in_corrupt_file": "it is in a file that turned out to be damaged",
    "lone_surrogate": "it holds half a surrogate pair (\\ud83d without its other half)",
    "no_id": "it has no id",
    "no_text": "it has no text",
    "not_an_object": "it is JSON, but not an object",
    "not_csv": "it is not CSV",
    "not_finite": "it holds NaN or Infinity, which are not JSON",
    "not_json": "it is not JSON",
    "text_not_string": "its text is not a string",
    "too_long": "it is longer than max_record",
}
"""Why a record is bad, in words that go behind its place."""


@dataclass(frozen=True)
class Fields:
    """Where a record's text and id stand, as dotted paths; without an id path, `id` is used where there is one."""

    text: str
    id: str | None = None

    def document(self, record: Mapping[str, Any], source: str, license: str) -> Document:  # noqa: A002
        """Raises BadRecord."""
        text = record.get(self.text, _MISSING)
        if text is _MISSING:
            text = value_at(record, self.text)
        if text is _MISSING:
            raise BadRecord("no_text", f"no {self.text!r} among {', '.join(list(record)[:8])}")
        if not isinstance(text, str):
            raise BadRecord("text_not_string", f"{self.text!r} is {_named(text)}")
        meta = without(record, self.text)
        given = record.get(self.id or "id", _MISSING)
        if given is _MISSING and self.id is not None:
            given = value_at(record, self.id)
        if given is _MISSING or given is None or given == "":
            if self.id is not None:
                raise BadRecord("no_id", f"no {self.id!r}")
            return Document(content_id(text), text, source, license, meta)
        if isinstance(given, bool) or not isinstance(given, str | int):
            raise BadRecord("bad_id", f"{self.id or 'id'!r} is {_named(given)}")
        return Document(str(given), text, source, license, without(meta, self.id or "id"))

    def check(self, names: Sequence[str], place: Path) -> None:
        """Raises DataError when a table's columns hold neither text nor the id that was asked for."""
        for path in (self.text, self.id):
            if path is not None and path not in names and path.partition(".")[0] not in names:
                raise DataError(
                    f"{place}: there is no column {path!r}; there are {', '.join(names)}",
                    remedy=f"name the right one: {'id' if path == self.id else 'text'}: COLUMN",
                )


def content_id(text: str) -> str:
    """The id of a text that came without one: 32 hex digits of its bytes' hash."""
    import xxhash

    return xxhash.xxh3_128_hexdigest(text.encode())


def value_at(record: Any, path: str) -> Any:
    """What stands at a dotted path, list positions included (`messages.0.content`); a key with that very name comes first."""
    if isinstance(record, Mapping) and path in record:
        return record[path]
    if isinstance(record, list) and path.isdecimal() and int(path) < len(record):
        return record[int(path)]
    head, dot, rest = path.partition(".")
    if not dot:
        return _MISSING
    if isinstance(record, Mapping) and head in record:
        return value_at(record[head], rest)
    if isinstance(record, list) and head.isdecimal() and int(head) < len(record):
        return value_at(record[int(head)], rest)
    return _MISSING


def without(record: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """The record without what stands at a dotted path; what stands inside a list stays."""
    if path in record:
        others = dict(record)
        del others[path]
        return others
    head, dot, rest = path.partition(".")
    below = record.get(head)
    return {**record, head: without(below, rest)} if dot and isinstance(below, Mapping) else record


def _named(value: Any) -> str:
    """A value's JSON type, for messages."""
    names = {bool: "a boolean", int: "a number", float: "a number", list: "a list", dict: "an object", type(None): "null"}
    return names.get(type(value), type(value).__name__)
