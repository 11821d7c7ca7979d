"""What comes in under a source's policy: good records go on, bad ones are counted, listed and set aside, or stop the stage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from ropewalk.core.errors import DataError
from ropewalk.core.ledger import Ledger, write_table
from ropewalk.data.examples import Examples
from ropewalk.data.records import Rejected
from ropewalk.data.sources.fields import REASONS
from ropewalk.data.sources.file_source import CORRUPT, IN_CORRUPT
from ropewalk.data.sources.source import Source

T = TypeVar("T")
HOPELESS = 10_000  # so many bad records, and more bad than good: the mapping is wrong, and reading on only fills the ledger


class Intake:
    """Sifts one shard's records: `for document in intake.sift(source.read(shard))`, then `write`."""

    def __init__(self, source: Source, ledger: Ledger) -> None:
        self.source = source
        self.ledger = ledger
        self.examples = Examples()
        self.records_in = 0
        self.quarantined: Counter[str] = Counter()
        self.corrupt: list[str] = []
        self._aside: list[Rejected] = []

    def sift(self, items: Iterable[T | Rejected]) -> Iterator[T]:
        """The good ones. Raises DataError for a bad one where the policy is `error`, or when nearly all are bad."""
        for item in items:
            self.records_in += 1
            if isinstance(item, Rejected):
                self._reject(item)
            else:
                yield item

    def _reject(self, item: Rejected) -> None:
        if item.reason == CORRUPT:  # on_corrupt has decided
            self.corrupt.append(item.witness)
        elif item.reason != IN_CORRUPT and self.source.on_bad_record == "error":
            raise DataError(
                f"{item.witness}: {REASONS.get(item.reason, item.reason)}",
                remedy="mend it, or set on_bad_record: quarantine (set bad records aside) or skip (leave them out)",
            )
        place = item.witness.partition(": ")[0]
        self.ledger.add(place, item.reason, witness=item.witness)
        self.quarantined[item.reason] += 1
        self.examples.add(item.reason, place, item.raw[:1000].decode("utf-8", "replace"), witness=item.witness)
        if self.source.on_bad_record == "quarantine":
            self._aside.append(item)
        bad = self.quarantined.total() - self.quarantined[CORRUPT] - self.quarantined[IN_CORRUPT]
        if bad >= HOPELESS and bad > max(0.5, self.source.max_bad_fraction) * self.records_in:
            raise too_many_bad(self.quarantined, self.records_in, self.source, {})

    def write(self, path: Path) -> None:
        """Put the bad records with their raw bytes into a Parquet file (place, reason, witness, raw); none, no file."""
        import pyarrow as pa

        if self._aside:
            columns = {
                "place": pa.array([item.witness.partition(": ")[0] for item in self._aside], pa.string()),
                "reason": pa.array([item.reason for item in self._aside], pa.string()),
                "witness": pa.array([item.witness for item in self._aside], pa.string()),
                "raw": pa.array([item.raw for item in self._aside], pa.large_binary()),
            }
            write_table(pa.table(columns), path)


def judge_intake(source: Source, counts: Mapping[str, int], examples: Mapping[str, list[dict[str, object]]]) -> None:
    """Raises DataError when a larger share of all records was bad than `max_bad_fraction` allows; `counts` are the stage's."""
    reasons = {name.partition("/")[2]: number for name, number in counts.items() if name.startswith("quarantined/")}
    bad = {reason: number for reason, number in reasons.items() if reason not in (CORRUPT, IN_CORRUPT)}
    records_in = counts["records_in"]
    share = source.max_bad_fraction
    if share and records_in < 1 / share:  # fewer can't tell such a share
        share = max(share, 0.5)
    if sum(bad.values()) > share * records_in:
        raise too_many_bad(bad, records_in, source, examples)


def too_many_bad(reasons: Mapping[str, int], records_in: int, source: Source, examples: Mapping[str, list[dict[str, object]]]) -> DataError:
    """The error, with each reason's number and first place."""
    bad = sum(reasons.values())
    lines = []
    for reason, number in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
        first = examples.get(reason, [])
        lines.append(f"  {number:,} {reason} ({REASONS.get(reason, reason)})" + (f", first at {first[0]['witness']}" if first else ""))
    remedy = "look at them; if they may go, raise max_bad_fraction"
    if reasons.get("no_text", 0) > bad / 2:
        remedy = "name the field that holds the text, such as text: body, in the source; if they may go, raise max_bad_fraction"
    return DataError(
        f"{bad:,} of {records_in:,} records are bad ({bad / records_in:.2%}; max_bad_fraction is {source.max_bad_fraction}):\n"
        + "\n".join(lines),
        remedy=remedy,
    )
