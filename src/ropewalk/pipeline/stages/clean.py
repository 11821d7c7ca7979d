"""The clean stage: runs steps over a Corpus; what each dropped or changed, and every score, is kept beside the documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from ropewalk.core.artifact import Artifact
from ropewalk.core.errors import DataError
from ropewalk.core.ledger import Ledger, add_counts, tally, write_table
from ropewalk.core.reference import Ref
from ropewalk.core.shards import Outcome, Shard, ShardFunction
from ropewalk.data.corpus import Corpus, read_documents, write_documents
from ropewalk.data.differences import Changes
from ropewalk.data.examples import SHOWN, Examples, first_examples
from ropewalk.data.presets import spelled_out
from ropewalk.data.steps import Batch, Change, Step, as_column
from ropewalk.pipeline.stage import Context, Facts, Stage

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 2048


class Clean(Stage, type="clean"):
    """Changes texts and drops documents, step by step in the order given."""

    makes: ClassVar[type[Artifact]] = Corpus

    input: Ref[Corpus]
    """The documents."""
    steps: Annotated[list[Step], Field(min_length=1), BeforeValidator(spelled_out, json_schema_input_type=list[Step] | str)]
    """What is done to them, such as `[normalise, {type: gopher, min_words: 20}]`, or the name of a preset: fast, full."""

    def make(self, context: Context) -> Facts:
        """A Corpus with `scores/` (a column a score, a row a document, dropped ones too); DataError when nothing is left."""
        shards = context.open(self.input).shards()
        receipts = context.map(shard_function(self.tag, [context.placed(step) for step in self.steps]), shards)
        counts = add_counts([tally(0, 0, {}), *(receipt.counts for receipt in receipts)])
        if not counts["kept"]:
            reasons = sorted(((number, name[8:]) for name, number in counts.items() if name.startswith("dropped/")), reverse=True)
            told = ", ".join(f"{number:,} by {reason}" for number, reason in reasons)
            raise DataError(
                f"{context.name}: all {counts['records_in']:,} documents were dropped: {told or 'there were none'}",
                remedy=f"loosen {context.name}.steps, or look at what comes in",
            )
        examples = first_examples(receipt.metrics["examples"] for receipt in receipts)
        changes = first_examples(receipt.metrics["changes"] for receipt in receipts)
        totals = add_counts(receipt.metrics["totals"] for receipt in receipts)
        return Facts(counts, {"documents": counts["kept"], **dict(sorted(totals.items())), "examples": examples, "changes": changes})


def labels(steps: list[Step]) -> list[str]:
    """A name for each step in scores and reasons: its type, and for a second one of the same type `TYPE_2`."""
    seen: Counter[str] = Counter()
    found = []
    for step in steps:
        seen[step.tag] += 1
        found.append(step.tag if seen[step.tag] == 1 else f"{step.tag}_{seen[step.tag]}")
    return found


def shard_function(stage: str, steps: list[Step]) -> ShardFunction:
    """What cleans one file of documents."""
    return _CleanShard(stage, tuple(zip(labels(steps), steps, strict=True)))


@dataclass(frozen=True)
class _CleanShard:
    """Shard function: one file of documents."""

    stage: str
    steps: tuple[tuple[str, Step], ...]

    def __call__(self, shard: Shard, folder: Path) -> Outcome:
        import pyarrow as pa

        table = read_documents(shard.content)
        work = _Work(self.stage)
        kept = [work.cleaned(Batch(part), self.steps) for part in _slices(table)]
        result = pa.concat_tables([batch.table for batch in kept]) if kept else table
        if result.num_rows:
            write_documents(result, folder / "documents" / f"{shard.name}.parquet")
        work.ledger.write(folder / "ledger" / f"{shard.name}.parquet")
        if work.scores:
            write_table(pa.concat_tables(work.scores, promote_options="default"), folder / "scores" / f"{shard.name}.parquet")
        work.totals["text_bytes"] = _text_bytes(result)
        counts = tally(table.num_rows, result.num_rows, work.ledger.reasons())
        return Outcome(counts, {"examples": work.examples.shown, "changes": work.changes.shown, "totals": dict(work.totals)})


class _Work:
    """What comes together while a shard is cleaned."""

    def __init__(self, stage: str) -> None:
        self.ledger = Ledger(stage)
        self.examples = Examples()
        self.changes = Changes()
        self.totals: Counter[str] = Counter()
        self.scores: list[pa.Table] = []

    def cleaned(self, batch: Batch, steps: tuple[tuple[str, Step], ...]) -> Batch:
        """The documents that every step keeps, as the last step left them."""
        columns = _Columns(batch)
        rows = np.arange(len(batch))
        for label, step in steps:
            if not len(batch):
                break
            change = step.apply(batch)
            _check(change, len(batch), label)
            for rule in change.rules:
                columns.put(f"{label}.{rule.name}", rows, rule.values)
            for name, numbers in change.counts.items():
                columns.put(f"{label}.{name}", rows, np.asarray(numbers, np.float64))
                self.totals[f"{label}.{name}"] += int(np.sum(numbers))
            keep = self._judged(label, change, batch)
            if change.texts is not None:
                texts = as_column(change.texts)
                changed = batch.differs(texts)
                columns.put(f"{label}.changed", rows, changed)
                self.totals[f"{label}.changed"] += int(changed.sum())
                for row in np.flatnonzero(changed)[:SHOWN].tolist() if step.shows_changes and self.changes.wants(label) else ():
                    self.changes.add(label, batch.ids[row], batch.texts[row], texts[row].as_py())
                batch = batch.replaced(texts) if changed.any() else batch
            batch, rows = batch.where(keep), rows[keep]
        self.scores.append(columns.table(rows))
        return batch

    def _judged(self, label: str, change: Change, batch: Batch) -> NDArray[np.bool_]:
        """Which documents pass all rules; the others go to the ledger under the first that they fail."""
        keep = np.ones(len(batch), np.bool_)
        for rule in change.rules:
            for row in np.flatnonzero(keep & ~rule.keeps).tolist():
                reason, score = f"{label}.{rule.name}", float(rule.values[row])
                self.ledger.add(batch.ids[row], reason, score)
                if self.examples.wants(reason):  # else the text is not even made a Python string
                    self.examples.add(reason, batch.ids[row], batch.table["text"][row].as_py(), score)
            keep &= rule.keeps
        return keep


class _Columns:
    """A batch's scores: a column a score, NaN where a document was not judged because an earlier step dropped it."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.values: dict[str, NDArray[np.float64]] = {}

    def put(self, name: str, rows: NDArray[np.int64], values: NDArray[np.float64] | NDArray[np.bool_]) -> None:
        column = self.values.setdefault(name, np.full(len(self.batch), np.nan))
        column[rows] = values

    def table(self, kept: NDArray[np.int64]) -> pa.Table:
        """id, kept, then the scores; null where not judged."""
        import pyarrow as pa

        is_kept = np.zeros(len(self.batch), np.bool_)
        is_kept[kept] = True
        scores = {name: pa.array(column, pa.float64(), from_pandas=True) for name, column in self.values.items()}
        return pa.table({"id": self.batch.table["id"], "kept": is_kept, **scores})


def _slices(table: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, table.num_rows, BATCH_ROWS):
        yield table.slice(start, BATCH_ROWS)


def _check(change: Change, number: int, label: str) -> None:
    """A step of the user's own may have miscounted."""
    sizes = {f"rule {rule.name!r}": len(rule.values) for rule in change.rules}
    sizes |= {f"count {name!r}": len(numbers) for name, numbers in change.counts.items()}
    sizes |= {"texts": len(change.texts)} if change.texts is not None else {}
    wrong = [f"{what}: {size}" for what, size in sizes.items() if size != number]
    if wrong:
        raise DataError(f"step {label} of {number} documents: {', '.join(wrong)}", remedy="apply() answers with one entry a document")


def _text_bytes(table: pa.Table) -> int:
    import pyarrow.compute as pc

    return int(pc.sum(pc.binary_length(table["text"])).as_py() or 0)
