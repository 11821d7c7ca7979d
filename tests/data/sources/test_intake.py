"""The policies for bad records: counted and listed always, set aside or left out as told, and a limit on their share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ropewalk.core.errors import DataError
from ropewalk.core.ledger import Ledger, tally
from ropewalk.core.shards import Shard
from ropewalk.data.records import Document, Rejected
from ropewalk.data.sources import intake as intake_module
from ropewalk.data.sources.file_source import CORRUPT
from ropewalk.data.sources.intake import Intake, judge_intake
from ropewalk.data.sources.source import Source

ITEMS = [Document("a", "one"), Rejected("not_json", "f:2: Expecting value", b"{"), Document("b", "two"), Rejected("no_text", "f:4", b"{}")]


class Silent(Source, type="silent"):
    """A source without a verb."""


class Given(Source, type="given"):
    """A source of given items."""

    items: list[Any] = ITEMS
    """What it gives."""

    def read(self, shard: Shard) -> Iterator[Document | Rejected]:
        yield from self.items


for tag in ("silent", "given"):  # known here only
    del Source.members[tag]


def sifted(source: Given) -> tuple[list[Document], Intake]:
    intake = Intake(source, Ledger("raw"))
    return list(intake.sift(source.read(Shard("0", None)))), intake


@pytest.mark.parametrize("policy", ["skip", "quarantine"])
def test_bad_records_are_counted_and_listed_and_their_bytes_kept_when_told(tmp_path: Any, policy: Any) -> None:
    import pyarrow.parquet as pq

    documents, intake = sifted(Given(on_bad_record=policy))
    assert [document.id for document in documents] == ["a", "b"] and intake.records_in == 4
    assert intake.quarantined == {"not_json": 1, "no_text": 1}
    assert [(entry.id, entry.reason, entry.witness) for entry in intake.ledger.entries] == [
        ("f:2", "not_json", "f:2: Expecting value"),
        ("f:4", "no_text", "f:4"),
    ]
    assert intake.examples.shown["not_json"][0]["text"] == "{"
    intake.write(tmp_path / "q.parquet")
    assert (tmp_path / "q.parquet").exists() == (policy == "quarantine")
    if policy == "quarantine":
        rows = pq.read_table(tmp_path / "q.parquet").to_pylist()
        assert [(row["place"], row["reason"], row["raw"]) for row in rows] == [("f:2", "not_json", b"{"), ("f:4", "no_text", b"{}")]


def test_the_policy_error_stops_at_the_first_bad_record_with_its_place() -> None:
    with pytest.raises(DataError, match="f:2: Expecting value: it is not JSON") as caught:
        sifted(Given(on_bad_record="error"))
    assert "on_bad_record" in caught.value.remedy


def test_what_on_corrupt_let_pass_does_not_meet_the_policy_for_records() -> None:
    documents, intake = sifted(Given(items=[ITEMS[0], Rejected(CORRUPT, "f: truncated after 1 records")], on_bad_record="error"))
    assert len(documents) == 1 and intake.corrupt == ["f: truncated after 1 records"]
    assert intake.records_in == 2 and intake.quarantined == {CORRUPT: 1}
    judge_intake(Given(), tally(2, 1, {}, intake.quarantined), {})


@pytest.mark.parametrize(
    ("records", "bad", "share", "passes"),
    [
        (11, 1, 0.001, True),
        (15, 5, 0.001, True),
        (11, 6, 0.001, False),
        (999, 5, 0.001, True),
        (1000, 1, 0.001, True),
        (1000, 2, 0.001, False),
        (100_000, 100, 0.001, True),
        (100_000, 101, 0.001, False),
        (100, 20, 0.2, True),
        (100, 21, 0.2, False),
        (10, 1, 0.0, False),
        (10, 10, 1.0, True),
        (0, 0, 0.001, True),
    ],
)
def test_the_share_of_bad_records_is_limited_where_it_can_be_judged(records: int, bad: int, share: float, passes: bool) -> None:
    counts = tally(records, records - bad, {}, {"not_json": bad - bad // 2, "no_text": bad // 2})
    examples = {"not_json": [{"witness": "f:1"}]}
    if passes:
        judge_intake(Given(max_bad_fraction=share), counts, examples)
    else:
        with pytest.raises(DataError, match=f"{bad:,} of {records:,} records are bad") as caught:
            judge_intake(Given(max_bad_fraction=share), counts, examples)
        assert "it is not JSON), first at f:1" in str(caught.value)


def test_a_hopeless_file_is_given_up_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "HOPELESS", 10)
    items = [ITEMS[0]] * 5 + [Rejected("no_text", f"f:{number}") for number in range(100)]
    intake = Intake(Given(), Ledger("raw"))
    with pytest.raises(DataError, match="10 of 15 records are bad"):
        list(intake.sift(items))
    assert len(list(Intake(Given(max_bad_fraction=1), Ledger("raw")).sift(items))) == 5


def test_a_source_without_read_says_so_and_records_default_to_documents() -> None:
    with pytest.raises(TypeError, match="has no read"):
        Silent().read(Shard("0", None))
    source = Given(items=[Document("a", "one", meta={"m": 1}), ITEMS[1]])
    source.check()
    assert [shard.name for shard in source.shards()] == ["00000"]
    assert list(source.records(source.shards()[0])) == [{"m": 1, "id": "a", "text": "one"}, ITEMS[1]]
