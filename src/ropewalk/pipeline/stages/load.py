"""The load stage: reads a source into a Corpus, shard by shard, with every bad record accounted for."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ropewalk.core.artifact import Artifact
from ropewalk.core.errors import DataError
from ropewalk.core.ledger import Ledger, add_counts, tally
from ropewalk.core.shards import Outcome, Receipt, Shard
from ropewalk.data.corpus import Corpus
from ropewalk.data.examples import first_examples
from ropewalk.data.sources.intake import Intake, judge_intake
from ropewalk.data.sources.parts import Parts
from ropewalk.data.sources.source import Source
from ropewalk.data.sources.unique_ids import Rename, repeated_ids
from ropewalk.pipeline.stage import Context, Facts, Stage


class Load(Stage, type="load"):
    """Reads documents from a source. Of several with one id the first keeps it, the others become `ID#2`, `ID#3`."""

    makes: ClassVar[type[Artifact]] = Corpus

    source: Source
    """Where they come from."""

    def make(self, context: Context) -> Facts:
        """A Corpus; DataError when a source can't be read as its policies want, or when nothing is in it."""
        self.source.check()
        ready = self.source.ready(context.work / "fetched")
        receipts = context.map(_LoadShard(self.tag, ready.source), ready.source.shards())
        counts = add_counts([tally(0, 0, {}), *(receipt.counts for receipt in receipts)])
        facts = _merged(receipts)
        judge_intake(self.source, counts, facts["examples"])
        bad = ", ".join(f"{number:,} {name.partition('/')[2]}" for name, number in counts.items() if "/" in name)
        if not counts["kept"]:
            why = f"all {counts['records_in']:,} records are bad: {bad}" if counts["records_in"] else "there are no records"
            raise DataError(f"{context.name}: nothing to load: {why}", remedy="look at the source's path and at its fields")
        if counts["quarantined"]:
            places = [str(shown[0]["witness"]) for shown in facts["examples"].values() if shown]
            first = f"; the first at {places[0]}" if places else ""
            what = "set aside" if self.source.on_bad_record == "quarantine" else "left out"
            share = f"{counts['quarantined']} of {counts['records_in']} records"
            context.log.warning("%s: %s %s: %s%s", context.name, share, what, bad, first)
        for line in facts["corrupt"]:
            context.log.warning("%s: %s", context.name, line)
        if ready.fetched:
            facts["fetched"] = list(ready.fetched)
        facts["repeated_ids"] = _make_ids_unique(context)
        return Facts({**counts, "corrupt_files": len(facts["corrupt"])}, facts)


@dataclass(frozen=True)
class _LoadShard:
    """Shard function: one piece of the source."""

    stage: str
    source: Source

    def __call__(self, shard: Shard, folder: Path) -> Outcome:
        ledger = Ledger(self.stage)
        intake = Intake(self.source, ledger)
        parts = Parts(folder, shard.name)
        documents: Counter[str] = Counter()
        text_bytes: Counter[str] = Counter()
        licenses: dict[str, str] = {}
        for document in intake.sift(self.source.read(shard)):
            documents[document.source] += 1
            text_bytes[document.source] += parts.add(document)
            licenses.setdefault(document.source, document.license)
        parts.flush()
        ledger.write(folder / "ledger" / f"{shard.name}.parquet")
        intake.write(folder / "quarantine" / f"{shard.name}.parquet")
        sources = {
            name: {"documents": number, "text_bytes": text_bytes[name], "license": licenses[name]} for name, number in documents.items()
        }
        counts = tally(intake.records_in, documents.total(), {}, intake.quarantined)
        return Outcome(counts, {"sources": sources, "examples": intake.examples.shown, "corrupt": intake.corrupt})


def _merged(receipts: list[Receipt]) -> dict[str, Any]:
    """The shards' metrics as the stage's."""
    sources: dict[str, dict[str, Any]] = {}
    for receipt in receipts:
        for name, facts in receipt.metrics["sources"].items():
            before: Mapping[str, Any] = sources.get(name, {"documents": 0, "text_bytes": 0, "license": facts["license"]})
            sources[name] = {**before, **{key: before[key] + facts[key] for key in ("documents", "text_bytes")}}
    return {
        "documents": sum(facts["documents"] for facts in sources.values()),
        "text_bytes": sum(facts["text_bytes"] for facts in sources.values()),
        "sources": dict(sorted(sources.items())),
        "examples": first_examples(receipt.metrics["examples"] for receipt in receipts),
        "corrupt": [line for receipt in receipts for line in receipt.metrics["corrupt"]],
    }


def _make_ids_unique(context: Context) -> int:
    """Write those files again in which an id is there a second time; returns how many ids changed."""
    files = sorted((context.out / "documents").glob("*.parquet"))
    renames = repeated_ids(files)
    if not renames:
        return 0
    before = context.out / ".before"
    before.mkdir()
    shards = []
    for path, rows in renames.items():
        path.rename(before / path.name)
        shards.append(Shard(f"{path.stem}_ids", (before / path.name, rows), (before / path.name).stat().st_size))
    context.map(Rename("load"), shards)
    shutil.rmtree(before)
    number = sum(map(len, renames.values()))
    context.log.warning("%s: %d ids were there before: those documents are now called ID#2 and so on", context.name, number)
    return number
