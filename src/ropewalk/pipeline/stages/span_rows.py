"""The span_rows stage: Spans become rows for a head: each sentence with its features, or windows of tokens with the answers' ends."""

from __future__ import annotations

import shutil
from collections import defaultdict
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from ropewalk.core.artifact import Artifact
from ropewalk.core.component import RUNTIME, as_tree
from ropewalk.core.reference import Ref
from ropewalk.data.division import PARTS
from ropewalk.data.rows import RowFacts, Rows, RowTable
from ropewalk.data.sentence_features import SentenceFeatures, cut_sentences, holds
from ropewalk.data.span_windows import Coded, WindowSize, windows
from ropewalk.data.spans import SpanExample, Spans
from ropewalk.data.tokenizer import Vocabulary
from ropewalk.hardware.device import pick_device
from ropewalk.models.model import Model
from ropewalk.pipeline.stage import Context, Facts, Stage

if TYPE_CHECKING:
    from pathlib import Path


class SpanRows(Stage, type="span_rows"):
    """Prepares a training of `task: span_qa`."""

    makes: ClassVar[type[Artifact]] = Rows

    input: Ref[Spans]
    """The examples."""
    encoder: Ref[Model]
    """A BERT folder, such as `path:FOLDER`: its embeddings are among the sentences' features, its tokenizer makes the windows."""
    head: Literal["sentence", "span"] = "sentence"
    """Rows for which head."""
    features: SentenceFeatures = SentenceFeatures()
    """What is known of a sentence."""
    windows: WindowSize = WindowSize()
    """How documents are cut for the span head."""
    without_answer: Annotated[float, Field(ge=0, le=1)] = 0.25
    """Of the training windows without an answer in a document that has one, this share is kept: they teach the span head no place."""
    device: Annotated[str, RUNTIME] = "auto"
    """`auto`, `cpu` or `cuda`."""

    def make(self, context: Context) -> Facts:
        spans, encoder = context.open(self.input), context.open(self.encoder)
        examples, texts = list(spans.examples()), spans.texts
        make = self._sentences if self.head == "sentence" else self._windows
        table, facts, metrics = make(context, examples, texts, encoder)
        table.write(context.out, facts)
        copy_tokenizer(encoder.tokenizer_path, context.out / "tokenizer")
        rows = {part: int((table.parts == number).sum()) for number, part in enumerate(PARTS)}
        return Facts(metrics={**metrics, "rows": rows, "places": int(table.starts[-1])})

    def _sentences(
        self, context: Context, examples: list[SpanExample], texts: dict[str, str], encoder: Model
    ) -> tuple[RowTable, RowFacts, dict[str, Any]]:
        from ropewalk.models.head_folder import load_encoder
        from ropewalk.tasks.embedding import Embedder

        bounds = {name: cut_sentences(text) for name, text in texts.items()}
        pieces = {text[start:end] for name, text in texts.items() for start, end in bounds[name]}
        asked = {part for one in examples for part in self.features.parts(one.question)}
        device, vocabulary = pick_device(self.device), Vocabulary(encoder.tokenizer_path)
        with context.progress(context.name, len(pieces | asked), "texts") as bar:
            embed = Embedder(load_encoder(encoder.path, device), vocabulary, device, bar.advance)
            embed.remember(sorted(pieces | asked))
        by_question = [self.features.table(texts[one.document], bounds[one.document], one.question, embed) for one in examples]
        targets = [np.array([holds(sentence, one.spans) for sentence in bounds[one.document]], np.int64) for one in examples]
        table = RowTable.of([len(row) for row in targets], targets, _parts(examples), features=by_question)
        spec = {"features": as_tree(self.features)}
        facts = RowFacts("sentences", vocabulary.key, encoder.key, len(self.features.names), spec)
        fits = sum(any(self.features.parts(one.question)[1:]) for one in examples) if self.features.slots else 0
        return table, facts, {"sentences": len(pieces), "cut_sentences": embed.cut, "questions_with_slots": fits}

    def _windows(
        self, context: Context, examples: list[SpanExample], texts: dict[str, str], encoder: Model
    ) -> tuple[RowTable, RowFacts, dict[str, Any]]:
        from ropewalk.core.seed import derive

        vocabulary = Vocabulary(encoder.tokenizer_path)
        coded = {name: Coded.of(vocabulary, text) for name, text in texts.items()}
        rows: dict[str, list[Any]] = defaultdict(list)
        counts = {"cut_questions": 0, "windows_with_answer": 0, "windows_without": 0, "windows_left_out": 0}
        for one in examples:
            question = Coded.of(vocabulary, one.question)
            counts["cut_questions"] += len(question.ids) > self.windows.question_tokens
            for number, window in enumerate(windows(vocabulary, question, coded[one.document], self.windows)):
                targets = window.targets(one.spans)
                empty = targets[0] >= 0
                drawn = derive(0, "window", one.id, number) < self.without_answer * 2**63
                if one.part == "train" and empty and one.spans and not drawn:
                    counts["windows_left_out"] += 1
                    continue
                counts["windows_without" if empty else "windows_with_answer"] += 1
                rows["tokens"].append(window.tokens)
                rows["kinds"].append(window.kinds)
                rows["targets"].append(targets)
                rows["parts"].append(PARTS.index(one.part))
        lengths = [len(row) for row in rows["tokens"]]
        table = RowTable.of(lengths, rows["targets"], rows["parts"], tokens=rows["tokens"], kinds=rows["kinds"])
        return table, RowFacts("windows", vocabulary.key, "", spec={"windows": as_tree(self.windows)}), counts


def _parts(examples: list[SpanExample]) -> list[int]:
    return [PARTS.index(one.part) for one in examples]


def copy_tokenizer(source: Path, target: Path) -> None:
    """The files of a tokenizer."""
    target.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
