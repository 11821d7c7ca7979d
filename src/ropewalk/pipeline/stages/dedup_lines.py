"""The dedup_lines stage: cuts lines or paragraphs that other documents have already had, such as menus, notices and signatures."""

from __future__ import annotations

import shutil
from typing import Literal

import numpy as np
from pydantic import Field

from ropewalk.core.errors import DataError
from ropewalk.core.ledger import add_counts
from ropewalk.core.reference import Ref
from ropewalk.core.shards import Shard
from ropewalk.data.corpus import Corpus
from ropewalk.data.dedup.lines import CutLines, HashLines, LinesOut, repeated
from ropewalk.pipeline.stage import Context, Facts, Stage


class DedupLines(Stage, type="dedup_lines"):
    """Cuts repeated lines or paragraphs out of texts: the first occurrences in the corpus stay, later ones go."""

    makes = Corpus
    input: Ref[Corpus]
    """The corpus whose texts are rewritten."""
    unit: Literal["line", "paragraph"] = "paragraph"
    """What is compared: lines, or paragraphs (parted by blank lines). Equal is equal but for ASCII case and white space."""
    min_words: int = Field(default=8, ge=1)
    """Shorter ones always stay: a lone bracket or `See also` says nothing of copying."""
    most: int = Field(default=1, ge=1)
    """How many occurrences stay."""

    def make(self, context: Context) -> Facts:
        import pyarrow as pa

        from ropewalk.data.dedup.hash import Texts, exact_hashes

        shards = context.open(self.input).shards()
        exact_hashes(Texts.of(pa.array(["compiled once"], pa.large_string())))  # here, not in every worker
        hashed = [Shard(f"lines-{shard.name}", shard.content, shard.size_bytes) for shard in shards]
        receipts = context.map(HashLines(self.unit, self.min_words), hashed)
        if not sum(receipt.counts["records_in"] for receipt in receipts):
            raise DataError(f"{self.input.target}: no documents to deduplicate")
        shutil.rmtree(context.out / "lines", ignore_errors=True)
        places = [(context.work / "shards" / shard.name / "lines", shard.name) for shard in hashed]
        folder = context.work / "cut"
        folder.mkdir(parents=True, exist_ok=True)
        named = []
        for shard, (place, name), cut in zip(shards, places, repeated(places, self.most), strict=True):
            numbers = folder / f"{shard.name}.npy"
            np.save(numbers, np.load(place / f"{name}.numbers.npy", allow_pickle=False)[cut], allow_pickle=False)
            named.append(Shard(shard.name, LinesOut(shard.content, numbers), shard.size_bytes))
        written = context.map(CutLines(self.tag, self.unit), named)
        shutil.rmtree(folder, ignore_errors=True)
        counts = add_counts(receipt.counts for receipt in written)
        if not counts["kept"]:
            raise DataError(f"{context.name}: nothing is left of any document", remedy="raise min_words, or compare lines less strictly")
        return Facts(counts, dict(add_counts(receipt.metrics["totals"] for receipt in written)))
