"""The pack stage: a corpus becomes token ids, a held-out part and a plan of sequences."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import version as library_version
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from ropewalk.core.artifact import Artifact
from ropewalk.core.component import RUNTIME
from ropewalk.core.errors import DataError
from ropewalk.core.ledger import add_counts, tally
from ropewalk.core.reference import Ref
from ropewalk.core.shards import Outcome, Shard
from ropewalk.core.units import Count
from ropewalk.data.corpus import Corpus, read_documents
from ropewalk.data.encoder import Engine, Resolved, choose_engine, open_encoder, without_ends
from ropewalk.data.token_store import Layout, id_type, join_shards, with_ends, write_encoded
from ropewalk.data.tokenizer import Tokenizer, kept_vocabulary
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

    bos: bool = True
    """Whether each document begins with BOS. Without it a document's first token is never predicted."""
    eos: bool = True
    """Whether each document ends with EOS."""
    controls: Literal["text", "ids"] = "text"
    """What a text that spells a control token becomes: plain text, which is safe, or the control token. Counted either way."""
    engine: Annotated[Engine, RUNTIME] = "auto"
    """What encodes: gigatoken (extra `fast`) where it is installed and gives the same ids, or tokenizers."""

    def fingerprint(self) -> Any:
        """The tokenizer library's version."""
        return {"tokenizers": library_version("tokenizers")}

    def make(self, context: Context) -> Facts:
        layout = Layout(self.length, self.packing, self.attend, self.holdout, context.seed)
        how = Encode(Path(), "tokenizers", self.bos, self.eos, self.controls == "ids")
        return make_tokens(context, self.input, self.tokenizer, self.engine, how, layout)


def make_tokens(context: Context, corpus: Ref[Corpus], tokenizer: Ref[Tokenizer], wanted: Engine, how: Encode, layout: Layout) -> Facts:
    """Encode a corpus into `context.out` and plan its sequences; what `how` leaves open (tokenizer, engine) is decided here."""
    vocabulary = context.open(tokenizer).vocabulary()
    shards = context.open(corpus).shards()
    engine, why = choose_engine(vocabulary, "tokenizers" if how.controls else wanted, [shard.content for shard in shards])
    if why:
        context.log.warning("%s: encoded with tokenizers, not gigatoken: %s", context.name, why)
    receipts = context.map(replace(how, tokenizer=vocabulary.folder, engine=engine), shards)
    counts = add_counts(receipt.counts for receipt in receipts)
    spelt = counts.pop("spelt_controls")
    if not counts["kept"]:
        raise DataError(f"{context.name}: the corpus holds no document", remedy="see why in the ledger of the stages before it")
    report = join_shards(context.out, vocabulary, layout)
    layout.check_split(context.name, counts["kept"], report)
    return Facts(counts, {**report, "spelt_controls": spelt, "encoded_by": engine})


@dataclass(frozen=True)
class Encode:
    """Picklable: the documents of a shard as ids."""

    tokenizer: Path
    engine: Resolved
    bos: bool = True
    eos: bool = True
    controls: bool = False

    def __call__(self, shard: Shard, folder: Path) -> Outcome:
        import pyarrow.compute as pc

        vocabulary = kept_vocabulary(self.tokenizer)
        vocabulary.engine.encode_special_tokens = not self.controls
        encode, kind = open_encoder(vocabulary, self.engine), id_type(vocabulary.size)
        bos, eos = vocabulary.bos_id if self.bos else None, vocabulary.eos_id if self.eos else None
        table = read_documents(shard.content)
        tokens, lengths = [np.zeros(0, kind)], [np.zeros(0, np.int64)]
        for start in range(0, table.num_rows, BATCH):
            found = encode(table["text"].slice(start, BATCH).to_pylist())
            if self.controls:
                found = without_ends(found, bos, eos)
            flat, sizes = with_ends(found.tokens, found.lengths, bos, eos, kind)
            tokens.append(flat)
            lengths.append(sizes)
        text_bytes = pc.binary_length(table["text"])
        write_encoded(folder, shard.name, table["id"], table["source"], text_bytes, np.concatenate(lengths), np.concatenate(tokens))
        return Outcome({**tally(table.num_rows, table.num_rows, {}), "spelt_controls": vocabulary.spelt_controls_in(table["text"])})
