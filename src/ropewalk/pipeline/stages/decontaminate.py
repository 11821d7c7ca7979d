"""The decontaminate stage: finds evaluation items in training documents by the runs of words they share, and drops, masks or reports."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from ropewalk.core.artifact import Artifact
from ropewalk.core.errors import DataError
from ropewalk.core.ledger import Ledger, add_counts, tally, write_table
from ropewalk.core.reference import Ref
from ropewalk.core.shards import Outcome, Shard
from ropewalk.core.units import show_bytes
from ropewalk.data.contamination.rows import Item, TaskRows
from ropewalk.data.corpus import Corpus, read_documents, write_documents
from ropewalk.data.examples import SHOWN, Shown
from ropewalk.pipeline.stage import Context, Facts, Stage
from ropewalk.pipeline.stages.evaluate import Evaluate

Action = Literal["drop", "mask", "report"]
WITNESS_CHARACTERS = 500
AROUND_BYTES, SHOWN_BYTES = 80, 400
REASONS: Mapping[Action, str] = {"drop": "contaminated", "mask": "masked", "report": "found"}


class Decontaminate(Stage, type="decontaminate"):
    """Keeps evaluation items out of a corpus: documents that share runs of words with one are dropped or masked, or only reported.

    Words are runs of letters, digits and `_`, whatever their case, punctuation and white space; what a hash finds is compared word for
    word. Each match is in the ledger with the item and the words, and in `matches/` with its place.
    """

    makes: ClassVar[type[Artifact]] = Corpus

    input: Ref[Corpus]
    """The documents."""
    suites: Literal["all", "none"] | list[str] = "all"
    """Which evaluate stages of this recipe name the tasks: all of them, or those listed."""
    against: list[TaskRows] = []
    """Evaluation rows besides the suites', such as `{path: eval/arc_easy.jsonl.gz}` or a folder of files."""
    action: Action = "drop"
    """What happens to a document with an item: `drop` it, `mask` the words that are the item's, or only `report` it."""
    ngram: int = Field(default=13, ge=2, le=64)
    """Words in a run."""
    least: int = Field(default=8, ge=2, le=64)
    """A text of fewer than `ngram` words counts where all of it stands, from so many words on; shorter ones can't be told from chance."""
    min_runs: int = Field(default=1, ge=1)
    """How many different runs of an item a document must hold (all, where the item has fewer)."""
    min_share: float = Field(default=0.0, ge=0.0, le=1.0)
    """And which share of the item's runs."""
    common: int = Field(default=10, ge=1)
    """A run that more items share than this is their format, such as instructions, and doesn't count."""
    allow: list[str] = []
    """What is no contamination: passages whose runs don't count, at least as long as one, or items by their name, such as `arc_easy#17`."""
    mask_text: str = "[removed]"
    """What stands in place of masked words; must hold a word, so that the text before and after can't join to a new match."""

    @model_validator(mode="after")
    def _fits(self) -> Decontaminate:
        if self.least > self.ngram:
            raise PydanticCustomError("least", "least must be at most ngram ({ngram})", {"ngram": self.ngram})
        if not any(character.isascii() and character.isalnum() for character in self.mask_text):
            raise PydanticCustomError("mask_text", "mask_text must hold a word")
        short = [entry for entry in self.allow if "#" not in entry and len(entry.split()) < self.least]
        if short:
            what = {"entry": short[0], "least": self.least}
            raise PydanticCustomError("allow", "{entry} allows nothing: a passage is no shorter than `least` ({least}) words", what)
        return self

    def settled(self, stages: Mapping[str, Stage]) -> Stage:
        """With the rows of the suites in `against`, so that key and resolved recipe say what was compared."""
        if self.suites == "none":
            return self
        asked = [
            rows
            for name, stage in stages.items()
            if isinstance(stage, Evaluate) and (self.suites == "all" or name in self.suites)
            for suite in stage.suites
            if (rows := suite.asks())
        ]
        missing = [name for name in self.suites if not isinstance(stages.get(name), Evaluate)] if self.suites != "all" else []
        known = [*self.against, *(rows for place, rows in enumerate(asked) if rows not in asked[:place] and rows not in self.against)]
        return self.model_copy(update={"against": known, "suites": missing or "none"})

    def problems(self, upstream: Mapping[str, Stage | Artifact]) -> list[tuple[str, str]]:
        found = [("suites", f"there is no evaluate stage {name!r}") for name in self.suites] if self.suites != "none" else []
        if not self.against and not found:
            what = "nothing to compare with: no suite of this recipe brings questions of its own"
            found.append(("against", f"{what}; name files of evaluation rows"))
        return found

    def make(self, context: Context) -> Facts:
        """A Corpus; DataError when no item can be compared or no document is left."""
        from ropewalk.data.contamination.match import warm

        items = list(_named_apart(self.against))
        index, left_out = self.indexed(items)
        known = np.bincount(index.part_item, index.part_runs(), len(items)) > 0
        if not known.any():
            raise DataError(
                f"{context.name}: none of {len(items):,} evaluation items has {self.least} words of its own",
                remedy=f"set {context.name}.least lower, or look at the rows' fields",
            )
        size = show_bytes(index.size_bytes)
        context.log.info("%s: %d of %d evaluation items in %s a process", context.name, known.sum(), len(items), size)
        warm(index)
        context.work.mkdir(parents=True, exist_ok=True)
        index.save(context.work / "index.npz")
        scan = _ScanShard(self.tag, self.action, self.min_runs, self.min_share, self.mask_text, context.work / "index.npz")
        receipts = context.map(scan, context.open(self.input).shards())
        _index.cache_clear()
        counts = add_counts([tally(0, 0, {}), *(receipt.counts for receipt in receipts)])
        if not counts["kept"]:
            raise DataError(f"{context.name}: all {counts['records_in']:,} documents were dropped", remedy="look at its ledger's witnesses")
        tasks = _by_task(items, known, (receipt.metrics["items"] for receipt in receipts))
        found = sum(task["documents"] for task in tasks.values())
        context.log.info(
            "%s: %d evaluation items stand in documents, %d matches", context.name, sum(t["found"] for t in tasks.values()), found
        )
        metrics = {
            "documents": counts["kept"],
            "text_bytes": sum(receipt.metrics["text_bytes"] for receipt in receipts),
            "items": len(items),
            "items_compared": int(known.sum()),
            "items_allowed": left_out,
            "tasks": tasks,
            "examples": _most_doubtful(receipt.metrics["examples"] for receipt in receipts),
        }
        return Facts(counts, metrics)

    def indexed(self, items: list[Item]) -> tuple[Any, int]:
        """The items' index without what is allowed, and how many items `allow` named."""
        from ropewalk.data.contamination.index import make_index

        names = {item.name for item in items}
        passages = [passage for passage in self.allow if passage not in names]
        allowed = set(self.allow) & names
        asked = [Item(item.task, item.number, ()) if item.name in allowed else item for item in items]
        index = make_index(asked, self.ngram, self.least, self.common)
        return (index.allowing(passages) if passages else index), len(allowed)


def _named_apart(against: Iterable[TaskRows]) -> Iterator[Item]:
    """The rows of all; a task whose name an earlier entry has used is called NAME_2 and so on."""
    used: dict[str, int] = {}
    for rows in against:
        seen: set[str] = set()
        for item in rows.items():
            if item.task not in seen:
                seen.add(item.task)
                used[item.task] = used.get(item.task, 0) + 1
            turn = used[item.task]
            yield item if turn == 1 else dataclasses.replace(item, task=f"{item.task}_{turn}")


@functools.lru_cache(maxsize=1)
def _index(path: Path, modified: int) -> Any:
    from ropewalk.data.contamination.index import Index

    return Index.load(path)


@dataclass(frozen=True)
class _ScanShard:
    """Shard function: one file of documents."""

    stage: str
    action: Action
    min_runs: int
    min_share: float
    mask_text: str
    place: Path

    def __call__(self, shard: Shard, folder: Path) -> Outcome:
        import pyarrow as pa

        from ropewalk.data.contamination.match import Match, masked, matches
        from ropewalk.data.dedup.hash import pieces

        index = _index(self.place, self.place.stat().st_mtime_ns)
        table = read_documents(shard.content)
        found: dict[int, list[Match]] = {}
        first = 0
        for texts in pieces(table["text"]):
            for match in matches(index, texts, self.min_runs, self.min_share):
                found.setdefault(first + match.row, []).append(match)
            first += len(texts)
        told = _Told(index, Ledger(self.stage), REASONS[self.action])
        for row, own in found.items():
            told.add(table["id"][row].as_py(), table["text"][row].as_py().encode(), own)
        kept = np.ones(table.num_rows, np.bool_)
        if self.action == "drop":
            kept[list(found)] = False
        elif self.action == "mask" and found:
            texts_: list[str] = table["text"].to_pylist()
            for row, own in found.items():
                spans = [span for match in own for span in match.spans]
                texts_[row] = masked(texts_[row].encode(), spans, self.mask_text.encode()).decode()
            table = table.set_column(table.schema.get_field_index("text"), "text", pa.array(texts_, pa.large_string()))
        result = table.filter(pa.array(kept)) if not kept.all() else table
        if result.num_rows:
            write_documents(result, folder / "documents" / f"{shard.name}.parquet")
        told.write(folder, shard.name)
        dropped = told.ledger.reasons() if self.action == "drop" else {}
        return Outcome(tally(table.num_rows, int(kept.sum()), dropped), {**told.metrics(), "text_bytes": _text_bytes(result)})


class _Told:
    """What is said of a shard's matches: the ledger's line a document, a row a match, examples, and which items were found."""

    def __init__(self, index: Any, ledger: Ledger, reason: str) -> None:
        self.index, self.ledger, self.reason = index, ledger, reason
        self.rows: list[dict[str, Any]] = []
        self.examples: Shown = {}
        self.items: Counter[str] = Counter()

    def add(self, id_: str, text: bytes, own: list[Any]) -> None:
        """A document's matches, the fullest first; the ledger names that one."""
        for match in own:
            task, number = self.index.items[match.item]
            start, end = match.longest
            words = text[start:end].decode()
            self.items[f"{task}#{number}"] += 1
            numbers = {"runs": match.found, "known": match.known, "share": match.share, "start": start, "end": end}
            self.rows.append({"id": id_, "task": task, "number": number, **numbers, "words": words})
        best = own[0]
        task, number = self.index.items[best.item]
        start, end = best.longest
        witness = f"{task}#{number}: {' '.join(text[start:end].decode().split())}"
        self.ledger.add(id_, f"{self.reason}.{task}", best.share, witness[:WITNESS_CHARACTERS])
        around = (text[max(start - AROUND_BYTES, 0) : start], text[start:end][:SHOWN_BYTES], text[end : end + AROUND_BYTES])
        before, inside, after = (part.decode("utf-8", "ignore") for part in around)
        shown = {"id": id_, "text": f"{before}»{inside}«{after}", "score": best.share, "witness": f"{task}#{number}"}
        self.examples.setdefault(f"{self.reason}.{task}", []).append(shown)

    def write(self, folder: Path, name: str) -> None:
        import pyarrow as pa

        self.ledger.write(folder / "ledger" / f"{name}.parquet")
        if self.rows:
            write_table(pa.Table.from_pylist(self.rows), folder / "matches" / f"{name}.parquet")

    def metrics(self) -> dict[str, Any]:
        return {"examples": _most_doubtful([self.examples]), "items": dict(self.items)}


def _most_doubtful(shards: Iterable[Shown]) -> Shown:
    """Of each reason the documents that hold the least of their item: where false alarms are, if there are any."""
    merged: Shown = {}
    for shown in shards:
        for reason, rows in shown.items():
            merged.setdefault(reason, []).extend(rows)
    return {reason: sorted(rows, key=lambda row: (row["score"], row["id"]))[:SHOWN] for reason, rows in sorted(merged.items())}


def _by_task(items: list[Item], known: NDArray[np.bool_], shards: Iterable[Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Of each task: its items, those that could be compared, those found, and matches with documents."""
    tasks = {item.task: {"items": 0, "compared": 0, "found": 0, "documents": 0} for item in items}
    documents: Counter[str] = Counter()
    for shard in shards:
        documents.update(shard)
    for item, compared in zip(items, known, strict=True):
        numbers = tasks[item.task]
        numbers["items"] += 1
        numbers["compared"] += bool(compared)
        numbers["found"] += item.name in documents
        numbers["documents"] += documents[item.name]
    return tasks


def _text_bytes(table: Any) -> int:
    import pyarrow.compute as pc

    return int(pc.sum(pc.binary_length(table["text"])).as_py() or 0)
