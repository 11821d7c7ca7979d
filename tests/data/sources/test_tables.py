"""CSV, Parquet and JSON arrays: cells stay what they are, and bad rows spoil no neighbour."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from ropewalk.core.errors import DataError
from ropewalk.data.sources import parquet
from ropewalk.data.sources.csv import Csv
from ropewalk.data.sources.json import Json
from ropewalk.data.sources.parquet import Parquet


def test_csv_cells_are_text_and_quotes_hold_lines_and_commas(write: Any, read_all: Any) -> None:
    data = b'\xef\xbb\xbfid,text,note\r\n007,"two\r\nlines, ""quoted""",NaN\r\n\r\n1e5,plain,\r\n'
    documents, rejects = read_all(Csv(path=write("a.csv", data)))
    assert [(document.id, document.text, document.meta) for document in documents] == [
        ("007", 'two\r\nlines, "quoted"', {"note": "NaN"}),
        ("1e5", "plain", {"note": ""}),
    ]
    assert not rejects


def test_a_bad_csv_row_has_its_line_and_bytes_and_its_neighbours_stay(write: Any, read_all: Any) -> None:
    rows = [b"id,text", b"a,one", b"b,caf\xe9", b"c,too,many", b"d", b'e,"x"y', b"f,last"]
    documents, rejects = read_all(Csv(path=write("a.csv", b"\n".join(rows))))
    assert [document.id for document in documents] == ["a", "f"]
    assert [(reject.reason, reject.witness.split(":")[1], reject.raw.strip()) for reject in rejects] == [
        ("bad_utf8", "3", rows[2]),
        ("columns", "4", rows[3]),
        ("columns", "5", rows[4]),
        ("not_csv", "6", rows[5]),
    ]


def test_bad_bytes_in_csv_can_be_replaced(write: Any, read_all: Any) -> None:
    documents, _ = read_all(Csv(path=write("a.csv", b"id,text\na,caf\xe9 \xc3\xa9\n"), bad_characters="replace"))
    assert documents[0].text == "caf\ufffd é"


def test_an_unclosed_quote_is_damage_not_one_long_record(write: Any, read_all: Any) -> None:
    path = write("a.csv", b'id,text\na,one\nb,"open\nc,three\nd,four\n')
    with pytest.raises(DataError, match="a quote opened on line 3 is never closed"):
        read_all(Csv(path=path))
    documents, rejects = read_all(Csv(path=path, on_corrupt="skip"))
    assert [document.id for document in documents] == ["a"] and rejects[0].reason == "corrupt_file"


def test_csv_without_header_tabs_and_other_delimiters(write: Any, read_all: Any) -> None:
    by_name, _ = read_all(Csv(path=write("a.tsv", b"id\ttext\na\tx, y\n")))
    told, _ = read_all(Csv(path=write("b.csv", b"a;x, y\n"), delimiter=";", columns=["id", "text"]))
    assert [(document.id, document.text) for document in by_name + told] == [("a", "x, y"), ("a", "x, y")]


@pytest.mark.parametrize(
    ("data", "said"), [(b"body,id\na,b\n", "no column 'text'; there are body, id"), (b"text,a,a\n", "'a' is there twice")]
)
def test_a_csv_header_that_can_not_be_right_is_said_before_a_row_is_read(write: Any, read_all: Any, data: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_all(Csv(path=write("a.csv", data), on_bad_record="skip"))


def test_columns_must_hold_the_text() -> None:
    with pytest.raises(ValidationError, match="'text' is not among columns"):
        Csv(path=Path("a.csv"), columns=["id", "body"])


def test_a_cell_may_be_large(write: Any, read_all: Any) -> None:
    documents, _ = read_all(Csv(path=write("a.csv.gz", gzip.compress(b"text\n" + b"x" * 1_000_000 + b"\n"))))
    assert len(documents[0].text) == 1_000_000


def parquet_file(path: Path, columns: dict[str, Any], rows_a_group: int = 1000) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=rows_a_group)
    return path


def test_parquet_cells_become_json(tmp_path: Path, read_all: Any) -> None:
    columns = {
        "id": ["007", "b"],
        "text": ["one", "two"],
        "when": [dt.datetime(2024, 1, 2, 3, 4), None],  # noqa: DTZ001
        "price": [decimal.Decimal("1.10"), None],
        "score": [float("nan"), float("inf")],
        "took": [dt.timedelta(seconds=90), None],
        "blob": [b"\xff", None],
        "deep": [{"a": [1, 2]}, {"a": []}],
    }
    documents, rejects = read_all(Parquet(path=parquet_file(tmp_path / "a.parquet", columns)))
    assert not rejects and [document.id for document in documents] == ["007", "b"]
    assert documents[0].meta == {
        "when": "2024-01-02T03:04:00",
        "price": "1.10",
        "score": None,
        "took": 90.0,
        "blob": base64.b64encode(b"\xff").decode(),
        "deep": {"a": [1, 2]},
    }
    assert documents[1].meta["score"] is None


def test_a_large_parquet_file_is_read_in_parts_without_loss(tmp_path: Path, read_all: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"text {number}" if number != 33 else None for number in range(50)]
    path = parquet_file(tmp_path / "a.parquet", {"id": list(range(50)), "text": texts}, rows_a_group=7)
    whole, rejects = read_all(Parquet(path=path))
    monkeypatch.setattr(parquet, "PIECE_BYTES", path.stat().st_size // 3)
    monkeypatch.setattr("ropewalk.data.sources.file_source.PIECE_BYTES", 1)
    source = Parquet(path=path)
    assert len(source.shards()) == 4 and read_all(source) == (whole, rejects)
    assert len(whole) == 49 and rejects[0].witness == "a.parquet:34: 'text' is null"


def test_bytes_that_are_not_utf8_spoil_one_parquet_row(tmp_path: Path, read_all: Any) -> None:
    raw = pa.array([b"a", b"b", b"caf\xe9", b"d", b"e"], pa.binary()).cast(pa.binary()).view(pa.string())
    documents, (reject,) = read_all(Parquet(path=parquet_file(tmp_path / "a.parquet", {"text": raw})))
    assert [document.text for document in documents] == ["a", "b", "d", "e"]
    assert (reject.reason, reject.witness) == ("bad_utf8", "a.parquet:3: byte 0xe9")


@pytest.mark.parametrize("cut", [0.5, 0.9])
def test_a_cut_parquet_file_is_damage(tmp_path: Path, read_all: Any, cut: float, monkeypatch: pytest.MonkeyPatch) -> None:
    path = parquet_file(tmp_path / "a.parquet", {"text": [str(number) for number in range(1000)]})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * cut)])
    monkeypatch.setattr(parquet, "PIECE_BYTES", 10)
    with pytest.raises(DataError, match=r"a\.parquet: not a whole Parquet file"):
        read_all(Parquet(path=path))
    assert [reject.reason for reject in read_all(Parquet(path=path, on_corrupt="skip"))[1]] == ["corrupt_file"]


def test_a_damaged_parquet_page_is_damage(tmp_path: Path, read_all: Any) -> None:
    path = parquet_file(tmp_path / "a.parquet", {"text": [str(number) for number in range(5000)]})
    data = bytearray(path.read_bytes())
    data[4:200] = bytes(196)
    path.write_bytes(data)
    with pytest.raises(DataError, match="damaged Parquet"):
        read_all(Parquet(path=path))


def test_parquet_without_the_text_column_is_said(tmp_path: Path, read_all: Any) -> None:
    path = parquet_file(tmp_path / "a.parquet", {"body": ["a"]})
    with pytest.raises(DataError, match="no column 'text'; there are body"):
        read_all(Parquet(path=path))
    assert read_all(Parquet(path=path, text="body"))[0][0].text == "a"


def test_parquet_of_no_rows_or_of_nulls_only(tmp_path: Path, read_all: Any) -> None:
    assert read_all(Parquet(path=parquet_file(tmp_path / "a.parquet", {"text": pa.array([], pa.string())}))) == ([], [])
    _, rejects = read_all(Parquet(path=parquet_file(tmp_path / "b.parquet", {"text": pa.nulls(2)})))
    assert [reject.reason for reject in rejects] == ["text_not_string"] * 2
    (tmp_path / "c.parquet").write_bytes(b"")
    assert read_all(Parquet(path=tmp_path / "c.parquet")) == ([], [])


def test_json_arrays_at_the_top_or_inside(write: Any, read_all: Any) -> None:
    top, rejects = read_all(Json(path=write("a.json.gz", gzip.compress(b'\n[{"text": "a", "id": 1}, 2, {"text": "b"}]'))))
    inside, _ = read_all(Json(path=write("b.json", b'{"data": {"rows": [{"text": "c"}]}}'), rows="data.rows"))
    assert [document.text for document in top + inside] == ["a", "b", "c"]
    assert (rejects[0].reason, rejects[0].witness, rejects[0].raw) == ("not_an_object", "a.json.gz:2", b"2")
    assert read_all(Json(path=write("c.json", b" \n"))) == ([], [])


@pytest.mark.parametrize(
    ("data", "said"), [(b'[{"text": "a"}', "is not JSON throughout"), (b'{"a": 1}', "holds no list"), (b"[NaN]", "not_finite")]
)
def test_a_json_file_that_is_not_a_list_is_damage(write: Any, read_all: Any, data: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_all(Json(path=write("a.json", data)))
