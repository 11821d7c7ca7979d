"""Span evidence: which sentence of a document answers a question, or where the answer begins and ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ropewalk.tasks.task import Loss, Task, TorchBatch

if TYPE_CHECKING:
    from ropewalk.models.gpt_module import Decoder


class SpanQuestions(Task, type="span_qa"):
    """Learns from rows of `span_rows`: each sentence by its features (BCE), or the first and last token of each answer (cross-entropy)."""

    head: Literal["sentence", "span"] = "sentence"
    """Score each sentence, or each token as an answer's beginning and end."""
    frozen_layers: Annotated[int, Field(ge=0)] = 0
    """Of the span head's encoder so many lower layers, and the embeddings, stay as they are."""

    def loss(self, model: Decoder, batch: TorchBatch) -> Loss:
        from ropewalk.tasks.row_losses import sentence_loss, span_loss

        total = sentence_loss(model, batch) if self.head == "sentence" else span_loss(model, batch)
        return Loss(total, batch.weight)
