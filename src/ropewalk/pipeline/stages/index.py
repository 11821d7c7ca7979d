"""The index stage: what deduplication needs to know of a corpus, kept for `dedup: {against: ...}`."""

from __future__ import annotations

from ropewalk.core.errors import DataError
from ropewalk.core.ledger import add_counts
from ropewalk.core.reference import Ref
from ropewalk.core.shards import Shard
from ropewalk.data.corpus import Corpus
from ropewalk.data.dedup.index import Index, rules, write_facts
from ropewalk.data.dedup.near import Near
from ropewalk.data.dedup.shards import SketchShard
from ropewalk.pipeline.stage import Context, Facts, Stage


class MakeIndex(Stage, type="index"):
    """Sketches a corpus once, so that later corpora are deduplicated against it without its texts."""

    makes = Index
    input: Ref[Corpus]
    """The corpus, best a deduplicated one."""
    near: Near = Near()
    """The rules of the dedup stages that will use it: n-grams, values and bands must agree."""

    def make(self, context: Context) -> Facts:
        import pyarrow as pa

        from ropewalk.data.dedup.sketch import sketch

        sketch(pa.array(["compiled once"], pa.large_string()), self.near)  # here, not in every worker
        shards = context.open(self.input).shards()
        receipts = context.map(SketchShard(self.near, whole=True), [Shard(shard.name, shard.content, shard.size_bytes) for shard in shards])
        sizes = {receipt.name: receipt.counts["records_in"] for receipt in receipts}
        if not sum(sizes.values()):
            raise DataError(f"{self.input.target}: no documents to index")
        write_facts(context.out, self.near, sizes)
        counts = add_counts(receipt.counts for receipt in receipts)
        return Facts({"records_in": counts["records_in"], "kept": counts["records_in"]}, {"rules": rules(self.near)})
