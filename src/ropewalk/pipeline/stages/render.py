"""The render stage: Chats become Tokens with a mask of what is trained; it owns the checks that masks are right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version as library_version
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from ropewalk.core.artifact import Artifact
from ropewalk.core.errors import DataError
from ropewalk.core.ledger import Ledger, add_counts, tally
from ropewalk.core.reference import Ref
from ropewalk.core.shards import Outcome, Shard
from ropewalk.core.units import Count
from ropewalk.data.chat import OWN, TEMPLATES, Reasoning, Writer, template_of
from ropewalk.data.chats import Chats, read_chats
from ropewalk.data.masks import Rendering, TrainOn, encode_pieces
from ropewalk.data.records import Chat, Rejected
from ropewalk.data.token_store import EncodedShard, Layout, join_shards
from ropewalk.data.tokenizer import Tokenizer, kept_vocabulary
from ropewalk.data.tokens import Packing, Tokens
from ropewalk.pipeline.stage import Context, Facts, Stage
from ropewalk.pipeline.stages.tokenizer import TrainTokenizer

TooLong = Literal["drop", "crop_prompt", "error"]
TemplateName = Literal["alpaca", "chatml", "gemma", "llama3", "mistral", "plain", "qwen3", "zephyr", "own"]
EXTRAS = ("cropped_tokens", "cropped_chats", "spelt_controls", "ends_added")


class Render(Stage, type="render"):
    """Writes conversations in a chat template and marks the tokens to be trained."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)
    makes: ClassVar[type[Artifact]] = Tokens
    seeded: ClassVar[bool] = True

    input: Ref[Chats] | Annotated[list[Ref[Chats]], Field(min_length=1)]
    """The conversations, of one stage or of several."""
    tokenizer: Ref[Tokenizer]
    """Must have the template's control tokens."""
    for_: Literal["sft"] = Field(default="sft", alias="for")
    """What the tokens are for."""
    template: TemplateName = "chatml"
    """How turns are written; `own` is the tokenizer's own chat template."""
    length: Annotated[Count, Field(gt=0)]
    """Positions of a full sequence."""
    packing: Packing = "best_fit"
    """How conversations share sequences; attention never crosses from one to another."""
    train_on: TrainOn = "assistant"
    """All assistant turns, the last one only, or everything but tool output."""
    reasoning: Reasoning = "think"
    """Reasoning that stands apart from the answer: between <think> tags (or as the template has it), before the answer, or left out."""
    too_long: TooLong = "drop"
    """A conversation longer than a sequence: drop it, leave out its first turns as long as one is left to train, or stop."""
    max_too_long: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Stop when a larger share of the conversations is dropped or cropped for its length."""
    on_fault: Literal["drop", "error"] = "drop"
    """A conversation that the template refuses or writes in part, with two BOS, with no trained token or no trained end: drop, or stop."""
    holdout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the conversations held out, drawn by their ids."""

    def fingerprint(self) -> Any:
        """The libraries' versions."""
        return {"tokenizers": library_version("tokenizers"), "jinja2": library_version("jinja2")}

    def problems(self, upstream: Mapping[str, Stage | Artifact]) -> list[tuple[str, str]]:
        tokenizer = upstream.get("tokenizer")
        if self.template != OWN and isinstance(tokenizer, TrainTokenizer) and tokenizer.from_ is None:
            missing = TEMPLATES[self.template].controls() - set(tokenizer.controls)
            if missing:
                lacking = ", ".join(sorted(missing))
                return [("template", f"{self.template} needs {lacking}: set `special: {self.template}` in the tokenizer stage")]
        return []

    def make(self, context: Context) -> Facts:
        vocabulary = context.open(self.tokenizer).vocabulary()
        try:
            template = template_of(self.template, vocabulary)
        except DataError as error:
            raise DataError(f"{context.name}: {error.message}", remedy=error.remedy) from None
        function = _RenderShard(
            self.tag, vocabulary.folder, self.template, self.train_on, self.reasoning, self.length, self.too_long, self.on_fault
        )
        receipts = context.map(function, self._shards(context), "chats")
        counts = add_counts(receipt.counts for receipt in receipts)
        extras = {name: counts.pop(name, 0) for name in EXTRAS}
        self._judge(context.name, counts, extras["cropped_chats"])
        layout = Layout(self.length, self.packing, "document", self.holdout, context.seed)
        report = join_shards(context.out, vocabulary, layout, Writer(template, vocabulary).jinja)
        layout.check_split(context.name, counts["kept"], report, "conversation")
        return Facts(counts, {**report, **extras})

    def _shards(self, context: Context) -> list[Shard]:
        """Of all inputs; names begin with the input's number where there are several."""
        if isinstance(self.input, Ref):
            return context.open(self.input).shards()
        opened = [context.open(ref) for ref in self.input]
        return [replace(shard, name=f"{number:02d}-{shard.name}") for number, chats in enumerate(opened) for shard in chats.shards()]

    def _judge(self, stage: str, counts: Mapping[str, int], cropped: int) -> None:
        records_in = counts.get("records_in", 0)
        long = counts.get("dropped/too_long", 0) + cropped
        reasons = ", ".join(f"{number} {name.partition('/')[2]}" for name, number in counts.items() if name.startswith("dropped/"))
        if not counts.get("kept"):
            raise DataError(
                f"{stage}: no conversation is left of {records_in}{f' ({reasons})' if reasons else ''}",
                remedy="raise length or set too_long: crop_prompt"
                if long
                else "`ropewalk preview` shows them; another template may know them",
            )
        if long > self.max_too_long * records_in:
            raise DataError(
                f"{stage}: {long} of {records_in} conversations are longer than {self.length} positions ({long / records_in:.0%})",
                remedy="raise length, or max_too_long if they may go",
            )


@dataclass(frozen=True)
class _RenderShard:
    stage: str
    tokenizer: Path
    template: str
    train_on: TrainOn
    reasoning: Reasoning
    length: int
    too_long: TooLong
    on_fault: Literal["drop", "error"]

    def __call__(self, shard: Shard, folder: Path) -> Outcome:
        vocabulary = kept_vocabulary(self.tokenizer)
        writer = Writer(template_of(self.template, vocabulary), vocabulary, self.reasoning)
        encoded, ledger = EncodedShard(vocabulary.size), Ledger(self.stage)
        extras = dict.fromkeys(EXTRAS, 0)
        records_in = 0
        for chat in read_chats(shard.content):
            records_in += 1
            extras["spelt_controls"] += writer.spelt_controls(chat)
            written, whole = self._written(chat, writer)
            if isinstance(written, Rejected):
                self._refuse(chat, written)
                ledger.add(chat.id, written.reason, float(whole), written.witness)
                continue
            rendering, ids, trained = written
            trained_bytes = sum(len(piece.text.encode()) for piece in rendering.pieces if piece.trained and not piece.control)
            encoded.add(chat.id, chat.source, trained_bytes, ids, trained)
            extras["cropped_tokens"] += whole - len(ids)
            extras["cropped_chats"] += whole > len(ids)
            extras["ends_added"] += rendering.ends_added
        encoded.write(folder, shard.name)
        ledger.write(folder / "ledger" / f"{shard.name}.parquet")
        return Outcome({**tally(records_in, len(encoded.ids), ledger.reasons()), **extras})

    def _written(self, chat: Chat, writer: Writer) -> tuple[tuple[Rendering, NDArray[np.int64], NDArray[np.bool_]] | Rejected, int]:
        """(rendering, ids, mask) or what is wrong; and the number of tokens before any turn was left out."""
        found = self._encoded(chat, writer)
        whole = 0 if isinstance(found, Rejected) else len(found[1])
        while not isinstance(found, Rejected) and len(found[1]) - 1 > self.length:
            if self.too_long != "crop_prompt" or len(chat.messages) < 2:
                return Rejected("too_long", f"{len(found[1]) - 1} positions"), whole
            chat = _shortened(chat)
            found = self._encoded(chat, writer)
        return found, whole

    def _encoded(self, chat: Chat, writer: Writer) -> tuple[Rendering, NDArray[np.int64], NDArray[np.bool_]] | Rejected:
        rendering = writer.write(chat, self.train_on)
        if isinstance(rendering, Rejected):
            return rendering
        ids, trained = encode_pieces(rendering.pieces, writer.vocabulary)
        if not trained[1:].any():
            return Rejected("nothing_trained", chat.id)
        if rendering.unended:
            return Rejected("end_not_trained", f"{rendering.unended} turns")
        if len(ids) > 1 and ids[0] == ids[1] == writer.vocabulary.bos_id:
            return Rejected("two_bos", chat.id)
        return rendering, ids, trained

    def _refuse(self, chat: Chat, fault: Rejected) -> None:
        if fault.reason == "too_long" and self.too_long == "error":
            raise DataError(
                f"{self.stage}: chat {chat.id!r} has {fault.witness}, a sequence {self.length}",
                remedy="raise length, or set too_long: drop or crop_prompt",
            )
        if fault.reason != "too_long" and self.on_fault == "error":
            remedy = "mend the conversation or the template, or set on_fault: drop"
            raise DataError(f"{self.stage}: chat {chat.id!r}: {fault.reason} ({fault.witness})", remedy=remedy)


def _shortened(chat: Chat) -> Chat:
    """Without the first turn; the system's stays while there is another one."""
    first = 1 if chat.messages[0].role == "system" and len(chat.messages) > 2 else 0
    return replace(chat, messages=(*chat.messages[:first], *chat.messages[first + 1 :]))
