"""The format is found out, with how sure that is; ties and misfits name the candidates."""

from __future__ import annotations

from typing import Any

import pytest

from golden_rows import GOLDEN
from ropewalk.core.component import lookup
from ropewalk.core.errors import DataError
from ropewalk.data.formatters.auto import Auto, detect
from ropewalk.data.formatters.formatter import Formatter
from ropewalk.data.records import Chat, Rejected


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_each_format_is_told_by_its_own_records(name: str) -> None:
    for record, _, _ in GOLDEN[name]:
        if "thread" not in record:  # what gather() makes of a tree
            found = detect([record])
            assert found.formatter.tag == name and found.parsed == 1 and found.sure > 0.9


def test_rows_of_a_tree_are_told_too() -> None:
    rows = [
        {"message_id": "1", "parent_id": None, "message_tree_id": "1", "text": "q", "role": "prompter", "lang": "en"},
        {"message_id": "2", "parent_id": "1", "message_tree_id": "1", "text": "a", "role": "assistant", "lang": "en"},
    ]
    assert detect(rows).formatter.tag == "oasst"


def test_nine_of_ten_must_parse() -> None:
    good, bad = {"question": "q", "answer": "#### 1"}, {"question": "q", "answer": "prose"}
    found = detect([good] * 9 + [bad])
    assert found.formatter.tag == "gsm8k" and found.sure == pytest.approx(0.9)
    with pytest.raises(DataError, match=r"no format fits 90% of the first 20 records: gsm8k parses 85% .*; orca_math parses 15%"):
        detect([good] * 17 + [bad] * 3)
    with pytest.raises(DataError, match="no format parses any"):
        detect([{"nothing": 1}])


def test_fields_decide_between_formats_that_both_parse() -> None:
    row = {"source": "s", "instruction": "i", "output": "o"}
    assert detect([row]).formatter.tag == "mathinstruct"
    assert detect([{"instruction": "i", "output": "o", "input": ""}]).formatter.tag == "alpaca"
    with pytest.raises(DataError, match=r"more than one format .*alpaca .*mathinstruct"):
        detect([{**row, "input": ""}])


def test_a_tie_names_both() -> None:
    with pytest.raises(DataError, match=r"more than one format fits the first 1 records: .*alpaca parses 100% and knows 50%.*orca_math"):
        detect([{"question": "q", "answer": "a", "instruction": "i", "output": "o"}])


def test_a_formatter_that_needs_a_field_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    class Needy(Formatter, type="test_needy"):
        """Can't be built alone."""

        known = frozenset(("nothing",))
        field: int
        """Required."""

        def format(self, record: Any, id: str) -> Chat | Rejected:  # noqa: A002
            raise AssertionError

    class Known(Formatter, type="test_known"):
        """A user's own format takes part."""

        known = frozenset(("nothing",))

        def format(self, record: Any, id: str) -> Chat | Rejected:  # noqa: A002
            return Chat(id, ()) if "nothing" in record else Rejected("no", id)

    try:
        assert lookup(Formatter)["test_needy"] is Needy and isinstance(detect([{"nothing": 1}]).formatter, Known)
    finally:
        Formatter.members.pop("test_needy")
        Formatter.members.pop("test_known")


def test_one_record_by_itself() -> None:
    assert isinstance(Auto().format(GOLDEN["arc"][0][0], "x"), Chat)
    assert Auto().format({"nothing": 1}, "x") == Rejected("unknown_format", "x")
    assert Auto().fingerprint() == Auto().fingerprint()
