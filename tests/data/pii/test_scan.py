"""The compiled scan finds what plain `re` finds, over any text, in any split into documents, with the compiler on or off."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("phonenumbers")

import pii_reference
from ropewalk.data.dedup.compiled import wrapping
from ropewalk.data.dedup.hash import Texts
from ropewalk.data.pii import scan
from ropewalk.data.pii.find import RANK, Finder, Span
from ropewalk.data.pii.national import COUNTRIES

FIVE = Finder(frozenset(pii_reference.FINDERS), ("US", "GB"))
EVERY = Finder(frozenset(RANK) - {"name", "place"}, ("US", "GB"), COUNTRIES)


def spans(texts: list[str], finder: Finder = FIVE) -> list[list[tuple[int, int, str]]]:
    column = Texts.of(pa.array(texts, pa.large_string()))
    found: list[list[tuple[int, int, str]]] = [[] for _ in texts]
    with wrapping():
        for row, start, stop, kind in finder.spans(column):
            base = int(column.offsets[row])
            found[row].append((start - base, stop - base, kind))
    return found


TEXTS = [
    "ann@x.org, 8.8.8.8:443 and [2606:4700::1111]; (415) 555-0123 +44 20 7946 0958x12 4111-1111-1111-1111 AKIAIOSFODNN7EXAMPLE",
    "a..b@c.org .d@e.org f.@g.org " + "h" * 64 + "@i.org " + "j" * 65 + "@k.org l@m n@-o.org p@q-.org r@s.t.u.v.w.x.y.z.aa.bb.cc.org.x",
    "é8.8.8.8é 1.2.3 1.2.3.4.5 8.8.8.8. x-8.8.8.8 12-8.8.8.8 8.8.8.8x 8.8.8.8.x\n8.8.8.8. Heading\n8.8.8.8.\u00a0Too\n9.9.9.9.\n",
    "2002:: 2001:db8::1 2606:4700::1111: 3fff:ffff:0:0:0:0:0:1. 2606:4700::g 12606:4700::1 2a00:1450:4001:81b::200e/64",
    "12 415-555-0123 415-555-0124 and 1 (415) 555-0123 (415)555-0123 020 7946 0958 3 020/7946 0958 call 4155550123 id 4155550123",
    "\u00a0415\u00a0555\u00a00123\u00a0 415\u2011555\u20110123 +1\u2013415\u2013555\u20130123 phone:\n01 84 17 61 18 +4420794609580000",
    "4111 1111 1111 1111 5 4111 1111 1111 1111 x4111111111111111 -4111111111111111 3782 822463 10005 4111 11111111 1111",
    "ghp_0123456789abcdefghijABCDEFGHIJ012345_ ghp_0123456789abcdefghijABCDEFGHIJ012345- x_ghp_0123456789abcdefghijABCDEFGHIJ012345",
    "123456789:AAabcdefghijklmnopqrstuvwxyz0123456 SG.abcdefghijklmnopqrstuv." + "aB3dE5x" * 6 + "y",
    "eyJabc eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx.x",
    "", "@", "1", "-----", "a" * 50, "1 " * 50, "http://a:b@c",
]  # fmt: skip


def test_the_scan_finds_what_re_finds() -> None:
    assert spans(TEXTS) == [pii_reference.spans(text) for text in TEXTS]
    assert sum(map(len, spans(TEXTS))) > 25


PIECES = st.sampled_from(
    [*"@.:-+ /()x_é\n1270aZ", "\u00a0", "\u2011", "ann@x.org", "8.8.8.8", "2606:4700::1", "415", "555", "0123", "(415) 555-0123",
     "+44 20 7946 0958", "020 7946",
     "4111 1111 1111 1111", "4111111111111111", "AKIAIOSFODNN7EXAMPLE", "phone ", "ext 5", "2021-03-26", "sk-", "eyJ", "SG.", ":AA", "00"]
)  # fmt: skip


@settings(max_examples=150)
@given(st.lists(st.lists(PIECES, max_size=10).map("".join), min_size=1, max_size=4))
def test_the_scan_finds_what_re_finds_in_any_text(texts: list[str]) -> None:
    assert spans(texts) == [pii_reference.spans(text) for text in texts]


@settings(max_examples=60)
@given(st.lists(st.lists(PIECES, max_size=10).map("".join), min_size=1, max_size=4))
def test_spans_are_apart_in_order_and_inside_their_documents(texts: list[str]) -> None:
    together = spans(texts, EVERY)
    assert together == [spans([text], EVERY)[0] for text in texts]
    for text, found in zip(texts, together, strict=True):
        places = [place for start, stop, _ in found for place in (start, stop)]
        assert places == sorted(places) and all(start < stop for start, stop, _ in found)
        assert not places or (places[0] >= 0 and places[-1] <= len(text.encode()))


def test_only_the_rows_that_are_asked_for_are_read() -> None:
    column = Texts.of(pa.array(["a@b.org", "c@d.org", "e@f.org"], pa.large_string()))
    assert FIVE.spans(column, np.array([2, 0])) == [Span(0, 0, 7, "email"), Span(2, 14, 21, "email")]


def test_more_candidates_than_there_is_room_for_are_all_found() -> None:
    text = "a@b.co " * 6000  # room is made for one in 512 bytes and 4,096 more
    assert len(FIVE.spans(Texts.of(pa.array([text], pa.large_string())))) == 6000


def test_every_other_class_of_candidate_turns_up() -> None:
    text = "GB82WEST12345698765432 12345678Z X1234567L AB 12 34 56 C http://a:b1@c -----BEGIN PRIVATE KEY-----\nAAAAAAAAAAAAAAAAAAAA\n"
    assert {kind for _, _, kind in spans([text], EVERY)[0]} == {"iban", "national_id", "url_credentials", "private_key"}
    table = np.zeros(1 << 16, np.uint8)
    out = np.empty((8, 4), np.int64)
    column = Texts.of(pa.array([text], pa.large_string()))
    nothing = scan.candidates(column.data, column.offsets, np.array([0]), np.zeros(scan.CLASSES, np.bool_), table, out)
    assert nothing == 0
