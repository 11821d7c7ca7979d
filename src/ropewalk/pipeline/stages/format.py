"""The format stage: records of instruction sets become Chats; what doesn't fit goes to the ledger with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from ropewalk.core.artifact import Artifact, digest
from ropewalk.core.errors import DataError
from ropewalk.core.ledger import Ledger, add_counts, tally
from ropewalk.core.shards import Outcome, Shard
from ropewalk.data.chats import Chats, write_chats
from ropewalk.data.examples import first_examples
from ropewalk.data.formatters.formatter import Formatter
from ropewalk.data.records import Chat, Rejected
from ropewalk.data.sources.intake import Intake, judge_intake
from ropewalk.data.sources.source import Source
from ropewalk.pipeline.stage import Context, Facts, Stage


class Format(Stage, type="format"):
    """Turns raw records into conversations."""

    makes: ClassVar[type[Artifact]] = Chats

    source: Source
    """Where the records come from."""
    formatter: Formatter = Field(default="messages", validate_default=True)
    """Which schema they have."""

    def make(self, context: Context) -> Facts:
        self.source.check()
        source = self.source.ready(context.work / "fetched").source
        receipts = context.map(_FormatShard(self.tag, source, self.formatter), source.shards(), "records")
        counts = add_counts([tally(0, 0, {}), *(receipt.counts for receipt in receipts)])
        judge_intake(self.source, counts, first_examples(receipt.metrics["examples"] for receipt in receipts))
        if not counts["kept"]:
            reasons = ", ".join(f"{name.partition('/')[2]}: {number}" for name, number in counts.items() if "/" in name)
            raise DataError(
                f"{context.name}: none of {counts['records_in']} records fits the {self.formatter.tag} format ({reasons})",
                remedy="name another formatter; `ropewalk list formatter` shows them",
            )
        return Facts(counts)


@dataclass(frozen=True)
class _FormatShard:
    stage: str
    source: Source
    formatter: Formatter

    def __call__(self, shard: Shard, folder: Path) -> Outcome:
        dropped, aside, chats = Ledger(self.stage), Ledger(self.stage), []
        intake = Intake(self.source, aside)
        seen: set[str] = set()
        for record in intake.sift(self.source.records(shard)):
            id_ = _id_of(record)
            found = self.formatter.format(record, id_)
            if isinstance(found, Chat) and id_ in seen:
                found = Rejected("same_id_again", id_)
            if isinstance(found, Rejected):
                dropped.add(id_, found.reason, witness=found.witness)
                continue
            seen.add(id_)
            named = str(record.get("source") or self.source.name or self.source.tag)
            chats.append(Chat(found.id, found.messages, found.tools, named, self.source.license))
        write_chats(chats, folder / "chats" / f"{shard.name}.parquet")
        Ledger(self.stage, [*dropped.entries, *aside.entries]).write(folder / "ledger" / f"{shard.name}.parquet")
        intake.write(folder / "quarantine" / f"{shard.name}.parquet")
        counts = tally(intake.records_in, len(chats), dropped.reasons(), intake.quarantined)
        return Outcome(counts, {"examples": intake.examples.shown})


def _id_of(record: Any) -> str:
    """The record's own id, else one made from its content."""
    found = record.get("id")
    return str(found) if found not in (None, "") else digest({str(name): str(value) for name, value in record.items()})
