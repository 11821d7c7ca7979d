"""The pack stage: a corpus becomes token ids, a held-out part and a plan of sequences."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version as library_version
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from ropewalk.core.artifact import Artifact
from ropewalk.core.errors import DataError
from ropewalk.core.ledger import add_counts, tally
from ropewalk.core.reference import Ref
from ropewalk.core.shards import Outcome, Shard
from ropewalk.core.units import Count
from ropewalk.data.corpus import Corpus, read_documents
from ropewalk.data.token_store import EncodedShard, Layout, join_shards
from ropewalk.data.tokenizer import Tokenizer, Vocabulary
from ropewalk.data.tokens import Attend, Packing, Tokens
from ropewalk.pipeline.stage import Context, Facts, Stage

BATCH = 1024


class Pack(Stage, type="pack"):
    """Encodes documents as BOS, text, EOS and packs them; every token is kept, whatever the packing."""

    makes: ClassVar[type[Artifact]] = Tokens
    seeded: ClassVar[bool] = True

    input: Ref[Corpus]
    """The documents."""
    tokenizer: Ref[Tokenizer]
    """Turns text into ids; it travels inside the result."""
    length: Annotated[Count, Field(gt=0)]
    """Positions of a full sequence."""
    holdout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the documents held out for evaluation, drawn by their ids."""
    packing: Packing = "best_fit"
    """best_fit keeps documents whole where they fit, concat cuts them evenly, pad puts one in a sequence."""
    attend: Attend = "document"
    """Whether attention stays within a document or crosses all of a sequence."""

    def fingerprint(self) -> Any:
        """The tokenizer library's version."""
        return {"tokenizers": library_version("tokenizers")}

    def make(self, context: Context) -> Facts:
        vocabulary = context.open(self.tokenizer).vocabulary()
        receipts = context.map(_Encode(vocabulary.folder), context.open(self.input).shards())
        counts = add_counts(receipt.counts for receipt in receipts)
        spelt = counts.pop("spelt_controls")
        if not counts["kept"]:
            raise DataError(f"{context.name}: the corpus holds no document", remedy="see why in the ledger of the stages before it")
        layout = Layout(self.length, self.packing, self.attend, self.holdout, context.seed)
        report = join_shards(context.out, vocabulary, layout)
        mend = layout.other_holdout(counts["kept"])
        if self.holdout and not report["holdout/documents"]:
            raise DataError(f"{context.name}: no document was held out of {counts['kept']}", remedy=mend)
        if not report["train/documents"]:
            raise DataError(f"{context.name}: all {counts['kept']} documents were held out", remedy=mend)
        return Facts(counts, {**report, "spelt_controls": spelt})


@dataclass(frozen=True)
class _Encode:
    """Picklable: the documents of a shard as ids."""

    tokenizer: Path

    def __call__(self, shard: Shard, folder: Path) -> Outcome:
        vocabulary = Vocabulary(self.tokenizer)
        table = read_documents(shard.content)
        encoded, spelt = EncodedShard(vocabulary.size), 0
        ends = np.array([vocabulary.bos_id]), np.array([vocabulary.eos_id])
        for start in range(0, table.num_rows, BATCH):
            part = table.slice(start, BATCH)
            texts = part["text"].to_pylist()
            columns = zip(part["id"].to_pylist(), part["source"].to_pylist(), texts, vocabulary.encode(texts), strict=True)
            for id_, source, text, ids in columns:
                spelt += vocabulary.spelt_controls(text) if "<|" in text else 0
                encoded.add(id_, source, len(text.encode()), np.concatenate([ends[0], ids, ends[1]]))
        encoded.write(folder, shard.name)
        return Outcome({**tally(table.num_rows, table.num_rows, {}), "spelt_controls": spelt})
