"""The filter stage: keeps the documents for which a condition on their columns is true."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import field_validator

from ropewalk.core.artifact import Artifact
from ropewalk.core.errors import DataError
from ropewalk.core.ledger import Entry
from ropewalk.core.reference import Ref
from ropewalk.core.shards import Outcome, Shard
from ropewalk.data.condition import Condition
from ropewalk.data.corpus import Corpus, read_documents
from ropewalk.data.scores import find_scores, read_scores
from ropewalk.data.selection import selected_facts, write_selected
from ropewalk.pipeline.stage import Context, Facts, Stage

if TYPE_CHECKING:
    import pyarrow as pa

FALSE, UNKNOWN = "condition", "condition_unknown"
SHOWN_CHARACTERS = 60


class Filter(Stage, type="filter"):
    """Keeps documents by a condition. Columns are id, text, source, license, `meta.NAME` and `score.NAME` of the cleaning before it."""

    makes: ClassVar[type[Artifact]] = Corpus

    input: Ref[Corpus]
    """The documents."""
    keep: str
    """The condition, such as `source == "books" and length(text) > 200 and score.length.min_words < 500`; a missing value fails it."""

    @field_validator("keep")
    @classmethod
    def _readable(cls, text: str) -> str:
        Condition.parse(text)
        return text

    def make(self, context: Context) -> Facts:
        """A Corpus; DataError for a score that no stage before it left, or when nothing is kept."""
        condition = Condition.parse(self.keep)
        corpus = context.open(self.input)
        folders = [artifact.path for artifact in context.find(Corpus)]
        folders = [*(path for path in folders if path != corpus.path), corpus.path]
        try:
            scores = find_scores(condition.scores(), folders)
            receipts = context.map(_Choose(self.tag, condition, tuple(scores.items())), corpus.shards())
        except DataError as error:
            raise DataError(f"{context.name}.keep: {error.message}", remedy=error.remedy) from None
        counts, metrics = selected_facts(receipts)
        if not counts["kept"]:
            unknown = counts.get(f"dropped/{UNKNOWN}", 0)
            lacking = f" (for {unknown:,} of them a value is missing)" if unknown else ""
            raise DataError(
                f"{context.name}: the condition is true for none of {counts['records_in']:,} documents{lacking}",
                remedy="`ropewalk preview` of the stage before it shows what the columns hold",
            )
        return Facts(counts, metrics)


@dataclass(frozen=True)
class _Choose:
    """Shard function: keeps the rows for which the condition is true."""

    stage: str
    condition: Condition
    scores: tuple[tuple[str, Path], ...]

    def __call__(self, shard: Shard, folder: Path) -> Outcome:
        table = read_documents(shard.content)
        columns = {name: column_of(name, table, dict(self.scores), shard.name) for name in self.condition.columns}
        verdict = self.condition.evaluate(columns.__getitem__)
        told = {name: column for name, column in columns.items() if name not in ("id", "text")}
        known = verdict.is_valid().to_numpy(zero_copy_only=False)

        def entry(row: int, id_: str) -> Entry:
            values = ", ".join(f"{name}={_short(column[row].as_py())}" for name, column in told.items())
            return Entry(id_, FALSE if known[row] else UNKNOWN, witness=values)

        kept = verdict.fill_null(False).to_numpy(zero_copy_only=False).astype(np.bool_)
        return write_selected(self.stage, table, kept, entry, folder, shard.name)


def _short(value: str | float | bool | None) -> str:
    return f"{value:.6g}" if isinstance(value, float) else repr(value)[:SHOWN_CHARACTERS]


def column_of(name: str, table: pa.Table, scores: dict[str, Path], shard: str) -> pa.Array:
    """A column of the documents in one piece: their own, of their meta, or a score."""
    from ropewalk.data.condition_values import meta_column

    head, _, rest = name.partition(".")
    if head == "meta":
        return meta_column(table["meta"].to_pylist(), rest)
    if head == "score":
        return read_scores(scores[rest], rest, shard, table["id"].combine_chunks())
    return table[name].combine_chunks()
