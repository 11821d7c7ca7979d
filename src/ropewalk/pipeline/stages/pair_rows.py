"""The pair_rows stage: Comparisons become rows of two answers with their features, made once for any number of trainings."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np

from ropewalk.core.artifact import Artifact
from ropewalk.core.component import RUNTIME, as_tree
from ropewalk.core.reference import Ref
from ropewalk.data.comparisons import WINNERS, Comparisons
from ropewalk.data.division import PARTS
from ropewalk.data.loader import IGNORED
from ropewalk.data.pair_features import PairFeatures
from ropewalk.data.rows import RowFacts, Rows, RowTable
from ropewalk.data.tokenizer import Vocabulary
from ropewalk.hardware.device import pick_device
from ropewalk.models.model import Model
from ropewalk.pipeline.stage import Context, Facts, Stage
from ropewalk.pipeline.stages.span_rows import copy_tokenizer


class PairRows(Stage, type="pair_rows"):
    """Prepares a training of `task: preference`."""

    makes: ClassVar[type[Artifact]] = Rows

    input: Ref[Comparisons]
    """The pairs."""
    encoder: Ref[Model]
    """A BERT folder whose embeddings tell likeness; it goes into the model."""
    features: PairFeatures = PairFeatures()
    """What is known of an answer."""
    device: Annotated[str, RUNTIME] = "auto"
    """`auto`, `cpu` or `cuda`."""

    def make(self, context: Context) -> Facts:
        from ropewalk.models.head_folder import load_encoder
        from ropewalk.tasks.embedding import Embedder

        pairs = [one for one in context.open(self.input).read() if one.winner is not None]
        encoder, device = context.open(self.encoder), pick_device(self.device)
        vocabulary = Vocabulary(encoder.tokenizer_path)
        texts = {text for pair in pairs for text in self.features.texts(pair)}
        with context.progress(context.name, len(texts), "texts") as bar:
            embed = Embedder(load_encoder(encoder.path, device), vocabulary, device, bar.advance) if texts else None
            if embed is not None:
                embed.remember(sorted(texts))
        tables = [self.features.table(pair, embed) for pair in pairs]
        targets = [np.array([WINNERS.index(pair.winner or "tie"), IGNORED], np.int64) for pair in pairs]
        table = RowTable.of([2] * len(pairs), targets, [PARTS.index(pair.part) for pair in pairs], features=tables)
        spec = {"features": as_tree(self.features)}
        table.write(context.out, RowFacts("pairs", vocabulary.key, encoder.key, len(self.features.names), spec))
        copy_tokenizer(encoder.tokenizer_path, context.out / "tokenizer")
        rows = {part: int((table.parts == number).sum()) for number, part in enumerate(PARTS)}
        return Facts(metrics={"rows": rows, "texts": len(texts), "cut_texts": embed.cut if embed else 0})
