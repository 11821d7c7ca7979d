"""Evaluation rows become the texts that a model would be asked, from any shape of row."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from ropewalk.core.errors import DataError
from ropewalk.data.contamination.rows import Item, TaskRows, row_texts


@pytest.mark.parametrize(
    ("row", "texts"),
    [
        ({"choices": ["x", "y"], "query": "q", "gold": 1}, ("q x", "q y")),
        ({"context_options": ["the cat", "the dog"], "continuation": "ran", "gold": 0}, ("the cat ran", "the dog ran")),
        ({"task_id": "T/1", "prompt": "def f():", "answer": "pass"}, ("def f(): pass",)),
        ({"answer": "2", "question": "one and one?", "aliases": ["two"], "n": 3}, ("one and one? 2 two",)),
        ({"query": "Question: What: this?", "choices": ["Fact: x"]}, ("What: this? Fact: x",)),
        ({"query": " ", "choices": [], "gold": 0}, ()),
        (
            {"a": ["1", "2", "3", "4", "5"], "b": ["6", "7", "8", "9"], "context": "c"},
            ("c 1", "c 2", "c 3", "c 4", "c 5", "6", "7", "8", "9"),
        ),
    ],
)
def test_a_rows_texts(row: dict[str, Any], texts: tuple[str, ...]) -> None:
    assert row_texts(row) == texts


def test_named_fields_in_their_order() -> None:
    row = {"a": "1", "b": "2", "id": "x", "c": "3"}
    assert row_texts(row, ["c", "id", "a"]) == ("3 x 1",)


def write(path: Path, *rows: Any) -> Path:
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def test_a_file_is_a_task_and_a_folder_one_for_each(tmp_path: Path) -> None:
    write(tmp_path / "arc.jsonl", {"query": "q", "choices": ["a"]}, {"query": "r", "choices": ["b"]})
    write(tmp_path / "boolq.jsonl.gz", {"query": "s"})
    (tmp_path / "README.md").write_text("no rows")
    assert list(TaskRows(path=tmp_path).items()) == [Item("arc", 1, ("q a",)), Item("arc", 2, ("r b",)), Item("boolq", 1, ("s",))]
    assert [item.name for item in TaskRows(path=tmp_path / "arc.jsonl", name="mine", limit=1).items()] == ["mine#1"]
    assert [item.name for item in TaskRows(path=tmp_path, name="all", fields=["query"]).items()] == [
        "all/arc#1",
        "all/arc#2",
        "all/boolq#1",
    ]
    assert list(TaskRows(name="own", rows=[["x", "y"]]).items()) == [Item("own", 1, ("x", "y"))]


def test_the_fingerprint_follows_the_files(tmp_path: Path) -> None:
    rows = TaskRows(path=write(tmp_path / "a.jsonl", {"q": "1"}))
    before = rows.fingerprint()
    write(tmp_path / "a.jsonl", {"q": "2"})
    assert rows.fingerprint() != before and TaskRows(rows=[["x"]]).fingerprint() is None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"q": "x"}\n[1]\n', "row 2 is not an object"),
        (b'{"q": "x"}\n{"q": \n', "after row 2"),
        (b'{"q": "\xff"}\n', "after row 1"),
        (b'{"n": 1}\n', "a.jsonl:1: no field holds text; there are n"),
        (b"\x1f\x8b\x08\x00\x00", "a.jsonl: after row 0"),
    ],
)
def test_damage_is_named(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(data)
    with pytest.raises(DataError, match=r"a\.jsonl") as caught:
        list(TaskRows(path=tmp_path / "a.jsonl").items())
    assert said in str(caught.value)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        list(TaskRows(path=tmp_path / "none.jsonl").items())
    with pytest.raises(DataError, match="no file that ends in"):
        list(TaskRows(path=tmp_path).items())
    (tmp_path / "a.jsonl").write_text('{"a": "x"}\n')
    with pytest.raises(DataError, match="no text in b; there are a"):
        list(TaskRows(path=tmp_path / "a.jsonl", fields=["b"]).items())
