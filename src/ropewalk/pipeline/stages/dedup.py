"""The dedup stage: sketch each shard, decide over all of them at once (the one exchange), write each shard without what goes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ropewalk.core.artifact import Artifact
from ropewalk.core.component import RUNTIME
from ropewalk.core.errors import DataError
from ropewalk.core.ledger import add_counts
from ropewalk.core.reference import Ref
from ropewalk.core.shards import Shard
from ropewalk.core.units import show_bytes, show_seconds
from ropewalk.data.corpus import Corpus
from ropewalk.data.dedup.engine import pick_engine
from ropewalk.data.dedup.index import Index, rules
from ropewalk.data.dedup.near import Near
from ropewalk.data.dedup.shards import EXAMPLES, Removals, SketchShard, WriteShard, read_texts, scores_of
from ropewalk.pipeline.stage import Context, Facts, Stage

if TYPE_CHECKING:
    from ropewalk.data.dedup.cluster import Decisions, Part

BYTES_PER_SECOND = 20e6
"""What one core does, from stored documents to stored documents (docs/benchmarks)."""


class Dedup(Stage, type="dedup"):
    """Removes exact copies and near-duplicates: one document of each cluster stays, every other is within the threshold of it."""

    makes = Corpus
    input: Ref[Corpus]
    """The corpus to deduplicate."""
    against: Ref[Corpus | Index] | None = None
    """Another corpus, or an index of one: what repeats one of its documents goes too. It is read only."""
    exact: bool = True
    """Remove texts that are equal to an earlier one but for ASCII case and white space."""
    near: Near | None = Near()
    """What a near-duplicate is; `null` removes exact copies only."""
    warn_above: float = Field(default=0.05, gt=0.0, le=1.0)
    """Warn when one cluster swallows more than this share of a source, and show the pair in it that is least alike."""
    sample: int = Field(default=200, ge=0)
    """Documents that are compared with all others afterwards, to measure recall and precision; 0 measures nothing."""
    device: Annotated[Literal["auto", "cpu", "cuda"], RUNTIME] = "auto"
    """Where signatures are computed; the bits, and so what stays, are the same everywhere."""

    def problems(self, upstream: Mapping[str, Stage | Artifact]) -> list[tuple[str, str]]:
        return [] if self.exact or self.near else [("exact", "with `exact: false` and `near: null` nothing is removed")]

    def expects(self, documents: int | None = None, text_bytes: int | None = None) -> list[str]:
        """For the plan, a line each: the S-curve, memory, and time where the sizes are known."""
        from ropewalk.data.dedup.cluster import bytes_per_document

        each = bytes_per_document()
        lines = [self.near.said()] if self.near else []
        total = f", {show_bytes(each * documents)} in all" if documents is not None else ""
        lines.append(f"memory: {each} bytes a document{total}, beside one key range and the shards that are open")
        return lines + ([f"about {show_seconds(text_bytes / BYTES_PER_SECOND)} of one core"] if text_bytes is not None else [])

    def make(self, context: Context) -> Facts:
        shards = context.open(self.input).shards()
        for line in self.expects():
            context.log.info("%s: %s", context.name, line)
        given, own, places = self.sketched(context, shards)
        starts = np.cumsum([0, *(len(part.sketch) for part in given + own)])
        first, count = int(starts[len(given)]), int(starts[-1])
        if count == first:
            raise DataError(f"{self.input.target}: no documents to deduplicate")
        decisions = self.decided(context, given + own, first, self.scores(shards, starts[len(given) :] - first, first))
        folder = context.work / "clusters"
        folder.mkdir(parents=True, exist_ok=True)
        from ropewalk.data.dedup.outcome import largest_clusters, swallowed, write_clustered

        write_clustered(decisions, places, starts, folder, len(given))
        named = [Shard(shard.name, Removals(shard.content, folder / f"{shard.name}.parquet"), shard.size_bytes) for shard in shards]
        receipts = context.map(WriteShard(self.tag), named)
        counts = add_counts(receipt.counts for receipt in receipts)
        if not counts["kept"]:
            raise DataError(
                f"{context.name}: all {counts['records_in']:,} documents repeat one of {self.against and self.against.target}",
                remedy="nothing is new in this corpus; leave it out, or look at what `against` holds",
            )
        if decisions.crowded:
            context.log.warning("%s: %d documents share a template with too many others to compare all", context.name, decisions.crowded)
        warnings = swallowed(decisions, [shard.content for shard in shards], starts[len(given) :], folder, self.warn_above)
        for warning in warnings:
            context.log.warning("%s: %s", context.name, warning)
        metrics: dict[str, Any] = {**_clusters(decisions), "examples": _examples(receipt.metrics for receipt in receipts)}
        metrics["largest"] = largest_clusters(decisions, places, starts)
        metrics["warnings"] = warnings
        if self.near:
            bands = self.near.banding()
            metrics |= {"rules": rules(self.near), "bands": bands.count, "rows": bands.rows, "s_curve": bands.curve()}
            metrics |= self.measured(decisions, shards, first)
        shutil.rmtree(folder, ignore_errors=True)
        return Facts(counts, metrics)

    def sketched(self, context: Context, shards: list[Shard]) -> tuple[list[Part], list[Part], list[Path]]:
        """The given parts, the own ones, and where the ids of each are; sketches stay with the unfinished work until the end."""
        other = context.open(self.against) if self.against else None
        given: list[Part] = []
        places: list[Path] = []
        if isinstance(other, Index):
            other.check(self.near)
            given = [part.part() for part in other.parts()]
            places = [part.ids() for part in other.parts()]
        elif isinstance(other, Corpus):
            given = _sketch(context, "against", other.shards(), self.near, self.device)
            places = [shard.content for shard in other.shards()]
        own = _sketch(context, "sketch", shards, self.near, self.device)
        return given, own, places + [shard.content for shard in shards]

    def scores(self, shards: list[Shard], starts: NDArray[np.int64], given: int) -> NDArray[np.float64] | None:
        """What `keep: best_score` goes by, behind zeros for the given documents."""
        if self.near is None or self.near.score is None:
            return None
        found = [np.zeros(given)]
        for shard, (start, end) in zip(shards, pairwise(starts.tolist()), strict=True):
            values = scores_of(shard.content, self.near.score)
            if values is None or len(values) != end - start:
                raise DataError(
                    f"near.score: {self.input.target} has no score {self.near.score!r} for its documents (shard {shard.name})",
                    remedy="name a score of the clean stage just before, or a number in every document's meta",
                )
            found.append(values)
        return np.concatenate(found)

    def decided(self, context: Context, parts: list[Part], given: int, scores: NDArray[np.float64] | None) -> Decisions:
        """What becomes of each document of the corpus; groups and shingle sets go through files of the unfinished work."""
        from ropewalk.data.dedup.cluster import decide

        folder = context.work / "exchange"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            return decide(parts, self.near, exact=self.exact, given=given, scores=scores, folder=folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def measured(self, decisions: Decisions, shards: list[Shard], given: int) -> dict[str, Any]:
        """Recall and precision on a sample, where all its pairs at the threshold are known."""
        from ropewalk.data.dedup.sampled import measure

        if not self.sample or self.near is None:
            return {}
        columns = [partial(read_texts, shard.content) for shard in shards]
        return {"measured": measure(decisions, columns, given, self.near, self.sample)}


def _sketch(context: Context, prefix: str, shards: list[Shard], near: Near | None, device: str) -> list[Part]:
    """Each shard's sketch, as a part."""
    import pyarrow as pa

    from ropewalk.data.dedup.cluster import Part
    from ropewalk.data.dedup.shingles import TextSets
    from ropewalk.data.dedup.sketch import SketchFiles, sketch

    engine, why = pick_engine(device)
    if why:
        context.log.warning("%s: signatures are computed on the CPU: %s", context.name, why)
    sketch(pa.array(["compiled once"], pa.large_string()), near)  # here, not in every worker
    named = [Shard(f"{prefix}-{shard.name}", shard.content, shard.size_bytes) for shard in shards]
    receipts = context.map(SketchShard(near, engine), named)
    shutil.rmtree(context.out / "sketches", ignore_errors=True)
    parts = []
    for shard, receipt in zip(named, receipts, strict=True):
        folder = context.work / "shards" / shard.name / "sketches"
        texts = TextSets(partial(read_texts, shard.content), near or Near())
        parts.append(Part(SketchFiles(folder, shard.name, receipt.counts["records_in"]), texts))
    return parts


def _clusters(decisions: Decisions) -> dict[str, int]:
    sizes = np.bincount(decisions.keeper)
    groups = np.bincount(decisions.component)
    return {
        "clusters": int((sizes > 1).sum()),
        "largest_cluster": int(sizes.max()),
        "components": int((groups > 1).sum()),
        "largest_component": int(groups.max()),
        "crowded": decisions.crowded,
    }


def _examples(parts: Iterator[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """By reason: the near-duplicates that are least similar to what stays (look at those), and the first exact copies."""
    found: dict[str, list[dict[str, Any]]] = {}
    for example in sorted((example for part in parts for example in part["examples"]), key=lambda example: example["score"]):
        kept = found.setdefault(example["reason"], [])
        if len(kept) < EXAMPLES:
            kept.append({name: value for name, value in example.items() if name != "reason"})
    return dict(sorted(found.items()))
