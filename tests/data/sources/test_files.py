"""A folder of everything: each file's format is told by name and first bytes, and said."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ropewalk.core.errors import DataError
from ropewalk.data.sources.files import Files, format_of
from ropewalk.data.sources.found import find_files

ROWS = b'{"id": "%s", "text": "json lines"}\n'


@pytest.fixture
def folder(write: Any, tmp_path: Path) -> Path:
    write("in/a.jsonl.gz", gzip.compress(ROWS % b"a"))
    write("in/b.ndjson", ROWS % b"b")
    write("in/c", ROWS % b"c")
    write("in/d.json", b'[\n{"id": "d", "text": "an array"}]')
    write("in/e.json", b'{"id": "e", "text": "lines named json"}\n{"id": "e2", "text": "more"}')
    write("in/f.csv", b"id,text\nf,csv\n")
    write("in/g.tsv", b"id\ttext\ng\ttsv\n")
    pq.write_table(pa.table({"id": ["h"], "text": ["parquet"]}), tmp_path / "in" / "h.dat")
    write("in/i.txt", b"text")
    write("in/LICENSE", b"a licence")
    write("in/empty.csv", b"")
    return tmp_path / "in"


def test_every_format_in_one_folder(folder: Path, read_all: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "ropewalk"):
        documents, rejects = read_all(Files(path=folder))
    assert [document.id for document in documents] == ["LICENSE", *"abcde", "e2", *"fgh", "i.txt"] and not rejects
    assert "11 files: 3 csv, 1 json, 4 jsonl, 1 parquet, 2 text" in caplog.text and "1 empty file: empty.csv" in caplog.text
    assert {document.source for document in documents} == {"in"}


def test_fields_hold_for_every_format(write: Any, tmp_path: Path, read_all: Any) -> None:
    write("in/a.jsonl", [{"url": "u", "body": "one"}])
    write("in/b.csv", b"url,body\nv,two\n")
    write("in/c.txt", b"three")
    documents, _ = read_all(Files(path=tmp_path / "in", text="body", id="url"))
    assert [(document.id, document.text) for document in documents] == [("u", "one"), ("v", "two"), ("c.txt", "three")]


def test_a_file_of_no_known_format_stops_or_is_listed(folder: Path, write: Any, read_all: Any) -> None:
    write("in/z.bin", b"\x00\x01\x02")
    with pytest.raises(DataError, match=r"z\.bin: is of no known format"):
        Files(path=folder).shards()
    documents, rejects = read_all(Files(path=folder, on_corrupt="skip"))
    assert len(documents) == 11 and [reject.witness for reject in rejects] == ["z.bin: is of no known format"]


def test_a_damaged_file_keeps_the_format_of_its_name(write: Any) -> None:
    path = write("a.jsonl.gz", gzip.compress(ROWS * 9)[:15])
    assert format_of(find_files([path])[0]) == "jsonl"


def test_one_object_over_several_lines_is_a_json_file_not_lines(write: Any, read_all: Any) -> None:
    path = write("a.json", b'{\n "rows": []\n}')
    with pytest.raises(DataError, match="holds no list"):
        read_all(Files(path=path))
