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
from ropewalk.data.chat import TEMPLATES, TrainOn, encode_pieces
from ropewalk.data.chats import Chats, read_chats
from ropewalk.data.token_store import EncodedShard, Layout, join_shards
from ropewalk.data.tokenizer import Tokenizer, Vocabulary
from ropewalk.data.tokens import Packing, Tokens
from ropewalk.pipeline.stage import Context, Facts, Stage
from ropewalk.pipeline.stages.tokenizer import TrainTokenizer

TooLong = Literal["drop", "crop_prompt", "error"]


class Render(Stage, type="render"):
    """Writes conversations in a chat template and marks the tokens to be trained."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)
    makes: ClassVar[type[Artifact]] = Tokens
    seeded: ClassVar[bool] = True

    input: Ref[Chats]
    """The conversations."""
    tokenizer: Ref[Tokenizer]
    """Must have the template's control tokens."""
    for_: Literal["sft"] = Field(default="sft", alias="for")
    """What the tokens are for."""
    template: Literal["chatml", "plain"] = "chatml"
    """How turns are written."""
    length: Annotated[Count, Field(gt=0)]
    """Positions of a full sequence."""
    packing: Packing = "best_fit"
    """How conversations share sequences; attention never crosses from one to another."""
    train_on: TrainOn = "assistant"
    """All assistant turns, the last one only, or everything but tool output."""
    too_long: TooLong = "drop"
    """A conversation longer than a sequence: drop it, leave out its first turns as long as one is left to train, or stop."""
    holdout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the conversations held out, drawn by their ids."""

    def fingerprint(self) -> Any:
        """The tokenizer library's version."""
        return {"tokenizers": library_version("tokenizers")}

    def problems(self, upstream: Mapping[str, Stage | Artifact]) -> list[tuple[str, str]]:
        tokenizer = upstream.get("tokenizer")
        if isinstance(tokenizer, TrainTokenizer) and tokenizer.from_ is None:
            missing = TEMPLATES[self.template].controls() - set(tokenizer.controls)
            if missing:
                lacking = ", ".join(sorted(missing))
                return [("template", f"{self.template} needs {lacking}: set `special: {self.template}` in the tokenizer stage")]
        return []

    def make(self, context: Context) -> Facts:
        vocabulary = context.open(self.tokenizer).vocabulary()
        if missing := TEMPLATES[self.template].controls() - set(vocabulary.controls):
            raise DataError(f"{context.name}: the tokenizer lacks {', '.join(sorted(missing))}", remedy=f"set `special: {self.template}`")
        shard_function = _RenderShard(self.tag, vocabulary.folder, self.template, self.train_on, self.length, self.too_long)
        receipts = context.map(shard_function, context.open(self.input).shards(), "chats")
        counts = add_counts(receipt.counts for receipt in receipts)
        cropped, spelt = counts.pop("cropped_tokens"), counts.pop("spelt_controls")
        if not counts["kept"]:
            remedy = "raise length or set too_long: crop_prompt"
            raise DataError(f"{context.name}: no conversation is left of {counts['records_in']}", remedy=remedy)
        layout = Layout(self.length, self.packing, "document", self.holdout, context.seed)
        report = join_shards(context.out, vocabulary, layout, TEMPLATES[self.template].jinja)
        layout.check_split(context.name, counts["kept"], report, "conversation")
        return Facts(counts, {**report, "cropped_tokens": cropped, "spelt_controls": spelt})


@dataclass(frozen=True)
class _RenderShard:
    stage: str
    tokenizer: Path
    template: str
    train_on: TrainOn
    length: int
    too_long: TooLong

    def __call__(self, shard: Shard, folder: Path) -> Outcome:
        vocabulary, template = Vocabulary(self.tokenizer), TEMPLATES[self.template]
        encoded, ledger = EncodedShard(vocabulary.size), Ledger(self.stage)
        records_in = cropped = spelt = 0
        for chat in read_chats(shard.content):
            records_in += 1
            ids, trained = encode_pieces(template.pieces(chat, self.train_on), vocabulary)
            spelt += sum(vocabulary.spelt_controls(turn.content) for turn in chat.messages if "<|" in turn.content)
            whole = len(ids)
            while self.too_long == "crop_prompt" and len(ids) - 1 > self.length and len(chat.messages) > 1:
                chat = replace(chat, messages=chat.messages[1:])
                ids, trained = encode_pieces(template.pieces(chat, self.train_on), vocabulary)
            over = len(ids) - 1 - self.length
            if over > 0 and self.too_long == "error":
                raise DataError(
                    f"{self.stage}: chat {chat.id!r} has {len(ids) - 1} positions, a sequence {self.length}",
                    remedy="raise length, or set too_long: drop or crop_prompt",
                )
            reason = "too_long" if over > 0 else _lint(ids, trained, vocabulary)
            if reason:
                ledger.add(chat.id, reason, float(len(ids)))
                continue
            pieces = template.pieces(chat, self.train_on)
            trained_bytes = sum(len(piece.text.encode()) for piece in pieces if piece.trained and not piece.control)
            encoded.add(chat.id, chat.source, trained_bytes, ids, trained)
            cropped += whole - len(ids)
        encoded.write(folder, shard.name)
        ledger.write(folder / "ledger" / f"{shard.name}.parquet")
        counts = tally(records_in, len(encoded.ids), ledger.reasons())
        return Outcome({**counts, "cropped_tokens": cropped, "spelt_controls": spelt})


def _lint(ids: NDArray[np.int64], trained: NDArray[np.bool_], vocabulary: Vocabulary) -> str:
    """Why a rendering must not be trained on; empty when it is sound."""
    if not trained[1:].any():
        return "nothing_trained"
    if len(ids) > 1 and ids[1] == vocabulary.bos_id:
        return "two_bos"
    return ""
