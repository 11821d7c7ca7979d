"""What suites that ask rows share: where the rows are, how many are asked, which examples stand before each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from ropewalk.core.artifact import digest, hash_file
from ropewalk.core.errors import DataError, RopewalkError
from ropewalk.data.contamination.rows import TaskRows, row_texts
from ropewalk.evaluate.rows import Row, drawn_examples, read_rows
from ropewalk.evaluate.scoring import Ids, Subject
from ropewalk.evaluate.suites.suite import Suite

TooLong = Literal["crop", "leave_out"]


def unplaced(value: Any) -> Any:
    """The same without what a recipe's texts know of their file."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, dict):
        return {str(name): unplaced(item) for name, item in value.items()}
    return [unplaced(item) for item in value] if isinstance(value, list) else value


class Asked(Suite):
    """A suite over rows of a file or of the recipe."""

    path: Path | None = None
    """JSON lines, plain or gz; give this or rows."""
    rows: Annotated[list[dict[str, Any]], BeforeValidator(unplaced)] = []
    """The rows themselves."""
    limit: int | None = Field(default=None, ge=1)
    """Only the first so many."""
    shots: int = Field(default=0, ge=0)
    """Solved examples before each item; none of them is asked."""
    shots_path: Path | None = None
    """Rows to draw the examples from; without it, those of path or rows behind the limit."""
    shots_seed: int = 0
    """Which examples are drawn; they are the same for all items."""
    between: str = "\n\n"
    """What stands between examples."""
    document: str = ""
    """A column: rows with the same value there belong to one document and are not independent; intervals draw them together."""
    bos: bool = True
    """Whether BOS stands first, as in training. lm-evaluation-harness leaves it out for GPT-2."""
    too_long: TooLong = "crop"
    """An item longer than the context loses its beginning (`crop`) or is not asked (`leave_out`); counted either way."""

    def fingerprint(self) -> Any:
        """The files' hashes."""
        for path in (self.path, self.shots_path):
            if path is not None and not path.is_file():
                read_rows(path)
        return [None if path is None else hash_file(path) for path in (self.path, self.shots_path)]

    def items(self) -> list[Row]:
        """The rows that are asked."""
        found = self._all()[: self.limit]
        if not found:
            raise DataError(f"{self.tag}: no rows to ask", remedy="give path or rows")
        return found

    def examples(self) -> list[Row]:
        """The rows that stand before each item."""
        pool = read_rows(self.shots_path) if self.shots_path else self._all()
        return drawn_examples(pool, self.items(), self.shots, self.shots_seed) if self.shots else []

    def problems(self, upstream: Mapping[str, Any]) -> list[tuple[str, str]]:
        """What is wrong with the rows, found by reading all of them."""
        try:
            for row in [*self.items(), *self.examples()]:
                self.understood(row)
        except RopewalkError as error:
            return [("path" if self.path else "rows", str(error).replace("\n  -> ", ": "))]
        return []

    def asks(self) -> TaskRows:
        """The texts of the rows that are asked."""
        name, columns = self.name or (self.path.name.partition(".")[0] if self.path else self.tag), self.asked_columns()
        if self.path is not None:
            return TaskRows(name=name, path=self.path, fields=columns, limit=self.limit)
        return TaskRows(name=name, rows=[list(row_texts(row, columns)) for row in self.rows[: self.limit]])

    def asked_columns(self) -> list[str]:
        """The columns whose texts a model reads or is to write; empty for all that hold text."""
        return []

    def understood(self, row: Row) -> Any:
        """The row as the suite reads it; raises DataError naming what is wrong with it."""
        raise TypeError(f"suite {self.tag!r} has no understood()")

    def named(self, rows: Sequence[Row]) -> tuple[list[str], list[str]]:
        """(items, clusters): an item is named by what is in its row, so that other rows never pass for the same ones."""
        names = [f"{row.place.rpartition('/')[2].rpartition(' ')[2]} {digest(dict(row.columns))[:12]}" for row in rows]
        return names, [f"{self.document} {row.text(self.document)}" for row in rows] if self.document else names

    def _all(self) -> list[Row]:
        return read_rows(self.path) if self.path else [Row(f"rows {number}", row) for number, row in enumerate(self.rows, 1)]


def encoded(subject: Subject, text: str, bos: bool) -> Ids:
    """The text's ids behind BOS; BOS alone for no text, whatever `bos` says: a context needs a token."""
    ids = subject.vocabulary.encode([text])[0]
    return np.concatenate([[subject.vocabulary.bos_id], ids]) if bos or not len(ids) else ids


def continued(subject: Subject, context: str, continuation: str, place: str) -> Ids:
    """The continuation's ids: those of context + continuation behind as many as the context has alone, as lm-evaluation-harness cuts.

    Blanks at the context's end must stand in the continuation. Raises DataError for a continuation of no token.
    """
    before, whole = subject.vocabulary.encode([context, context + continuation])
    if len(whole) <= len(before) or not continuation.strip():
        raise DataError(f"{place}: {continuation!r} adds no token to what stands before it", remedy="leave out empty choices and answers")
    return whole[len(before) :]


def parted(context: str, continuation: str) -> tuple[str, str]:
    """Blanks at the context's end go to the continuation; one is put between where there is none."""
    bare = context.rstrip(" ")
    continuation = context[len(bare) :] + continuation
    if bare and not bare.endswith("\n") and not continuation.startswith((" ", "\n")):
        continuation = f" {continuation}"
    return bare, continuation
