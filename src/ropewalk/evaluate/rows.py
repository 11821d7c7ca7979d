"""Rows of a task: JSON lines read with their line numbers, templates filled from a row's columns, examples drawn beside the items."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ropewalk.core.errors import DataError
from ropewalk.core.load import nearest
from ropewalk.core.seed import numpy_generator

_COLUMN = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True)
class Row:
    """One row; `place` is `file:line`, or `rows N` for one written into the recipe."""

    place: str
    columns: Mapping[str, Any]

    def get(self, column: str) -> Any:
        """Raises DataError naming the row and the nearest column."""
        if column not in self.columns:
            raise DataError(f"{self.place}: there is no column {column!r}", remedy=nearest(column, sorted(self.columns)))
        return self.columns[column]

    def text(self, column: str) -> str:
        """The column as text; a number is written out, anything else is refused."""
        value = self.get(column)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise DataError(f"{self.place}: {column} is {type(value).__name__}, needs a text")
        return str(value)

    def texts(self, column: str) -> list[str]:
        """The column as a list of texts."""
        value = self.get(column)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise DataError(f"{self.place}: {column} needs a list of texts")
        return value

    def filled(self, template: str) -> str:
        """The template with `{column}` replaced; other braces stay as they are."""
        return _COLUMN.sub(lambda match: self.text(match[1]), template)


def read_rows(path: Path) -> list[Row]:
    """JSON lines of objects, plain or gz; raises DataError naming the line that is wrong."""
    if not path.is_file():
        raise DataError(f"{path}: no such file", remedy="name a file of JSON lines, or the folder that a shipped task's rows lie in")
    opened = gzip.open if path.suffix == ".gz" else open
    found, number = [], 0
    try:
        with opened(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    found.append(Row(f"{path}:{number}", _object(line, f"{path}:{number}")))
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{path}:{number + 1}: can't be read: {str(error).splitlines()[0]}") from None
    return found


def _object(line: str, place: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: not a row of JSON: {str(error).splitlines()[0]}") from None
    if not isinstance(row, dict):
        raise DataError(f"{place}: not a row of JSON: not an object")
    return row


def gold_index(row: Row, column: str, choices: int) -> int:
    """The right choice from 0: a number, a letter (A is the first) or digits as text."""
    value = row.get(column)
    if isinstance(value, str) and len(value) == 1 and value.isalpha() and value.isascii():
        index = ord(value.upper()) - ord("A")
    elif isinstance(value, str) and value.isdigit():
        index = int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        index = value
    else:
        raise DataError(f"{row.place}: {column} is {value!r}, needs a number from 0 or a letter")
    if not 0 <= index < choices:
        raise DataError(f"{row.place}: {column} {value!r} is none of {choices} choices")
    return index


def drawn_examples(pool: Sequence[Row], items: Sequence[Row], number: int, seed: int) -> list[Row]:
    """`number` rows of the pool that are none of the items, the same for the same seed; DataError when there are too few."""
    asked = {json.dumps(row.columns, sort_keys=True) for row in items}
    free = [row for row in pool if json.dumps(row.columns, sort_keys=True) not in asked]
    if len(free) < number:
        raise DataError(
            f"{number} examples are wanted, and {len(free)} rows are left that are not asked",
            remedy="set a limit, so that rows are left over, or name a file with shots_path",
        )
    places = numpy_generator(seed, "examples").permutation(len(free))[:number]
    return [free[place] for place in places.tolist()]
