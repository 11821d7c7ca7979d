"""Finding files: sorted, each once, named alike wherever they lie; what is missing is said with what is near."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ropewalk.core.errors import DataError
from ropewalk.core.identity import identify
from ropewalk.data.sources.found import find_files
from ropewalk.data.sources.jsonl import Jsonl
from ropewalk.data.sources.source import Source
from ropewalk.data.sources.text import Text

ROW = [{"text": "a"}]


def test_files_are_sorted_and_come_once(write: Any, tmp_path: Path) -> None:
    for name in ("b/2.jsonl", "b/1.jsonl.gz", "a.jsonl", "b/.x.jsonl", "note.txt"):
        write(name, ROW)
    (tmp_path / "b" / "folder.jsonl").mkdir()
    found = find_files([tmp_path / "**" / "*.jsonl*", tmp_path / "a.jsonl", tmp_path], (".jsonl",))
    assert [file.name for file in found] == ["a.jsonl", "b/1.jsonl.gz", "b/2.jsonl"]
    assert [file.label for file in found] == ["a", "1", "2"]


def test_files_of_one_name_are_told_apart(write: Any, tmp_path: Path) -> None:
    paths = [write("x/train/a.jsonl", ROW), write("x/test/a.jsonl", ROW), write("x/b.jsonl", ROW)]
    assert [file.name for file in find_files(paths)] == ["b.jsonl", "test/a.jsonl", "train/a.jsonl"]
    assert find_files(paths) == find_files(paths[::-1])


def test_a_name_with_brackets_is_no_pattern_where_it_is_a_file(write: Any) -> None:
    assert len(find_files([write("a[1].jsonl", ROW)])) == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("date.jsonl", "did you mean .*data.jsonl"),
        ("zzz", "look into"),
        ("no/where.jsonl", "is no folder either"),
        ("*.csv", "no file fits"),
        ("no/*.csv", "is no folder"),
        ("notes", r"no files of \.jsonl or \.ndjson in this folder; there are \.txt"),
        ("hollow", "it is empty"),
    ],
)
def test_a_path_that_leads_nowhere_says_what_is_near(write: Any, tmp_path: Path, name: str, said: str) -> None:
    write("data.jsonl", ROW)
    write("notes/a.txt", b"x")
    (tmp_path / "hollow").mkdir()
    with pytest.raises(DataError, match=said) as caught:
        Jsonl(path=tmp_path / name).check()
    assert str(tmp_path) in str(caught.value)


def test_no_path_at_all_is_refused() -> None:
    with pytest.raises(ValidationError, match="at least 1 item"):
        Jsonl(path=[])


def awkward(tmp_path: Path) -> list[Path]:
    """A link to nothing and a pipe, which would block whoever opens it."""
    (tmp_path / "dangling.jsonl").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "pipe.jsonl")
    return [tmp_path / "dangling.jsonl", tmp_path / "pipe.jsonl"]


def test_what_is_no_file_stops_the_stage_before_any_work_unless_skipped(write: Any, tmp_path: Path, read_all: Any) -> None:
    write("good.jsonl", ROW)
    awkward(tmp_path)
    for verb in (Source.check, Source.fingerprint):
        with pytest.raises(DataError, match=r"dangling\.jsonl: is a link that leads nowhere.*\n.*pipe\.jsonl: is not a file"):
            getattr(Jsonl(path=tmp_path), verb.__name__)()
    documents, rejects = read_all(Jsonl(path=tmp_path, on_corrupt="skip"))
    assert len(documents) == 1 and [reject.witness.partition(": ")[0] for reject in rejects] == ["dangling.jsonl", "pipe.jsonl"]
    assert Jsonl(path=tmp_path, on_corrupt="skip").fingerprint()["files"] == 3


def test_a_file_that_may_not_be_read_is_said(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("a.jsonl", ROW)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # permissions don't stop root
    with pytest.raises(DataError, match="may not be read"):
        Jsonl(path=path).check()


def key(source: Source) -> str:
    return identify(source, lambda ref: "").key


def test_the_key_is_what_files_hold_and_are_called_not_where_they_lie(write: Any, tmp_path: Path) -> None:
    write("here/a.jsonl", ROW)
    shutil.copytree(tmp_path / "here", tmp_path / "there" / "deep")
    first = key(Jsonl(path=tmp_path / "here"))
    assert key(Jsonl(path=tmp_path / "there" / "deep")) == key(Jsonl(path=[tmp_path / "here" / "a.jsonl"])) == first
    assert key(Jsonl(path=tmp_path / "here", license="MIT")) != first
    (tmp_path / "here" / "a.jsonl").rename(tmp_path / "here" / "b.jsonl")
    assert key(Jsonl(path=tmp_path / "here")) != first
    write("there/deep/a.jsonl", [{"text": "b"}])
    assert key(Jsonl(path=tmp_path / "there" / "deep")) != first


def test_small_files_share_a_shard_and_names_are_safe(write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        write(f"näme with/ö dd {number}..txt", b"x" * 10)
    assert len(Text(path=tmp_path).shards()) == 1
    monkeypatch.setattr("ropewalk.data.sources.file_source.SHARD_FILES", 2)
    names = [shard.name for shard in Text(path=tmp_path).shards()]
    assert names == ["00000-dd-0", "00001-dd-2", "00002-dd-4"] and sorted(names) == names
    monkeypatch.setattr("ropewalk.data.sources.file_source.PIECE_BYTES", 30)
    assert [shard.size_bytes for shard in Text(path=tmp_path).shards()] == [20, 20, 10]
