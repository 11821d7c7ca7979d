"""The comparisons stage: records of people's choices between two answers, divided by prompt."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import ClassVar

from ropewalk.core.artifact import Artifact
from ropewalk.core.errors import DataError
from ropewalk.core.ledger import Ledger, tally
from ropewalk.data.comparisons import WINNERS, Comparisons, Form, PairColumns, comparison, write_comparisons
from ropewalk.data.division import PARTS, Division
from ropewalk.data.records import Rejected
from ropewalk.data.sources.intake import Intake, judge_intake
from ropewalk.data.sources.source import Source
from ropewalk.pipeline.stage import Context, Facts, Stage


class MakeComparisons(Stage, type="comparisons"):
    """Reads pairs of answers; a prompt's pairs are all in one part."""

    makes: ClassVar[type[Artifact]] = Comparisons

    source: Source
    """Where the records come from."""
    form: Form = "lmsys"
    """`lmsys`: JSON lists of turns and three winner columns. `pandalm`: instruction, input, two responses, annotators. `generic`: by
    columns."""
    columns: PairColumns = PairColumns()
    """Where the parts of the generic form stand."""
    division: Division = Division()
    """Which prompts are learnt from, validated on and tested on."""

    def make(self, context: Context) -> Facts:
        self.source.check()
        source = self.source.ready(context.work / "fetched").source
        ledger, intake = Ledger(self.tag), Intake(self.source, Ledger(self.tag))
        pairs, seen = [], set()
        for shard in source.shards():
            for record in intake.sift(source.records(shard)):
                found = comparison(record, self.form, self.columns)
                name = found.id if not isinstance(found, Rejected) else str(record.get("id", record.get("idx", intake.records_in)))
                if isinstance(found, Rejected):
                    ledger.add(name, found.reason, witness=found.witness)
                elif name in seen:
                    ledger.add(name, "same_id_again")
                else:
                    seen.add(name)
                    pairs.append(found)
        dropped = ledger.reasons()
        ledger.entries += intake.ledger.entries
        counts = tally(intake.records_in, len(pairs), dropped, intake.quarantined)
        judge_intake(self.source, counts, intake.examples.shown)
        if not pairs:
            first = next((entry.witness for entry in ledger.entries), "")
            raise DataError(
                f"{context.name}: none of {counts['records_in']} records is a comparison of form {self.form!r}: {dropped}; {first}",
                remedy="set form: lmsys, pandalm or generic, and columns for the last",
            )
        parts = self.division.parts([one.group for one in pairs], [str(one.winner) for one in pairs])
        divided = [replace(one, part=part) for one, part in zip(pairs, parts, strict=True)]
        write_comparisons(context.out, divided)
        ledger.write(context.out / "ledger" / "00000.parquet")
        winners = {part: {name: sum(one.winner == name for one in divided if one.part == part) for name in WINNERS} for part in PARTS}
        table: dict[str, int] = {
            "pairs": len(pairs),
            "prompts": len(Counter(one.group for one in pairs)),
            **{str(part): parts.count(part) for part in PARTS},
        }
        return Facts(counts, {"table": table, "winners": winners})
