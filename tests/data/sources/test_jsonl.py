"""JSON lines: every kind of damage gives the exact good and bad records, and says where."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import zstandard

from ropewalk.core.errors import DataError
from ropewalk.data.sources import file_source, jsonl
from ropewalk.data.sources.file_source import CORRUPT
from ropewalk.data.sources.jsonl import Jsonl


def line(number: int) -> bytes:
    return json.dumps({"id": f"d{number}", "text": f"document number {number} with some ordinary words"}).encode() + b"\n"


def lines(start: int, stop: int) -> bytes:
    return b"".join(map(line, range(start, stop)))


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


FIRST, SECOND, TEN, LARGE = lines(0, 5), lines(5, 10), lines(0, 10), lines(0, 20_000)
ZST = zstandard.ZstdCompressor().compress
DIRTY: dict[str, tuple[bytes, int, dict[str, int]]] = {
    "good.jsonl": (TEN, 10, {}),
    "bom.jsonl": (b"\xef\xbb\xbf" + TEN, 10, {}),
    "broken_line.jsonl": (FIRST + b'{"id":"x","text": "unterm\n' + SECOND, 10, {"not_json": 1}),
    "latin1_byte.jsonl": (FIRST + b'{"id":"x","text":"caf\xe9 au lait"}\n' + SECOND, 10, {"bad_utf8": 1}),
    "lone_surrogate.jsonl": (FIRST + b'{"id":"x","text":"half \\ud83d emoji"}\n' + SECOND, 10, {"lone_surrogate": 1}),
    "nul.jsonl": (FIRST + b'{"id":"x","text":"a\\u0000b"}\n' + b"\0\0\0\n" + SECOND, 11, {"not_json": 1}),
    "mixed_types.jsonl": (
        FIRST + b'{"id":7,"text":123}\n{"id":"n","text":null}\n[1,2]\n"str"\n{"nope":1}\n' + SECOND,
        10,
        {"text_not_string": 2, "not_an_object": 2, "no_text": 1},
    ),
    "empty.jsonl": (b"", 0, {}),
    "no_final_newline.jsonl": (TEN.rstrip(b"\n"), 10, {}),
    "crlf.jsonl": (TEN.replace(b"\n", b"\r\n"), 10, {}),
    "line_separators.jsonl": (FIRST + '{"id":"ls","text":"line\u2028sep\u0085nel"}\n'.encode() + SECOND, 11, {}),
    "nan.jsonl": (FIRST + b'{"id":"x","text":"v","score":NaN}\n' + SECOND, 10, {"not_finite": 1}),
    "truncated.jsonl.gz": (gzip.compress(LARGE, mtime=0)[: len(gzip.compress(LARGE, mtime=0)) // 2], 9_941, {CORRUPT: 1}),
    "two_members.jsonl.gz": (gzip.compress(FIRST) + gzip.compress(SECOND), 10, {}),
    "two_frames.jsonl.zst": (ZST(FIRST) + ZST(SECOND), 10, {}),
    "truncated.jsonl.zst": (ZST(LARGE)[: len(ZST(LARGE)) // 2], 7_212, {CORRUPT: 1}),
    "duplicate_key.jsonl": (FIRST + b'{"id":"a","text":"first","text":"second"}\n' + SECOND, 10, {"duplicate_key": 1}),
    "30_mib_line.jsonl": (FIRST + b'{"id":"h","text":"' + b"x" * (30 << 20) + b'"}\n' + SECOND, 11, {}),
    "flipped_byte.jsonl.gz": (flipped(gzip.compress(LARGE, mtime=0)), -1, {CORRUPT: 1}),
}


@pytest.mark.parametrize("name", DIRTY)
def test_each_damage_gives_exactly_its_good_and_bad_records(tmp_path: Path, name: str, read_all: Any) -> None:
    data, good, bad = DIRTY[name]
    (tmp_path / name).write_bytes(data)
    documents, rejects = read_all(Jsonl(path=tmp_path / name, on_corrupt="skip"))
    reasons = Counter(item.reason for item in rejects)
    if good >= 0:
        assert (len(documents), dict(reasons)) == (good, bad)
        if CORRUPT in bad:
            assert f"truncated after {good:,} records" in rejects[-1].witness and name in rejects[-1].witness
    else:  # a flipped byte spoils what follows; it is never read as a whole file
        assert 9_000 < len(documents) < 20_000 and reasons[CORRUPT] == 1
    assert [document.id for document in documents[:5]] == ["d0", "d1", "d2", "d3", "d4"][: len(documents)]
    assert not any(document.id.startswith("\ufeff") or "\ufeff" in document.text for document in documents)


@pytest.mark.parametrize("name", [name for name, (_, _, bad) in DIRTY.items() if CORRUPT in bad])
def test_a_cut_or_damaged_file_stops_by_default_and_names_file_and_records(tmp_path: Path, name: str, read_all: Any) -> None:
    (tmp_path / name).write_bytes(DIRTY[name][0])
    with pytest.raises(DataError, match=rf"{name}: truncated after [\d,]+ records.*byte [\d,]+ of the file"):
        read_all(Jsonl(path=tmp_path / name))


def test_a_bad_record_has_its_line_and_its_bytes(tmp_path: Path, read_all: Any) -> None:
    (tmp_path / "a.jsonl").write_bytes(DIRTY["latin1_byte.jsonl"][0])
    _, (reject,) = read_all(Jsonl(path=tmp_path / "a.jsonl"))
    assert reject.witness.startswith("a.jsonl:6: byte 0xe9")
    assert reject.raw == b'{"id":"x","text":"caf\xe9 au lait"}'


def test_bad_characters_can_be_replaced(tmp_path: Path, read_all: Any) -> None:
    text = b'{"id":"x","text":"caf\xe9"}\n{"id":"y","text":"half \\ud83d","m":["\\udc00"]}\n{"id":"z","text":"whole \\ud83d\\ude00"}\n'
    (tmp_path / "a.jsonl").write_bytes(text)
    documents, rejects = read_all(Jsonl(path=tmp_path / "a.jsonl", bad_characters="replace"))
    assert [document.text for document in documents] == ["caf\ufffd", "half \ufffd", "whole 😀"] and not rejects
    assert documents[1].meta == {"m": ["\ufffd"]}


def test_nan_and_numbers_beyond_floats_can_be_null(tmp_path: Path, read_all: Any) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text":"a","m":NaN}\n{"text":"b","m":[-Infinity,1e999,1.5]}\n')
    documents, _ = read_all(Jsonl(path=tmp_path / "a.jsonl", not_finite="null"))
    assert [document.meta["m"] for document in documents] == [None, [None, None, 1.5]]
    _, rejects = read_all(Jsonl(path=tmp_path / "a.jsonl"))
    assert [reject.reason for reject in rejects] == ["not_finite", "not_finite"]


def test_meta_survives_and_ids_are_not_reinterpreted(write: Any, read_all: Any) -> None:
    rows = [
        {"id": 7, "text": "a", "m": [[0, 4, "P"]]},
        {"id": "007", "text": "b", "big": 12345678901234567890123},
        {"id": 9007199254740993, "text": "c"},
        {"text": "d", "url": "u"},
        {"id": None, "text": "d"},
        {"id": "", "text": "e"},
    ]
    documents, rejects = read_all(Jsonl(path=write("a.jsonl", rows), license="MIT", name="mine"))
    assert [document.id for document in documents[:3]] == ["7", "007", "9007199254740993"] and not rejects
    assert documents[0].meta == {"m": [[0, 4, "P"]]} and documents[1].meta == {"big": 12345678901234567890123}
    assert documents[3].id == documents[4].id != documents[5].id and len(documents[3].id) == 32
    assert {(document.source, document.license) for document in documents} == {("mine", "MIT")}


def test_fields_are_found_by_dotted_path(write: Any, read_all: Any) -> None:
    rows = [
        {"page": {"body": "one", "lang": "en"}, "u.rl": "x", "parts": [{"n": "a"}]},
        {"page": {"body": "two"}, "u.rl": "y", "parts": [{"n": "b"}]},
        {"page": "text", "u.rl": "z"},
        {"page": {"body": "three"}},
    ]
    path = write("a.jsonl", rows)
    documents, rejects = read_all(Jsonl(path=path, text="page.body", id="u.rl"))
    assert [(document.id, document.text) for document in documents] == [("x", "one"), ("y", "two")]
    assert documents[0].meta == {"page": {"lang": "en"}, "parts": [{"n": "a"}]} and documents[0].source == "a"
    assert [reject.reason for reject in rejects] == ["no_text", "no_id"]
    by_list, _ = read_all(Jsonl(path=path, text="page.body", id="parts.0.n"))
    assert [document.id for document in by_list] == ["a", "b"]


@pytest.mark.parametrize("given", [1.5, True, ["a"], {"a": 1}])
def test_an_id_that_is_no_text_or_whole_number_is_bad(write: Any, read_all: Any, given: Any) -> None:
    documents, (reject,) = read_all(Jsonl(path=write("a.jsonl", [{"id": given, "text": "a"}])))
    assert reject.reason == "bad_id" and not documents


def test_a_missing_text_names_what_is_there(write: Any, read_all: Any) -> None:
    _, (reject,) = read_all(Jsonl(path=write("a.jsonl", [{"body": "a", "url": "u"}])))
    assert reject.witness == "a.jsonl:1: no 'text' among body, url" and json.loads(reject.raw) == {"body": "a", "url": "u"}


@pytest.mark.parametrize("value", ["[" * 3000 + "]" * 3000, "1" * 5000, '"' + "\\ud800" + '"'])
def test_extreme_json_is_a_bad_record_never_a_crash(tmp_path: Path, read_all: Any, value: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text":"a","m":' + value.encode() + b"}\n" + TEN)
    documents, rejects = read_all(Jsonl(path=tmp_path / "a.jsonl"))
    assert len(documents) + len(rejects) == 11 and len(documents) >= 10


def test_one_json_array_is_told_from_json_lines(write: Any, read_all: Any) -> None:
    path = write("a.jsonl", b'[\n {"text": "a"},\n {"text": "b"}\n]\n')
    with pytest.raises(DataError, match="one JSON array") as caught:
        read_all(Jsonl(path=path))
    assert "type: json" in caught.value.remedy


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_a_large_plain_file_is_read_in_parts_without_loss(
    tmp_path: Path, read_all: Any, monkeypatch: pytest.MonkeyPatch, ending: bytes
) -> None:
    data = (lines(0, 300) + b"\n\n" + b"broken\n" + lines(300, 400)).replace(b"\n", ending)
    (tmp_path / "a.jsonl").write_bytes(data)
    whole, rejects = read_all(Jsonl(path=tmp_path / "a.jsonl"))
    for size in (50, 333, 1000, len(line(0)), len(data) - 1):
        monkeypatch.setattr(jsonl, "PIECE_BYTES", size)
        monkeypatch.setattr(file_source, "PIECE_BYTES", size)
        source = Jsonl(path=tmp_path / "a.jsonl")
        assert len(source.shards()) > 1
        assert read_all(source) == (whole, rejects)
    assert rejects[0].witness.startswith("a.jsonl:303: ")


def test_a_packed_file_is_told_by_its_bytes_not_its_name(tmp_path: Path, read_all: Any) -> None:
    (tmp_path / "a.jsonl").write_bytes(gzip.compress(TEN))
    (tmp_path / "b.jsonl.gz").write_bytes(TEN)
    assert len(read_all(Jsonl(path=tmp_path))[0]) == 20


def test_long_lines_keep_their_bytes_when_bad(tmp_path: Path, read_all: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "LARGE_LINE_BYTES", 10)
    rows = [b'{"id": "a", "nope": 1}', b'{"broken, and long', b'{"text": "caf\xe9 and more"}']
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(rows))
    _, rejects = read_all(Jsonl(path=tmp_path / "a.jsonl"))
    assert [reject.raw for reject in rejects] == rows
