"""The format stage: records of instruction sets become Chats; what doesn't fit goes to the ledger with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ropewalk.core.artifact import Artifact, digest
from ropewalk.core.errors import DataError
from ropewalk.core.ledger import Ledger, add_counts, tally
from ropewalk.core.shards import Outcome, Shard
from ropewalk.core.units import Count
from ropewalk.data.chats import Chats, write_chats
from ropewalk.data.examples import first_examples
from ropewalk.data.formatters.auto import RECORDS, Auto, Candidate, detect
from ropewalk.data.formatters.formatter import Formatter
from ropewalk.data.records import Chat, Rejected
from ropewalk.data.sources.intake import Intake, judge_intake
from ropewalk.data.sources.source import Source
from ropewalk.pipeline.stage import Context, Facts, Stage

UNKNOWN = "unknown_format"


class Format(Stage, type="format"):
    """Turns raw records into conversations."""

    makes: ClassVar[type[Artifact]] = Chats

    source: Source
    """Where the records come from."""
    formatter: Formatter = Field(default="messages", validate_default=True)
    """Which schema they have; `auto` finds out for each file."""
    limit: Annotated[Count, Field(gt=0)] | None = None
    """How many records of each file, or of each part of a source without files, are read: the first ones."""

    def make(self, context: Context) -> Facts:
        self.source.check()
        source = self.source.ready(context.work / "fetched").source
        shards = source.shards()
        metrics: dict[str, Any] = {}
        chosen: dict[str, Formatter] | None = None
        if isinstance(self.formatter, Auto):
            found = dict(_detected(source, shards, self.formatter, context))
            chosen = {name: one.formatter for name, one in found.items()}
            metrics = {f"formats/{name or 'all'}": f"{one.formatter.tag} ({one.sure:.0%} sure)" for name, one in found.items()}
        function = _FormatShard(self.tag, source, self.formatter, chosen, self.limit)
        receipts = context.map(function, shards, "records")
        counts = add_counts([tally(0, 0, {}), *(receipt.counts for receipt in receipts)])
        records_read = counts.pop("records_read", 0)
        judge_intake(self.source, counts, first_examples(receipt.metrics["examples"] for receipt in receipts))
        if not counts["kept"]:
            reasons = ", ".join(f"{name.partition('/')[2]}: {number}" for name, number in counts.items() if "/" in name)
            raise DataError(
                f"{context.name}: none of {counts['records_in']} records fits the {self.formatter.tag} format ({reasons})",
                remedy="name another formatter; `ropewalk list formatter` shows them",
            )
        return Facts(counts, {**metrics, "records_read": records_read})


def _detected(source: Source, shards: list[Shard], auto: Auto, context: Context) -> Iterator[tuple[str, Candidate]]:
    """The format of each file; raises DataError for one of none, unless `auto` drops those."""
    for name, records in _first_records(source, shards).items():
        try:
            found = detect(records)
        except DataError as error:
            if auto.unknown == "error":
                remedy = f"{error.remedy} in a stage of its own, or set formatter: {{type: auto, unknown: drop}}"
                raise DataError(f"{context.name}: {name or 'the source'}: {error.message}", remedy=remedy) from None
            context.log.warning("%s: %s: %s; its records are dropped", context.name, name, error.message)
            continue
        context.log.info("%s: %s: %s, %.0f%% sure (%s)", context.name, name or "the source", found.formatter.tag, 100 * found.sure, found)
        yield name, found


def _first_records(source: Source, shards: Iterable[Shard]) -> dict[str, list[Mapping[str, Any]]]:
    """The first records of each file, bad ones left out."""
    heads: dict[str, list[Mapping[str, Any]]] = {}
    for shard in shards:
        for name, _, record in source.records_by_file(shard, RECORDS):
            head = heads.setdefault(name, [])
            if not isinstance(record, Rejected) and len(head) < RECORDS:
                head.append(record)
    return {name: head for name, head in heads.items() if head}


@dataclass(frozen=True)
class _FormatShard:
    stage: str
    source: Source
    formatter: Formatter
    chosen: Mapping[str, Formatter] | None
    """File -> formatter, where that was to be found out."""
    limit: int | None

    def __call__(self, shard: Shard, folder: Path) -> Outcome:
        dropped, aside, chats = Ledger(self.stage), Ledger(self.stage), list[Chat]()
        intake = Intake(self.source, aside)
        taken: dict[str, str] = {}
        records_in = 0
        for (file, label), records in groupby(self.source.records_by_file(shard, self.limit), key=lambda item: item[:2]):
            formatter = self.formatter if self.chosen is None else self.chosen.get(file)
            good = intake.sift(record for _, _, record in records)
            for record in good if formatter is None else formatter.gather(good):
                records_in += 1
                found = _formatted(formatter, record)
                if isinstance(found, Chat):
                    found = _told_apart(found, file, taken)
                if isinstance(found, Rejected):
                    dropped.add(_id_of(record), found.reason, witness=found.witness)
                    continue
                named = "" if isinstance(record, Rejected) else str(record.get("source") or "")
                source = named or self.source.name or label or self.source.tag
                chats.append(replace(found, source=source, license=self.source.license))
        write_chats(chats, folder / "chats" / f"{shard.name}.parquet")
        Ledger(self.stage, [*dropped.entries, *aside.entries]).write(folder / "ledger" / f"{shard.name}.parquet")
        intake.write(folder / "quarantine" / f"{shard.name}.parquet")
        quarantined = sum(intake.quarantined.values())
        counts = tally(records_in + quarantined, len(chats), dropped.reasons(), intake.quarantined)
        return Outcome({**counts, "records_read": intake.records_in}, {"examples": intake.examples.shown})


def _formatted(formatter: Formatter | None, record: Mapping[str, Any] | Rejected) -> Chat | Rejected:
    if isinstance(record, Rejected):
        return record
    id_ = _id_of(record)
    return Rejected(UNKNOWN, id_) if formatter is None else formatter.format(record, id_)


def _told_apart(chat: Chat, file: str, taken: dict[str, str]) -> Chat | Rejected:
    """The chat, when its id is new; another file's id (numbers are common) gets the file's name in front. `taken` is id -> file."""
    if chat.id in taken and taken[chat.id] != file:
        chat = replace(chat, id=f"{file}:{chat.id}")
    if chat.id in taken:
        return Rejected("same_id_again", chat.id)
    taken[chat.id] = file
    return chat


def _id_of(record: Mapping[str, Any] | Rejected) -> str:
    """The record's own id, else one made from its content."""
    if isinstance(record, Rejected):
        return record.witness
    found = record.get("id")
    return str(found) if found not in (None, "") else digest({str(name): str(value) for name, value in record.items()})
