"""The dedup stage: sketch each shard, decide over all of them at once (the one exchange), write each shard without what goes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.artifact import Artifact
from ropewalk.core.errors import DataError
from ropewalk.core.ledger import Entry, Ledger, add_counts, tally
from ropewalk.core.reference import Ref
from ropewalk.core.shards import Outcome, Shard
from ropewalk.core.units import show_bytes
from ropewalk.data.corpus import Corpus, read_documents, write_documents
from ropewalk.data.dedup.near import Bands, Near
from ropewalk.data.dedup.sketch import Sketch, bytes_per_document, sketch
from ropewalk.pipeline.stage import Context, Facts, Stage

if TYPE_CHECKING:
    import pyarrow as pa

    from ropewalk.data.dedup.cluster import Decisions

EXACT, NEAR = "exact_duplicate", "near_duplicate"
EXAMPLES, EXAMPLE_CHARACTERS = 5, 200


class Dedup(Stage, type="dedup"):
    """Removes exact copies and near-duplicates: one document of each cluster stays, every other is within the threshold of it."""

    makes = Corpus
    input: Ref[Corpus]
    """The corpus to deduplicate."""
    exact: bool = True
    """Remove texts that are equal to an earlier one but for ASCII case and white space."""
    near: Near | None = Near()
    """What a near-duplicate is; `null` removes exact copies only."""

    def problems(self, upstream: Mapping[str, Stage | Artifact]) -> list[tuple[str, str]]:
        return [] if self.exact or self.near else [("exact", "with `exact: false` and `near: null` nothing is removed")]

    def make(self, context: Context) -> Facts:
        shards = context.open(self.input).shards()
        bands = self.near.banding() if self.near else None
        if self.near and bands:
            found = ", ".join(f"{100 * bands.chance(jaccard):.1f}% at Jaccard {jaccard}" for jaccard in (0.5, 0.7, 0.8, 0.9))
            context.log.info("%s: %d bands of %d values compare of all pairs %s", context.name, bands.count, bands.rows, found)
        sketches = self.sketched(context, shards, bands)
        starts = np.cumsum([0, *(len(part) for part in sketches)])
        if not starts[-1]:
            raise DataError(f"{self.input.target}: no documents to deduplicate")
        memory = show_bytes(int(starts[-1]) * bytes_per_document(bands))
        context.log.debug("%s: comparing %d documents takes %s and the shingles of candidates", context.name, starts[-1], memory)
        decisions = self.decided(context, shards, Sketch.join(sketches))
        named = [
            Shard(shard.name, Removals(shard.content, decisions.kept[start:end], entries), shard.size_bytes)
            for shard, (start, end), entries in zip(shards, pairwise(starts), _entries(shards, starts, decisions), strict=True)
        ]
        receipts = context.map(WriteShard(self.tag), named)
        counts = add_counts(receipt.counts for receipt in receipts)
        if decisions.crowded:
            context.log.warning("%s: %d documents share a template with too many others to compare all", context.name, decisions.crowded)
        metrics = {**_clusters(decisions), "examples": _examples(receipt.metrics for receipt in receipts)}
        if bands:
            metrics |= {"bands": bands.count, "rows": bands.rows, "s_curve": bands.curve()}
        return Facts(counts, metrics)

    def sketched(self, context: Context, shards: list[Shard], bands: Bands | None) -> list[Sketch]:
        """Each shard's sketch; the files travel as files of the shard map and are gone from `out` afterwards."""
        import pyarrow as pa

        rules = self.near or Near()
        sketch(pa.array(["compiled once"], pa.large_string()), rules.ngram, rules.values, bands)  # here, not in every worker
        named = [Shard(f"sketch-{shard.name}", shard.content, shard.size_bytes) for shard in shards]
        context.map(SketchShard(rules.ngram, rules.values, bands), named)
        folder = context.out / "sketches"
        sketches = [Sketch.load(folder, shard.name) for shard in named]
        shutil.rmtree(folder, ignore_errors=True)
        return sketches

    def decided(self, context: Context, shards: list[Shard], whole: Sketch) -> Decisions:
        """What becomes of each document of the corpus."""
        from ropewalk.data.dedup.cluster import decide
        from ropewalk.data.dedup.shingles import Shingles, collect_shingles

        rules = self.near or Near()

        def shingles_of(documents: NDArray[np.int64]) -> Shingles:
            with context.progress(f"{context.name}: candidates", len(whole), "documents") as bar:

                def columns() -> Iterator[pa.ChunkedArray]:
                    for shard in shards:
                        column = _texts(shard.content)
                        yield column
                        bar.advance(len(column))

                return collect_shingles(columns(), documents, rules.ngram, context.work / "shingles")

        return decide(whole, shingles_of, exact=self.exact, threshold=rules.threshold, keep=rules.keep, verify=rules.verify)


@dataclass(frozen=True)
class SketchShard:
    """Writes a shard's sketch to `sketches/NAME.*.npy`."""

    ngram: int
    values: int
    bands: Bands | None

    def __call__(self, shard: Shard, folder: Path) -> Outcome:
        found = sketch(_texts(shard.content), self.ngram, self.values, self.bands)
        found.save(folder / "sketches", shard.name)
        return Outcome({"records_in": len(found)})


@dataclass(frozen=True)
class Removals:
    """A shard's file, which of its documents stay, and the ledger's entries for the others in their order."""

    path: Path
    kept: NDArray[np.bool_]
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class WriteShard:
    """Writes a shard's documents that stay, and its ledger."""

    stage: str

    def __call__(self, shard: Shard, folder: Path) -> Outcome:
        import pyarrow as pa

        removals: Removals = shard.content
        table = read_documents(removals.path)
        write_documents(table.filter(pa.array(removals.kept)), folder / "documents" / f"{shard.name}.parquet")
        ledger = Ledger(self.stage, list(removals.entries))
        ledger.write(folder / "ledger" / f"{shard.name}.parquet")
        counts = tally(len(removals.kept), int(removals.kept.sum()), ledger.reasons())
        examples = []
        for reason in ledger.reasons():
            rows = zip(np.flatnonzero(~removals.kept).tolist(), removals.entries, strict=True)
            chosen = sorted(((row, entry) for row, entry in rows if entry.reason == reason), key=lambda pair: pair[1].score or 0.0)
            for row, entry in chosen[:EXAMPLES]:
                text = table["text"][row].as_py()[:EXAMPLE_CHARACTERS]
                examples.append({"reason": reason, "id": entry.id, "score": entry.score, "witness": entry.witness, "text": text})
        return Outcome(counts, {"examples": examples})


def _texts(path: Path) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pq.read_table(path, columns=["text"], memory_map=True)["text"].cast(pa.large_string())


def _entries(shards: list[Shard], starts: NDArray[np.int64], decisions: Decisions) -> Iterator[tuple[Entry, ...]]:
    """For each shard, a ledger entry for each document that goes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    ids = pa.chunked_array([chunk for shard in shards for chunk in pq.read_table(shard.content, columns=["id"])["id"].chunks], pa.string())
    for start, end in pairwise(starts):
        gone = start + np.flatnonzero(~decisions.kept[start:end])
        names, witnesses = ids.take(pa.array(gone)).to_pylist(), ids.take(pa.array(decisions.keeper[gone])).to_pylist()
        reasons = np.where(decisions.exact[gone], EXACT, NEAR).tolist()
        scores = decisions.jaccard[gone].tolist()
        yield tuple(Entry(*facts) for facts in zip(names, reasons, scores, witnesses, strict=True))


def _clusters(decisions: Decisions) -> dict[str, int]:
    sizes = np.bincount(decisions.keeper)
    return {"clusters": int((sizes > 1).sum()), "largest_cluster": int(sizes.max()), "crowded": decisions.crowded}


def _examples(parts: Iterator[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """By reason: the near-duplicates that are least similar to what stays (look at those), and the first exact copies."""
    found: dict[str, list[dict[str, Any]]] = {}
    for example in sorted((example for part in parts for example in part["examples"]), key=lambda example: example["score"]):
        kept = found.setdefault(example["reason"], [])
        if len(kept) < EXAMPLES:
            kept.append({name: value for name, value in example.items() if name != "reason"})
    return dict(sorted(found.items()))
