"""The render_pairs stage: Pairs become Tokens in which each sequence is one prompt's answers; the prompt's ids are the same in all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version as library_version
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ropewalk.core.artifact import Artifact
from ropewalk.core.component import Component
from ropewalk.core.errors import DataError
from ropewalk.core.ledger import Ledger, add_counts, tally
from ropewalk.core.reference import Ref
from ropewalk.core.shards import Outcome, Shard
from ropewalk.core.units import Count
from ropewalk.data.chat import OWN, TEMPLATES, Writer, template_of
from ropewalk.data.masks import encode_pieces
from ropewalk.data.pairs import Answer, Pair, Pairs, read_pairs
from ropewalk.data.records import Rejected
from ropewalk.data.token_store import EncodedShard, Layout, join_shards
from ropewalk.data.tokenizer import Tokenizer, Vocabulary, kept_vocabulary
from ropewalk.data.tokens import Grouping, Tokens
from ropewalk.pipeline.stage import Context, Facts, Stage
from ropewalk.pipeline.stages.render import TemplateName
from ropewalk.pipeline.stages.tokenizer import TrainTokenizer

TooLong = Literal["drop", "crop_prompt", "error"]
Encoded = tuple[NDArray[np.int64], NDArray[np.bool_]]
NOTHING: Encoded = (np.zeros(0, np.int64), np.zeros(0, np.bool_))


class RenderPairs(Stage, type="render_pairs"):
    """Writes each answer behind its prompt in a chat template; answers are scored, prompts are not."""

    makes: ClassVar[type[Artifact]] = Tokens
    seeded: ClassVar[bool] = True

    input: Ref[Pairs]
    """The preferences."""
    tokenizer: Ref[Tokenizer]
    """Must have the template's control tokens."""
    judged: bool = False
    """For the task kto: each answer by itself, good or bad, beside one that answers another prompt. Otherwise single answers are
    dropped, and a sequence is a chosen and a rejected answer."""
    template: TemplateName = "chatml"
    """How turns are written."""
    length: Annotated[Count, Field(gt=0)]
    """Positions of the longest answer with its prompt."""
    too_long: TooLong = "drop"
    """A pair with an answer that is longer: drop it, leave out the prompt's first turns as long as one is left, or stop."""
    holdout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the pairs held out, drawn by their ids."""

    def fingerprint(self) -> Any:
        """The tokenizer library's version."""
        return {"tokenizers": library_version("tokenizers"), "jinja2": library_version("jinja2")}

    def problems(self, upstream: Mapping[str, Stage | Artifact]) -> list[tuple[str, str]]:
        return missing_controls(self.template, upstream.get("tokenizer"))

    def make(self, context: Context) -> Facts:
        vocabulary = context.open(self.tokenizer).vocabulary()
        try:
            writer = Writer(template_of(self.template, vocabulary), vocabulary)
        except DataError as error:
            raise DataError(f"{context.name}: {error.message}", remedy=error.remedy) from None
        shard_function = _RenderShard(self.tag, vocabulary.folder, self.template, self.judged, self.length, self.too_long)
        receipts = context.map(shard_function, context.open(self.input).shards(), "pairs")
        counts = add_counts(receipt.counts for receipt in receipts)
        sequences, cropped = counts.pop("sequences"), counts.pop("cropped_tokens")
        if not sequences:
            reasons = ", ".join(name.partition("/")[2] for name in counts if "/" in name)
            raise DataError(f"{context.name}: no pair is left of {counts['records_in']} ({reasons})", remedy="raise length, or see judged")
        grouping: Grouping = "judged" if self.judged else "pairs"
        layout = Layout(self.length, grouping, "document", self.holdout, context.seed)
        report = join_shards(context.out, vocabulary, layout, writer.jinja)
        layout.check_split(context.name, counts["kept"], report, "pair")
        return Facts(counts, {**report, "sequences": sequences, "cropped_tokens": cropped})


def missing_controls(template: str, tokenizer: Component | Artifact | None) -> list[tuple[str, str]]:
    """The problem of a tokenizer stage that reserves too few control tokens for a template."""
    if template != OWN and isinstance(tokenizer, TrainTokenizer) and tokenizer.from_ is None:
        missing = TEMPLATES[template].controls() - set(tokenizer.controls)
        if missing:
            return [("template", f"{template} needs {', '.join(sorted(missing))}: set `special: {template}` in the tokenizer stage")]
    return []


@dataclass(frozen=True)
class _RenderShard:
    stage: str
    tokenizer: Path
    template: str
    judged: bool
    length: int
    too_long: TooLong

    def __call__(self, shard: Shard, folder: Path) -> Outcome:
        vocabulary = kept_vocabulary(self.tokenizer)
        writer = Writer(template_of(self.template, vocabulary), vocabulary)
        encoded, ledger = EncodedShard(vocabulary.size), Ledger(self.stage)
        records_in = kept = sequences = cropped = 0
        answers = [answer for pair in read_pairs(shard.content) for answer in pair.answers()] if self.judged else []
        at = 0
        for pair in read_pairs(shard.content):
            records_in += 1
            at += len(pair.answers())
            others = [other for other in (*answers[at:], *answers[:at]) if other not in pair.answers()][:1] if self.judged else []
            groups, lost, reason = self._groups(pair, others, writer)
            if reason:
                ledger.add(pair.id, reason)
                continue
            for group in groups:
                for ids, trained in group:
                    encoded.add(pair.id, pair.source, _bytes(ids, trained, vocabulary), ids, trained)
            kept, sequences, cropped = kept + 1, sequences + len(groups), cropped + lost
        encoded.write(folder, shard.name)
        ledger.write(folder / "ledger" / f"{shard.name}.parquet")
        return Outcome({**tally(records_in, kept, ledger.reasons()), "sequences": sequences, "cropped_tokens": cropped})

    def _groups(self, pair: Pair, others: list[Answer], writer: Writer) -> tuple[list[list[Encoded]], int, str]:
        """(groups of answers that are a sequence each, tokens cropped, or the reason why there are none)."""
        if not self.judged and (pair.chosen is None or pair.rejected is None):
            return [], 0, "single_answer"
        if self.judged and not others:
            return [], 0, "no_other_answer"
        whole = 0
        while True:
            sides = dict[str, Encoded]()
            for side, answer in _sides(pair):
                found = _encode(pair, answer, writer)
                if isinstance(found, Rejected):
                    return [], 0, found.reason
                sides[side] = found
            longest = max(len(ids) for ids, _ in sides.values())
            whole = whole or sum(len(ids) for ids, _ in sides.values())
            if longest - 1 <= self.length or self.too_long != "crop_prompt" or len(pair.prompt) == 1:
                break
            pair = replace(pair, prompt=pair.prompt[1:])
        if longest - 1 > self.length and self.too_long == "error":
            raise DataError(
                f"{self.stage}: pair {pair.id!r} has an answer of {longest - 1} positions, a sequence {self.length}",
                remedy="raise length, or set too_long: drop or crop_prompt",
            )
        if longest - 1 > self.length:
            return [], 0, "too_long"
        lost = whole - sum(len(ids) for ids, _ in sides.values())
        if not self.judged:
            return [[sides["chosen"], sides["rejected"]]], lost, ""
        other = _encode(pair, others[0], writer)
        if isinstance(other, Rejected):
            return [], 0, other.reason
        strange = (other[0][: self.length + 1], other[1][: self.length + 1])
        if not strange[1].any():
            return [], 0, "too_long"
        return [[sides[side] if side == own else NOTHING for side in ("chosen", "rejected")] + [strange] for own in sides], lost, ""


def _encode(pair: Pair, answer: Answer, writer: Writer) -> Encoded | Rejected:
    """The prompt is encoded by itself, as it is when the model is asked: its ids depend on no answer."""
    rendering = writer.write(pair.chat(answer), "last")
    if isinstance(rendering, Rejected):
        return rendering
    last = max((place for place, piece in enumerate(rendering.pieces) if piece.trained), default=-1)
    pieces = rendering.pieces[: last + 1]  # what a template writes behind the answer's end is no part of it
    first = next((place for place, piece in enumerate(pieces) if piece.trained), 0)
    if not first:
        return Rejected("nothing_trained", pair.id)
    if rendering.unended:
        return Rejected("end_not_trained", pair.id)
    parts = [encode_pieces(part, writer.vocabulary) for part in (pieces[:first], pieces[first:])]
    return np.concatenate([ids for ids, _ in parts]), np.concatenate([trained for _, trained in parts])


def _sides(pair: Pair) -> Iterator[tuple[str, Answer]]:
    for side, answer in (("chosen", pair.chosen), ("rejected", pair.rejected)):
        if answer is not None:
            yield side, answer


def _bytes(ids: NDArray[np.int64], trained: NDArray[np.bool_], vocabulary: Vocabulary) -> int:
    """Of the answer's text."""
    controls = set(vocabulary.controls.values())
    return len(vocabulary.decode([id_ for id_ in ids[trained].tolist() if id_ not in controls]).encode())
