"""The accounting identity and the ledger's files."""

from __future__ import annotations

from pathlib import Path

import pytest

from ropewalk.core.errors import DataError
from ropewalk.core.ledger import COLUMNS, Ledger, account, add_counts, read_ledger, tally


def test_counts_that_add_up_pass() -> None:
    counts = tally(10, 6, {"short": 2, "pii": 1}, {"bad_json": 1})
    assert counts == {
        "records_in": 10,
        "kept": 6,
        "dropped": 3,
        "quarantined": 1,
        "dropped/pii": 1,
        "dropped/short": 2,
        "quarantined/bad_json": 1,
    }
    account(counts, "x")
    account({"anything": 1}, "x")
    account(add_counts([counts, counts, tally(1, 1, {})]), "x")


@pytest.mark.parametrize("change", [{"kept": 5}, {"dropped": 4}, {"dropped/short": 1}, {"quarantined": 0}, {"records_in": 11}])
def test_a_missing_record_is_an_error(change: dict[str, int]) -> None:
    with pytest.raises(DataError, match="add up"):
        account({**tally(10, 6, {"short": 3}, {"bad": 1}), **change}, "clean")


def test_entries_come_back_in_shard_order(tmp_path: Path) -> None:
    for shard in ("00001", "00000"):
        ledger = Ledger("clean")
        ledger.add(f"id{shard}", "short", 3.0, "w")
        ledger.add("007", "bad", None)
        ledger.write(tmp_path / "ledger" / f"{shard}.parquet")
        assert ledger.reasons() == {"bad": 1, "short": 1}
    Ledger("clean").write(tmp_path / "ledger" / "00002.parquet")
    table = read_ledger(tmp_path)
    assert table.column_names == list(COLUMNS) and table["id"].to_pylist() == ["id00000", "007", "id00001", "007"]
    assert table["score"].to_pylist() == [3.0, None, 3.0, None]
    assert read_ledger(tmp_path / "nothing").num_rows == 0


def test_bytes_depend_on_the_entries_alone(tmp_path: Path) -> None:
    for name in ("a", "b"):
        ledger = Ledger("s")
        ledger.add("x", "r", 1.0)
        ledger.write(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
