"""Arrow: files and streams, as datasets saves them; damage is told, and the notes beside the data are no data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ropewalk.core.errors import DataError
from ropewalk.data.sources.arrow import Arrow
from ropewalk.data.sources.files import Files

TABLE = pa.table({"id": [1, 2, 3], "text": ["one", "two", None], "tags": [["a"], [], None]})


def saved(folder: Path) -> Path:
    """As `Dataset.save_to_disk` leaves it."""
    folder.mkdir(parents=True)
    for number in range(2):
        with pa.OSFile(str(folder / f"data-0000{number}-of-00002.arrow"), "wb") as file, pa.ipc.new_stream(file, TABLE.schema) as writer:
            writer.write_table(TABLE, max_chunksize=2)
    (folder / "state.json").write_text(json.dumps({"_data_files": []}))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def test_a_saved_dataset_is_read_with_its_notes_left_out(tmp_path: Path, read_all: Any) -> None:
    folder = saved(tmp_path / "saved" / "train")
    (folder.parent / "dataset_dict.json").write_text('{"splits": ["train"]}')
    for source in (Arrow(path=folder), Files(path=folder), Files(path=folder.parent)):
        documents, rejects = read_all(source)
        assert [(document.id, document.text) for document in documents] == [("1", "one"), ("2", "two")] * 2
        assert documents[0].meta == {"tags": ["a"]} and [reject.reason for reject in rejects] == ["text_not_string"] * 2
        assert rejects[0].witness.partition(": ")[0] == "data-00000-of-00002.arrow:3" or "train/" in rejects[0].witness


def test_arrow_files_are_told_by_their_bytes(tmp_path: Path, read_all: Any) -> None:
    with pa.OSFile(str(tmp_path / "a"), "wb") as file, pa.ipc.new_file(file, TABLE.schema) as writer:
        writer.write_table(TABLE)
    assert len(read_all(Files(path=tmp_path / "a"))[0]) == 2


def test_a_cut_file_keeps_what_came_before(tmp_path: Path, read_all: Any) -> None:
    path = next(saved(tmp_path / "saved").glob("data-00000*"))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="damaged Arrow file"):
        read_all(Arrow(path=path))
    documents, rejects = read_all(Arrow(path=path, on_corrupt="skip"))
    assert len(documents) == 2 and rejects[-1].reason == "corrupt_file"
    path.write_bytes(b"")
    assert read_all(Arrow(path=path)) == ([], [])


def test_a_missing_column_is_named(tmp_path: Path, read_all: Any) -> None:
    with pytest.raises(DataError, match="there is no column 'body'"):
        read_all(Arrow(path=saved(tmp_path / "saved"), text="body"))
