"""The spans stage: posts with annotations, or SQuAD files, become examples with character spans, each with its part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ropewalk.core.artifact import Artifact
from ropewalk.core.errors import DataError
from ropewalk.core.ledger import Ledger, tally
from ropewalk.data.annotations import Columns, Gathered, squad
from ropewalk.data.division import PARTS, Division, lonely
from ropewalk.data.records import Document
from ropewalk.data.sources.fields import value_at
from ropewalk.data.sources.intake import Intake, judge_intake
from ropewalk.data.sources.source import Source
from ropewalk.data.spans import SpanExample, Spans, write_spans
from ropewalk.pipeline.stage import Context, Facts, Stage


class MakeSpans(Stage, type="spans"):
    """Aligns annotations with their posts and divides the examples by group."""

    makes: ClassVar[type[Artifact]] = Spans

    posts: Source | None = None
    """The texts, whose ids the annotations name; goes with `annotations`."""
    annotations: Source | None = None
    """A record an annotated passage."""
    columns: Columns = Columns()
    """Where an annotation's parts stand."""
    squad: Source | None = None
    """In place of both: SQuAD v1 or v2 files, such as `{type: json, path: dev.json, rows: data}`."""
    group: str = ""
    """The field of a post's meta that keeps examples together in one part, such as its author; the post itself when left out."""
    fuzzy: Annotated[float, Field(ge=0.5, le=1)] = 0.9
    """How alike a passage must be to a quote that is not word for word in the post; 1 searches none such."""
    overlapping: Literal["keep", "drop"] = "keep"
    """Passages of one question that overlap: keep all as answers, or the first only."""
    division: Division = Division()
    """Which examples are learnt from, validated on and tested on."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        both = self.posts is not None and self.annotations is not None
        if both == (self.squad is not None) or (self.posts is None) != (self.annotations is None):
            raise ValueError("needs posts and annotations, or squad")
        return self

    def make(self, context: Context) -> Facts:
        ledger = Ledger(self.tag)
        if self.squad is not None:
            texts, examples, counts, facts = self._from_squad(context, ledger)
        else:
            texts, examples, counts, facts = self._from_annotations(context, ledger)
        if not examples:
            raise DataError(
                f"{context.name}: none of {counts['records_in']} records became an example: {ledger.reasons()}",
                remedy="look at columns, and at the posts' id",
            )
        parts = self.division.parts([one.group for one in examples], [one.label for one in examples])
        divided = [replace(one, part=part) for one, part in zip(examples, parts, strict=True)]
        write_spans(context.out, texts, divided)
        ledger.write(context.out / "ledger" / "00000.parquet")
        if alone := lonely([one.label for one in examples]):
            context.log.warning(
                "%s: %d labels have one example only, which is in one part: %s", context.name, len(alone), ", ".join(alone[:5])
            )
        table: dict[str, int] = {
            **facts,
            "examples": len(examples),
            "without_answer": sum(not one.spans for one in examples),
            **{str(part): parts.count(part) for part in PARTS},
        }
        context.log.info("%s: %s", context.name, ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in table.items()))
        by_label = {part: dict(sorted(Counter(one.label for one in divided if one.part == part).items())) for part in PARTS}
        return Facts(counts, {"table": table, "labels": by_label})

    def _from_annotations(
        self, context: Context, ledger: Ledger
    ) -> tuple[dict[str, str], list[SpanExample], dict[str, int], dict[str, int]]:
        assert self.posts is not None and self.annotations is not None, "checked when the recipe was read"
        texts: dict[str, str] = {}
        groups: dict[str, str] = {}
        for post in self._documents(context, self.posts):
            if post.id in texts:
                raise DataError(f"{context.name}: post {post.id!r} is there twice", remedy="remove one: annotations name posts by their id")
            group = value_at(post.meta, self.group) if self.group else post.id
            if not isinstance(group, str | int) or group == "":
                raise DataError(
                    f"{context.name}: post {post.id!r} has no {self.group!r} to be grouped by", remedy="name another field in group"
                )
            texts[post.id], groups[post.id] = post.text, str(group)
        gathered = Gathered(texts, groups, self.columns, self.fuzzy, self.overlapping, ledger)
        intake = Intake(self.annotations, Ledger(self.tag))
        for number, record in enumerate(self._records(context, self.annotations, intake)):
            if number == 0:
                self._check(record)
            gathered.add(record, str(record.get("annotation_id") or record.get("id") or f"row {number + 1}"))
        dropped = ledger.reasons()
        ledger.entries += intake.ledger.entries
        counts = tally(intake.records_in, gathered.kept, dropped, intake.quarantined)
        judge_intake(self.annotations, counts, intake.examples.shown)
        how = {f"aligned_{name}": gathered.how[name] for name in ("offset", "exact", "normalised", "fuzzy")}
        facts = {"posts": len(texts), "annotations": intake.records_in, **how, "not_aligned": gathered.how["not"]}
        return texts, gathered.examples(), counts, facts

    def _from_squad(self, context: Context, ledger: Ledger) -> tuple[dict[str, str], list[SpanExample], dict[str, int], dict[str, int]]:
        assert self.squad is not None, "checked when the recipe was read"
        texts: dict[str, str] = {}
        examples: list[SpanExample] = []
        intake = Intake(self.squad, Ledger(self.tag))
        for number, article in enumerate(self._records(context, self.squad, intake)):
            try:
                examples += squad(article, texts, f"article {number + 1}", ledger)
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(
                    f"{context.name}: article {number + 1} is not in SQuAD's form: {type(error).__name__} {error}",
                    remedy="SQuAD files hold data[].paragraphs[].qas[]: set rows: data in the source",
                ) from None
        if len({one.id for one in examples}) < len(examples):
            raise DataError(f"{context.name}: two questions have one id", remedy="give each question an id of its own")
        dropped = ledger.reasons()
        counts = tally(len(examples) + sum(dropped.values()), len(examples), dropped)
        return (
            texts,
            examples,
            counts,
            {"posts": len(texts), "annotations": counts["records_in"], "not_aligned": dropped.get("not_aligned", 0)},
        )

    def _check(self, record: Mapping[str, Any]) -> None:
        """Raises DataError for a column that the first record lacks."""
        named = {"post": self.columns.post, "quote": self.columns.quote, "start": self.columns.start, "end": self.columns.end}
        for role, column in named.items():
            if column and column not in record and column.partition(".")[0] not in record:
                raise DataError(
                    f"annotations have no column {column!r}; there are {', '.join(record)}", remedy=f"name it: columns: {{{role}: COLUMN}}"
                )

    def _documents(self, context: Context, source: Source) -> Iterator[Document]:
        source.check()
        ready = source.ready(context.work / "posts").source
        intake = Intake(source, Ledger(self.tag))
        for shard in ready.shards():
            yield from intake.sift(ready.read(shard))
        judge_intake(
            source, tally(intake.records_in, intake.records_in - intake.quarantined.total(), {}, intake.quarantined), intake.examples.shown
        )

    def _records(self, context: Context, source: Source, intake: Intake) -> Iterator[Mapping[str, Any]]:
        source.check()
        ready = source.ready(context.work / "annotations").source
        for shard in ready.shards():
            yield from intake.sift(ready.records(shard))
