"""The format found out: every formatter tries a file's first records, and the one that knows them best takes the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from ropewalk.core.artifact import digest
from ropewalk.core.component import lookup
from ropewalk.core.errors import DataError
from ropewalk.core.identity import code_of
from ropewalk.data.formatters.formatter import Formatter
from ropewalk.data.records import Chat, Rejected

RECORDS = 100
LEAST = 0.9
TIE = 0.05


@dataclass(frozen=True)
class Candidate:
    """How well a format fits: the share of the records that it parses, and of their fields that it knows."""

    formatter: Formatter
    parsed: float
    known: float

    @property
    def sure(self) -> float:
        return self.parsed * self.known

    def __str__(self) -> str:
        return f"{self.formatter.tag} parses {self.parsed:.0%} and knows {self.known:.0%} of the fields"


class Auto(Formatter, type="auto"):
    """Detects the format of each file by its first 100 records, and says how sure it is."""

    unknown: Literal["error", "drop"] = "error"
    """A file of no known format, or of two that fit as well as each other: stop, or drop its records."""

    def fingerprint(self) -> Any:
        """The code of all formats."""
        return digest({tag: code_of(member) for tag, member in lookup(Formatter).items() if member is not Auto})

    def format(self, record: Mapping[str, Any], id: str) -> Chat | Rejected:  # noqa: A002
        """One record by itself."""
        try:
            return detect([record]).formatter.format(record, id)
        except DataError:
            return Rejected("unknown_format", id)


def detect(records: Sequence[Mapping[str, Any]]) -> Candidate:
    """The format of some records; raises DataError, with the candidates, when none parses 90% of them or two do so equally well."""
    members = cast("dict[str, type[Formatter]]", lookup(Formatter))
    candidates = [_try(member(), records) for tag, member in sorted(members.items()) if tag != Auto.tag and _builds(member)]
    ranked = sorted((one for one in candidates if one.parsed), key=lambda one: (-one.sure, one.formatter.tag))
    named = "; ".join(map(str, ranked[:3])) or "no format parses any"
    fitting = [one for one in ranked if one.parsed >= LEAST]
    if not fitting:
        raise DataError(f"no format fits 90% of the first {len(records)} records: {named}", remedy="name the formatter")
    if len(fitting) > 1 and fitting[0].sure - fitting[1].sure < TIE:
        raise DataError(f"more than one format fits the first {len(records)} records: {named}", remedy="name the formatter")
    return fitting[0]


def _builds(member: type[Formatter]) -> bool:
    """A formatter with required fields can't be guessed."""
    return not any(field.is_required() for field in member.model_fields.values())


def _try(formatter: Formatter, records: Sequence[Mapping[str, Any]]) -> Candidate:
    items = list(formatter.gather(records))
    parsed = sum(isinstance(item, Mapping) and isinstance(formatter.format(item, ""), Chat) for item in items)
    known = sum(len(formatter.known & set(record)) / len(record) for record in records if record)
    return Candidate(formatter, parsed / len(items) if items else 0.0, known / len(records) if records else 0.0)
