"""Evaluation rows whose texts must not be in a training corpus: named files, or the rows of a recipe's suites."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from ropewalk.core.artifact import hash_file
from ropewalk.core.component import Component
from ropewalk.core.errors import DataError

ASKED_FIRST = ("context", "passage", "query", "question", "prompt")
SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
MOST_TEXTS = 16
LABEL = re.compile(r"\s*[A-Z][a-z]{0,11}:\s+")  # `Question: ` is the task's wording: where the text comes from has no such word


@dataclass(frozen=True)
class Item:
    """One row of an evaluation task: each text is what a model is asked and one of the answers behind it."""

    task: str
    number: int
    texts: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.task}#{self.number}"


class TaskRows(Component):
    """The rows of one evaluation task, or of each file of a folder one."""

    name: str = ""
    """What the task is called in ledger and report; the file's name when left out."""
    path: Path | None = None
    """JSON lines, plain, gz or zst, or a folder of such files, a task each."""
    rows: list[list[str]] = []
    """The texts of each row, in place of a file."""
    fields: list[str] = []
    """The fields that are joined to a row's text, in this order. When left out: all that hold text; first those whose names begin
    with context, passage, query, question or prompt."""
    limit: int | None = Field(default=None, ge=1)
    """Only the first so many rows of a file."""

    def fingerprint(self) -> Any:
        """The files' hashes."""
        return None if self.path is None else {path.name: hash_file(path) for path in self._files()}

    def items(self) -> Iterator[Item]:
        """Raises DataError naming the line that is no row."""
        for number, texts in enumerate(self.rows, 1):
            yield Item(self.name, number, tuple(texts))
        for path in self._files():
            task = path.name.partition(".jsonl")[0]
            task = self.name if self.name and path == self.path else f"{self.name}/{task}" if self.name else task
            for number, row in _read(path, self.limit):
                found = row_texts(row, self.fields)
                if not found:
                    what = f"no text in {', '.join(self.fields)}" if self.fields else "no field holds text"
                    raise DataError(f"{path}:{number}: {what}; there are {', '.join(row) or 'no fields'}")
                yield Item(task, number, found)

    def _files(self) -> list[Path]:
        if self.path is None:
            return []
        if self.path.is_dir():
            found = sorted(path for path in self.path.iterdir() if path.name.endswith(SUFFIXES))
            if not found:
                raise DataError(f"{self.path}: no file that ends in {', '.join(SUFFIXES)}")
            return found
        if not self.path.is_file():
            raise DataError(f"{self.path}: no such file")
        return [self.path]


def row_texts(row: dict[str, Any], fields: Sequence[str] = ()) -> tuple[str, ...]:
    """Its texts joined in order; where a field is a list, a text for each of its entries (for each combination, up to MOST_TEXTS)."""
    names = list(fields) or sorted(row, key=lambda name: not name.lower().startswith(ASKED_FIRST))
    chosen: list[list[str]] = []
    for name in names:
        value = row.get(name)
        entries = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        texts = [entry for entry in entries if isinstance(entry, str) and entry.strip()]
        if texts and (fields or not name.lower().endswith("id")):
            chosen.append(texts)
    count = 1
    for place, texts in enumerate(chosen):
        count *= len(texts)
        if count > MOST_TEXTS:
            return (*row_joined(chosen[:place]), *itertools.chain.from_iterable(chosen[place:]))
    return row_joined(chosen)


def row_joined(chosen: list[list[str]]) -> tuple[str, ...]:
    """One text for each way of taking an entry of each list, without a label such as `Question:` in front."""
    texts = [" ".join(parts) for parts in itertools.product(*chosen)] if chosen else []
    return tuple(text[label.end() :] if (label := LABEL.match(text)) else text for text in texts)


def _read(path: Path, limit: int | None) -> Iterator[tuple[int, dict[str, Any]]]:
    from ropewalk.data.sources.damage import CorruptFile
    from ropewalk.data.sources.opener import opened

    number = 0
    try:
        with opened(path) as file:
            for line in file:
                if not line.strip():
                    continue
                if limit is not None and number == limit:
                    return
                number += 1
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise DataError(f"{path}: row {number} is not an object")
                yield number, row
    except (ValueError, CorruptFile) as error:
        raise DataError(f"{path}: after row {number}: {error}", remedy="evaluation rows are JSON lines in UTF-8") from None
