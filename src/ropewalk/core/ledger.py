"""The ledger: every record that was dropped, changed or unreadable, and the identity that proves none is missing.

A stage's shard writes `ledger/NAME.parquet` (id, stage, reason, score, witness) beside `documents/NAME.parquet`.
`Counts` must satisfy records_in == kept + dropped + quarantined; `account` refuses an artifact where it does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ropewalk.core.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("id", "stage", "reason", "score", "witness")


@dataclass(frozen=True)
class Entry:
    """One line of the ledger; `witness` is what proves it: a duplicate's id, a bad line's file:line, a matched span."""

    id: str
    reason: str
    score: float | None = None
    witness: str = ""


@dataclass
class Ledger:
    """Collects entries of one shard and writes them; `stage` is the stage's type, since its name is in no key."""

    stage: str
    entries: list[Entry] = field(default_factory=list)

    def add(self, id: str, reason: str, score: float | None = None, witness: str = "") -> None:  # noqa: A002
        self.entries.append(Entry(id, reason, score, witness))

    def reasons(self) -> dict[str, int]:
        """How often each reason occurs, sorted by name."""
        counts: dict[str, int] = {}
        for entry in self.entries:
            counts[entry.reason] = counts.get(entry.reason, 0) + 1
        return dict(sorted(counts.items()))

    def table(self) -> pa.Table:
        import pyarrow as pa

        return pa.table(
            {
                "id": pa.array([entry.id for entry in self.entries], pa.string()),
                "stage": pa.array([self.stage] * len(self.entries), pa.string()),
                "reason": pa.array([entry.reason for entry in self.entries], pa.string()),
                "score": pa.array([entry.score for entry in self.entries], pa.float64()),
                "witness": pa.array([entry.witness for entry in self.entries], pa.string()),
            }
        )

    def write(self, path: Path) -> None:
        """Writes nothing when nothing happened."""
        if self.entries:
            write_table(self.table(), path)


def write_table(table: pa.Table, path: Path) -> None:
    """Parquet (zstd) with bytes that depend on the table alone."""
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(None), path, compression="zstd", row_group_size=16384, write_statistics=True)


def read_ledger(folder: Path) -> pa.Table:
    """Every ledger entry of an artifact, in shard order."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = sorted((folder / "ledger").glob("*.parquet"))
    return pa.concat_tables([pq.read_table(path) for path in files]) if files else Ledger("").table()


def tally(records_in: int, kept: int, dropped: Mapping[str, int], quarantined: Mapping[str, int] | None = None) -> dict[str, int]:
    """Counts in the form that `account` checks: totals, then `dropped/REASON` and `quarantined/REASON`."""
    quarantined = quarantined or {}
    counts = {"records_in": records_in, "kept": kept, "dropped": sum(dropped.values()), "quarantined": sum(quarantined.values())}
    counts.update({f"dropped/{reason}": number for reason, number in sorted(dropped.items())})
    counts.update({f"quarantined/{reason}": number for reason, number in sorted(quarantined.items())})
    return counts


def add_counts(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The sum of several tallies, key by key."""
    total: dict[str, int] = {}
    for part in parts:
        for name, number in part.items():
            total[name] = total.get(name, 0) + number
    return total


def account(counts: Mapping[str, Any], what: str) -> None:
    """Raises DataError unless records_in == kept + dropped(by reason) + quarantined."""
    if "records_in" not in counts:
        return
    parts = {name: counts.get(name, 0) for name in ("kept", "dropped", "quarantined")}
    by_reason = sum(number for name, number in counts.items() if name.startswith("dropped/"))
    if counts["records_in"] != sum(parts.values()) or by_reason != parts["dropped"]:
        raise DataError(
            f"{what}: records don't add up: {counts['records_in']} in, "
            + ", ".join(f"{number} {name}" for name, number in parts.items())
            + f" ({by_reason} by reason)",
            remedy="this is a bug in the stage or in a component it uses; nothing was written",
        )
