"""The pairs stage: records of preference sets become Pairs; what can't be learned from goes to the ledger with its reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from ropewalk.core.artifact import Artifact, digest
from ropewalk.core.errors import DataError
from ropewalk.core.ledger import Ledger, add_counts, tally
from ropewalk.core.shards import Outcome, Shard
from ropewalk.data.examples import first_examples
from ropewalk.data.pair_formatters.pair_formatter import PairFormatter
from ropewalk.data.pairs import Pair, Pairs, checked, read_pairs, text_of, write_pairs
from ropewalk.data.records import Rejected
from ropewalk.data.sources.intake import Intake, judge_intake
from ropewalk.data.sources.source import Source
from ropewalk.evaluate.intervals import wilson
from ropewalk.pipeline.stage import Context, Facts, Stage


class MakePairs(Stage, type="pairs"):
    """Turns raw records into prompts with a chosen and a rejected answer.

    A prompt that both answers repeat is taken out of them and counted; one that only one of them repeats is ambiguous and dropped.
    """

    makes: ClassVar[type[Artifact]] = Pairs

    source: Source
    """Where the records come from."""
    formatter: PairFormatter = Field(default="chosen_rejected", validate_default=True)
    """Which schema they have."""

    def make(self, context: Context) -> Facts:
        self.source.check()
        source = self.source.ready(context.work / "fetched").source
        receipts = context.map(_PairShard(self.tag, source, self.formatter), source.shards(), "records")
        counts = add_counts([tally(0, 0, {}), *(receipt.counts for receipt in receipts)])
        judge_intake(self.source, counts, first_examples(receipt.metrics["examples"] for receipt in receipts))
        if not counts["kept"]:
            reasons = ", ".join(f"{name.partition('/')[2]}: {number}" for name, number in counts.items() if "/" in name)
            raise DataError(
                f"{context.name}: none of {counts['records_in']} records is a pair in the {self.formatter.tag} format ({reasons})",
                remedy="name another formatter; `ropewalk list pair_formatter` shows them",
            )
        metrics = describe(pair for path in sorted((context.out / "pairs").glob("*.parquet")) for pair in read_pairs(path))
        notes: Counter[str] = Counter()
        for receipt in receipts:
            notes.update(receipt.metrics["notes"])
        if metrics["duplicate_pairs"] or metrics["contradictions"]:
            context.log.warning(
                "%s: %d pairs are there twice, %d contradict another", context.name, metrics["duplicate_pairs"], metrics["contradictions"]
            )
        return Facts(counts, {**metrics, **{f"notes/{name}": number for name, number in sorted(notes.items())}})


@dataclass(frozen=True)
class _PairShard:
    stage: str
    source: Source
    formatter: PairFormatter

    def __call__(self, shard: Shard, folder: Path) -> Outcome:
        dropped, noted, pairs = Ledger(self.stage), Ledger(self.stage), []
        intake, notes, seen = Intake(self.source, noted), Counter[str](), set[str]()
        for record in intake.sift(self.source.records(shard)):
            given = record.get("id")
            id_ = str(given) if given not in (None, "") else digest({str(name): str(value) for name, value in record.items()})
            found = self.formatter.format(record, id_)
            if isinstance(found, Pair):
                found = Rejected("same_id_again", id_) if id_ in seen else checked(found)
            if isinstance(found, Rejected):
                dropped.add(id_, found.reason, witness=found.witness)
                continue
            seen.add(id_)
            for note in found.notes:
                noted.add(id_, note)
                notes[note] += 1
            named = str(record.get("source") or self.source.name or self.source.tag)
            pairs.append(replace(found, source=named, license=self.source.license))
        write_pairs(pairs, folder / "pairs" / f"{shard.name}.parquet")
        Ledger(self.stage, [*dropped.entries, *noted.entries]).write(folder / "ledger" / f"{shard.name}.parquet")
        intake.write(folder / "quarantine" / f"{shard.name}.parquet")
        counts = tally(intake.records_in, len(pairs), dropped.reasons(), intake.quarantined)
        return Outcome(counts, {"examples": intake.examples.shown, "notes": dict(notes)})


def describe(pairs: Any) -> dict[str, Any]:
    """Length bias, duplicates and contradictions over all shards: what a model could learn in place of what was meant."""
    both = longer = equal = single = duplicates = contradictions = 0
    characters = [0, 0]
    whole: set[str] = set()
    sources: dict[str, dict[str, Any]] = {}
    for pair in pairs:
        facts = sources.setdefault(pair.source, {"documents": 0, "license": pair.license})
        facts["documents"] += 1
        prompt, chosen, rejected = (text_of(turns or ()) for turns in (pair.prompt, pair.chosen, pair.rejected))
        key, swapped = digest([prompt, chosen, rejected]), digest([prompt, rejected, chosen])
        duplicates += key in whole
        contradictions += swapped in whole
        whole.add(key)
        if pair.chosen is None or pair.rejected is None:
            single += 1
            continue
        both += 1
        longer += len(chosen) > len(rejected)
        equal += len(chosen) == len(rejected)
        characters[0] += len(chosen)
        characters[1] += len(rejected)
    share = wilson(longer + 0.5 * equal, both)
    bias = {"chosen_longer": share.value, "chosen_longer_low": share.low, "chosen_longer_high": share.high} if both else {}
    means = {f"{name}_characters": total / both for name, total in zip(("chosen", "rejected"), characters, strict=True)} if both else {}
    found = {"pairs": both, "single_answers": single, "duplicate_pairs": duplicates, "contradictions": contradictions}
    return {**found, **bias, **means, "sources": sources}
