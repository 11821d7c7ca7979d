"""From a column of texts to the spans of personal data in it: the compiled scan's candidates, judged kind by kind."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.dedup.hash import Texts
from ropewalk.data.pii import crypto, iban, keys, scan
from ropewalk.data.pii.card import SHORTEST_CARD, cards
from ropewalk.data.pii.ip import is_public
from ropewalk.data.pii.names import ENTITIES, named
from ropewalk.data.pii.national import RULES, Country, Rule, national_ids
from ropewalk.data.pii.phone import MOST_GROUPS, phones
from ropewalk.data.pii.window import Window, window

NO_ONE = b".invalid"  # RFC 2606: never anybody's address, so pseudonyms end with it
_NEEDS = {
    "email": (scan.EMAIL,),
    "ip": (scan.IPV4, scan.IPV6),
    "phone": (scan.NUMBER,),
    "card": (scan.NUMBER,),
    "iban": (scan.IBAN,),
    "national_id": (scan.NUMBER, scan.MIXED),
    "api_key": (scan.KEY,),
    "crypto": (scan.KEY,),
    "url_credentials": (scan.CREDENTIALS,),
    "private_key": (scan.ARMOUR,),
}
RANK = ("private_key", "url_credentials", "api_key", "email", "iban", "crypto", "card", "national_id", "ip", "phone", "name", "place")
"""Where two overlap, the earlier kind is meant."""


class Span(NamedTuple):
    """Bytes start:stop of the column's buffer."""

    row: int
    start: int
    stop: int
    kind: str


@dataclass(frozen=True)
class Finder:
    """What is looked for."""

    kinds: frozenset[str]
    regions: tuple[str, ...] = ()
    countries: tuple[Country, ...] = ()
    ner_model: str = ""

    def spans(self, texts: Texts, rows: NDArray[np.int64] | None = None) -> list[Span]:
        """Every span, by place; none crosses a document's ends, no two overlap."""
        rows = np.arange(len(texts)) if rows is None else rows
        found = self._candidates(texts, rows)
        data, offsets = texts.data.data, texts.offsets
        spans: list[Span] = []
        for row, what, begin, stop, digits, groups in found.tolist():
            if what == scan.EMAIL:
                if bytes(data[stop - len(NO_ONE) : stop]).lower() != NO_ONE:
                    spans.append(Span(row, begin, stop, "email"))
            elif what == scan.CREDENTIALS:
                spans.append(Span(row, begin, stop, "url_credentials"))
            elif what in (scan.IPV4, scan.IPV6):
                if is_public(str(data[begin:stop], "ascii")):
                    spans.append(Span(row, begin, stop, "ip"))
            else:
                before, after = _AROUND[what]
                seen, base = window(data, (int(offsets[row]), int(offsets[row + 1])), begin, stop, before, after, (digits, groups))
                spans += [Span(row, base + first, base + last, kind) for kind, first, last in _judged(self, what, seen)]
        if self.kinds & ENTITIES.keys():
            for row in rows.tolist():
                base = int(offsets[row])
                text = str(data[base : int(offsets[row + 1])], "utf-8")
                spans += [Span(row, base + first, base + last, kind) for kind, first, last in named(text, self.kinds, self.ner_model)]
        return _apart(spans)

    def _candidates(self, texts: Texts, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        wanted = np.zeros(scan.CLASSES, np.bool_)
        for kind in self.kinds & _NEEDS.keys():
            wanted[list(_NEEDS[kind])] = True
        room = 4096 + len(texts.data) // 512
        while True:
            out = np.empty((room, 4), np.int64)
            count = scan.candidates(texts.data, texts.offsets, rows, wanted, _pairs(self.kinds), out)
            if count <= room:
                return self._likely(texts, out[:count])
            room = count

    def _likely(self, texts: Texts, found: NDArray[np.int64]) -> NDArray[np.int64]:
        """The candidates with digits and groups as columns, without numbers that no kind here can mean."""
        what, size = found[:, 1] % scan.CLASSES, found[:, 1] // scan.CLASSES
        digits, groups = size % scan.MOST_DIGITS, size // scan.MOST_DIGITS
        likely = what != scan.NUMBER
        if "card" in self.kinds:
            likely |= digits >= SHORTEST_CARD
        if "national_id" in self.kinds:
            likely |= (digits >= 9) | (groups == 1)
        if "phone" in self.kinds:
            near = texts.data[np.maximum(found[:, 2:3] - np.arange(1, 4), 0)]
            likely |= (digits <= 13) & (groups <= MOST_GROUPS) | ((digits > 13) & (groups > 3)) | (near == ord("+")).any(axis=1)
        rest: NDArray[np.int64] = np.column_stack([found[:, 0], what, found[:, 2:], digits, groups])[likely]
        return rest

    def judges(self, what: int, seen: Window) -> Iterator[tuple[str, Iterator[tuple[int, int]]]]:
        """Each kind that the candidate may be of, with the places in the window where it is one."""
        if what == scan.NUMBER and "card" in self.kinds and seen.digits >= SHORTEST_CARD:
            yield "card", cards(seen)
        if what in (scan.NUMBER, scan.MIXED) and "national_id" in self.kinds:
            yield "national_id", national_ids(seen, _rules(self.countries))
        if what == scan.NUMBER and "phone" in self.kinds:
            yield "phone", phones(seen, self.regions)
        if what == scan.IBAN:
            yield "iban", iban.ibans(seen)
        if what == scan.KEY and "api_key" in self.kinds:
            yield "api_key", keys.api_keys(seen)
        if what == scan.KEY and "crypto" in self.kinds:
            yield "crypto", crypto.crypto_addresses(seen)
        if what == scan.ARMOUR:
            yield "private_key", keys.private_keys(seen)


@functools.lru_cache(1 << 14)
def _judged(finder: Finder, what: int, seen: Window) -> tuple[tuple[str, int, int], ...]:
    """(kind, start, stop) of what is there; a text that says the same again and again is judged once."""
    return tuple((kind, first, last) for kind, judged in finder.judges(what, seen) for first, last in judged)


# Bytes before and behind a candidate that its judges look at.
_AROUND = {
    scan.NUMBER: (64, 12),
    scan.MIXED: (4, 4),
    scan.IBAN: (0, iban.LONGEST),
    scan.KEY: (keys.BEHIND, keys.LONGEST_TOKEN),
    scan.ARMOUR: (0, keys.LONGEST_ARMOUR),
}


@functools.cache
def _rules(countries: tuple[Country, ...]) -> tuple[Rule, ...]:
    return tuple(rule for rule in RULES if rule.country in countries)


@functools.cache
def _pairs(kinds: frozenset[str]) -> NDArray[np.uint8]:
    """What two bytes may begin, for the scan."""
    table = np.zeros(1 << 16, np.uint8)
    flagged = [
        (scan.PREFIX, keys.PREFIXES if "api_key" in kinds else ()),
        (scan.PREFIX, crypto.PREFIXES if "crypto" in kinds else ()),
        (scan.COUNTRY, tuple(iban.LENGTHS)),
    ]
    for flag, pairs in flagged:
        for pair in pairs:
            table[ord(pair[0]) * 256 + ord(pair[1])] |= flag
    return table


def _apart(spans: list[Span]) -> list[Span]:
    """By place; of two that overlap the one of higher rank stays, of equal rank the longer one."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, RANK.index(span.kind), -span.stop)):
        while kept and kept[-1].stop > span.start and RANK.index(span.kind) < RANK.index(kept[-1].kind):
            kept.pop()
        if not kept or kept[-1].stop <= span.start:
            kept.append(span)
    return kept
