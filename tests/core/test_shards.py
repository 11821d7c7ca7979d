"""The shard map: commits each shard by itself, redoes nothing that is finished, notices damage."""

from __future__ import annotations

from pathlib import Path

import pytest

from in_process import InProcess
from ropewalk.core.shards import Outcome, Receipt, Shard, assemble, map_shards, read_receipt


def double(shard: Shard, folder: Path) -> Outcome:
    if shard.content == "boom":
        raise RuntimeError("boom")
    (folder / "documents").mkdir()
    (folder / "documents" / f"{shard.name}.txt").write_text(shard.content * 2)
    return Outcome({"records_in": 1}, {"length": len(shard.content)})


def shards(*contents: str) -> list[Shard]:
    return [Shard(f"{index:05d}", content, 10) for index, content in enumerate(contents)]


def test_receipts_come_in_shard_order_and_files_are_placed(tmp_path: Path) -> None:
    mapper, seen = InProcess(), []
    receipts = map_shards(
        double, shards("a", "b", "c"), tmp_path / "work", mapper, lambda receipt, resumed: seen.append((receipt.name, resumed))
    )
    assert [receipt.name for receipt in receipts] == ["00000", "00001", "00002"] and receipts[1].metrics == {"length": 1}
    assert seen == [("00002", False), ("00001", False), ("00000", False)]
    out = tmp_path / "out"
    known = assemble(receipts, tmp_path / "work", out)
    assert (out / "documents" / "00001.txt").read_text() == "bb" and set(known) == {f"documents/0000{i}.txt" for i in range(3)}


def test_finished_shards_are_not_redone_after_a_failure(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        map_shards(double, shards("boom", "b", "c"), tmp_path, InProcess())
    mapper, seen = InProcess(), []
    map_shards(double, shards("a", "b", "c"), tmp_path, mapper, lambda receipt, resumed: seen.append(resumed))
    assert mapper.asked == ["00000"] and sorted(seen) == [False, True, True]


def test_a_damaged_shard_is_redone(tmp_path: Path) -> None:
    map_shards(double, shards("a", "b"), tmp_path, InProcess())
    (tmp_path / "shards" / "00001" / "documents" / "00001.txt").write_text("bx")
    (tmp_path / "shards" / ".tmp-00000-dead").mkdir()
    mapper = InProcess()
    receipts = map_shards(double, shards("a", "b"), tmp_path, mapper)
    assert mapper.asked == ["00001"] and read_receipt(tmp_path / "shards" / "00001") == receipts[1]
    assert sorted(path.name for path in (tmp_path / "shards").iterdir()) == ["00000", "00001"]


def test_no_or_broken_receipt_means_unfinished(tmp_path: Path) -> None:
    assert read_receipt(tmp_path) is None
    (tmp_path / "receipt.json").write_text("{")
    assert read_receipt(tmp_path) is None


def test_a_receipt_equals_itself() -> None:
    assert Receipt("a", {"x": 1}) == Receipt("a", {"x": 1})
