"""The shard functions of deduplication: sketch a shard; write a shard without what goes, its ledger and its clusters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.ledger import Ledger, tally, write_table
from ropewalk.core.shards import Outcome, Shard
from ropewalk.data.corpus import read_documents, write_documents
from ropewalk.data.dedup.near import Near
from ropewalk.data.dedup.sketch import save_sets, sketch

if TYPE_CHECKING:
    import pyarrow as pa

EXAMPLES, EXAMPLE_CHARACTERS = 5, 200


@dataclass(frozen=True)
class SketchShard:
    """Writes a shard's sketch to `sketches/NAME.*.npy`; for an index its shingle sets and ids too."""

    near: Near | None
    device: str = "cpu"
    whole: bool = False

    def __call__(self, shard: Shard, folder: Path) -> Outcome:
        column = read_texts(shard.content)
        found = sketch(column, self.near, self.device)
        found.save(folder / "sketches", shard.name)
        if self.whole and self.near:
            from ropewalk.data.dedup.shingles import TextSets

            save_sets(TextSets(lambda: column, self.near)(np.arange(len(found))), folder / "sketches", shard.name)
            write_table(read_documents(shard.content).select(["id"]), folder / "ids" / f"{shard.name}.parquet")
        return Outcome({"records_in": len(found)})


@dataclass(frozen=True)
class Removals:
    """A shard's file, and a table of its documents that are in a cluster: row, reason (null if it stays), score, witness, component."""

    path: Path
    clustered: Path


@dataclass(frozen=True)
class WriteShard:
    """Writes a shard's documents that stay, its ledger, and which of its documents are in which cluster."""

    stage: str

    def __call__(self, shard: Shard, folder: Path) -> Outcome:
        import pyarrow as pa
        import pyarrow.parquet as pq

        removals: Removals = shard.content
        table, clustered = read_documents(removals.path), pq.read_table(removals.clustered)
        gone = clustered.filter(clustered["reason"].is_valid())
        kept = np.ones(table.num_rows, bool)
        kept[gone["row"].to_numpy()] = False
        write_documents(table.filter(pa.array(kept)), folder / "documents" / f"{shard.name}.parquet")
        ledger = Ledger(self.stage)
        for row in gone.select(["id", "reason", "score", "witness"]).to_pylist():
            ledger.add(row["id"], row["reason"], row["score"], row["witness"])
        ledger.write(folder / "ledger" / f"{shard.name}.parquet")
        if clustered.num_rows:
            columns = {"cluster": "witness", "component": "component", "jaccard": "score"}
            shown = {"id": clustered["id"], "kept": pa.array(kept[clustered["row"].to_numpy()])}
            shown |= {name: clustered[source] for name, source in columns.items()}
            write_table(pa.table(shown), folder / "clusters" / f"{shard.name}.parquet")
        counts = tally(table.num_rows, int(kept.sum()), ledger.reasons())
        return Outcome(counts, {"examples": _examples(table, gone)})


def _examples(table: pa.Table, gone: pa.Table) -> list[dict[str, object]]:
    """Of each reason, those that are least similar to what stays."""
    found = []
    rows = sorted(gone.to_pylist(), key=lambda row: row["score"])
    for reason in sorted({row["reason"] for row in rows}):
        for row in [row for row in rows if row["reason"] == reason][:EXAMPLES]:
            text = table["text"][row["row"]].as_py()[:EXAMPLE_CHARACTERS]
            found.append({"reason": reason, "id": row["id"], "score": row["score"], "witness": row["witness"], "text": text})
    return found


def read_texts(path: Path) -> pa.ChunkedArray:
    return read_column(path, "text")


def read_column(path: Path, name: str) -> pa.ChunkedArray:
    """A column of a shard's file, as large_string."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pq.read_table(path, columns=[name], memory_map=True)[name].cast(pa.large_string())


def scores_of(path: Path, name: str) -> NDArray[np.float64] | None:
    """What `keep: best_score` goes by, one a document: the clean stage's score, or a number in `meta`; None where no document has it."""
    import json

    import pyarrow.parquet as pq

    beside = path.parent.parent / "scores" / path.name
    if beside.exists() and name in pq.read_schema(beside).names:
        table = pq.read_table(beside, columns=["kept", name])
        kept = table.filter(table["kept"])[name].cast("float64").to_numpy()
        return np.where(np.isnan(kept), -np.inf, kept)
    given = [json.loads(meta or "{}").get(name) for meta in read_column(path, "meta").to_pylist()]
    if given and not any(isinstance(value, int | float) for value in given):
        return None
    return np.array([float(value) if isinstance(value, int | float) else -np.inf for value in given], np.float64)
