"""Awkward input under every policy gives its exact counts (R13), and the kinds of cases O01 to O04 hold beyond the very cases."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from ropewalk.core.errors import DataError
from ropewalk.core.ledger import read_ledger
from ropewalk.pipeline.stages.load import Load

ROWS = [{"id": f"d{number}", "text": f"document {number}"} for number in range(10)]
LINES = b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)
MANY = b"".join(b'{"id": "m%d", "text": "document number %d of many"}\n' % (number, number) for number in range(20_000))
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda data: gzip.compress(data, mtime=0),
    "zst": zstandard.ZstdCompressor().compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


def load(**source: Any) -> Load:
    return Load.model_validate({"source": source})


def parquet(folder: Path, name: str, **columns: Any) -> None:
    pq.write_table(pa.table(columns), folder / name)


def make_utf_16(folder: Path) -> None:
    (folder / "wide.jsonl").write_bytes(LINES.decode().encode("utf-16"))


def make_folder(folder: Path) -> None:
    (folder / "x.jsonl").mkdir()


def make_dangling(folder: Path) -> None:
    (folder / "dangling.jsonl").symlink_to(folder / "gone")


def make_pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe.jsonl")


def make_empty(folder: Path) -> None:
    (folder / "empty.jsonl").write_bytes(b"")


def make_no_rows(folder: Path) -> None:
    parquet(folder, "none.parquet", id=pa.array([], pa.string()), text=pa.array([], pa.string()))


def make_null_column(folder: Path) -> None:
    parquet(folder, "null.parquet", id=["n1", "n2"], text=pa.nulls(2))


def make_other_columns(folder: Path) -> None:
    parquet(folder, "other.parquet", id=["o1", "o2"], text=["one", "two"], score=[1.5, float("nan")])


def make_number_ids(folder: Path) -> None:
    parquet(folder, "numbers.parquet", id=[1, 2, 9007199254740993], text=["one", "two", "three"])


def make_repeated(folder: Path) -> None:
    (folder / "again.jsonl").write_bytes(LINES)


def make_csv(folder: Path) -> None:
    (folder / "quoted.csv").write_bytes(b'id,text\nq1,"over\n\nlines, ""with"" quotes"\nq2,plain\nq3,too,many\n')


# name -> (what it adds to a folder with ten good lines, good ones it adds, bad ones, whether on_corrupt decides)
AWKWARD: dict[str, tuple[Callable[[Path], None], int, int, bool]] = {
    "utf-16": (make_utf_16, 0, 1, True),
    "folder called x.jsonl": (make_folder, 0, 0, False),
    "dangling link": (make_dangling, 0, 1, True),
    "pipe": (make_pipe, 0, 1, True),
    "empty file": (make_empty, 0, 0, False),
    "no rows": (make_no_rows, 0, 0, False),
    "null column": (make_null_column, 0, 2, False),
    "other columns": (make_other_columns, 2, 0, False),
    "number ids": (make_number_ids, 3, 0, False),
    "repeated ids": (make_repeated, 10, 0, False),
    "csv over lines": (make_csv, 2, 1, False),
}


@pytest.mark.parametrize("policy", ["error", "skip", "quarantine"])
@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_input_gives_its_exact_counts(tmp_path: Path, make_stage: Any, name: str, policy: str) -> None:
    make, good, bad, corrupt = AWKWARD[name]
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "good.jsonl").write_bytes(LINES)
    make(folder)
    stage = load(type="files", path=folder, on_bad_record=policy, on_corrupt="error" if policy == "error" else "skip")
    if bad and policy == "error":
        with pytest.raises(DataError, match=r"\w+\.(jsonl|parquet|csv)"):
            make_stage(stage)
        return
    corpus, facts = make_stage(stage)
    assert (facts.counts["kept"], facts.counts["quarantined"], facts.counts["dropped"]) == (10 + good, bad, 0)
    assert facts.counts["records_in"] == 10 + good + bad and facts.counts["corrupt_files"] == (bad if corrupt else 0)
    ids = [document.id for document in corpus.documents()]
    assert len(set(ids)) == len(ids) and {row["id"] for row in ROWS} <= set(ids)
    assert (corpus.path / "quarantine").exists() == bool(bad and policy == "quarantine")


def test_an_unreadable_file_is_said_or_listed(tmp_path: Path, make_stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("good", "locked"):
        (tmp_path / f"{name}.jsonl").write_bytes(LINES)
    monkeypatch.setattr(os, "access", lambda path, mode: "locked" not in str(path))  # permissions don't stop root
    with pytest.raises(DataError, match=r"locked\.jsonl: may not be read"):
        make_stage(load(type="jsonl", path=tmp_path), folder="error")
    _, facts = make_stage(load(type="jsonl", path=tmp_path, on_corrupt="skip"), folder="skip")
    assert (facts.counts["kept"], facts.counts["quarantined/corrupt_file"]) == (10, 1)


def test_a_parquet_file_without_the_text_stops_whatever_the_policy(tmp_path: Path, make_stage: Any) -> None:
    parquet(tmp_path, "a.parquet", id=["a"], text=["x"])
    parquet(tmp_path, "b.parquet", id=["b"], body=["x"])
    for policy in ("skip", "quarantine"):
        with pytest.raises(DataError, match=r"b\.parquet: there is no column 'text'; there are id, body"):
            make_stage(load(type="parquet", path=tmp_path, on_bad_record=policy, on_corrupt="skip"), folder=policy)


def test_numbers_and_words_as_ids_stand_side_by_side(tmp_path: Path, make_stage: Any) -> None:
    parquet(tmp_path, "a.parquet", id=[1, 2**53 + 1], text=["a", "b"])
    parquet(tmp_path, "b.parquet", id=["1", "x"], text=["c", "d"])
    corpus, facts = make_stage(load(type="parquet", path=tmp_path))
    assert [document.id for document in corpus.documents()] == ["1", "9007199254740993", "1#2", "x"] and facts.metrics["repeated_ids"] == 1


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("cut", [1, 8, 0.02, 0.98])
def test_no_cut_anywhere_ends_a_file_quietly(tmp_path: Path, make_stage: Any, kind: str, cut: float) -> None:  # like O01
    whole = PACK[kind](MANY)
    path = tmp_path / f"a.jsonl.{kind}"
    path.write_bytes(whole[: -int(cut)] if cut >= 1 else whole[: int(len(whole) * cut)])
    (tmp_path / "good.jsonl").write_bytes(LINES)
    with pytest.raises(DataError, match=rf"a\.jsonl\.{kind}: "):
        make_stage(load(type="jsonl", path=tmp_path))
    _, facts = make_stage(load(type="jsonl", path=tmp_path, on_corrupt="skip"), folder="skip")
    assert facts.counts["corrupt_files"] == 1 and 10 <= facts.counts["kept"] <= 20_010
    assert facts.counts["records_in"] == facts.counts["kept"] + facts.counts["quarantined"]


@pytest.mark.parametrize("part", [0.3, 0.5, 0.9])
def test_a_flipped_byte_costs_no_more_than_its_file_where_that_may_be(tmp_path: Path, make_stage: Any, part: float) -> None:  # like O01
    data = bytearray(PACK["gz"](MANY))
    data[int(len(data) * part)] ^= 0xFF
    (tmp_path / "a.jsonl.gz").write_bytes(data)
    (tmp_path / "b.jsonl").write_bytes(MANY.replace(b'"m', b'"n'))
    with pytest.raises(DataError, match=r"a\.jsonl\.gz"):
        make_stage(load(type="jsonl", path=tmp_path))
    corpus, facts = make_stage(load(type="jsonl", path=tmp_path, on_corrupt="skip"), folder="skip")
    assert facts.counts["quarantined/corrupt_file"] == 1 and facts.counts["kept"] > 20_000
    assert set(facts.counts) <= {
        *("records_in", "kept", "dropped", "quarantined", "corrupt_files"),
        *("quarantined/corrupt_file", "quarantined/in_corrupt_file"),
    }
    reasons = read_ledger(corpus.path)["reason"].to_pylist()
    assert reasons.count("in_corrupt_file") == facts.counts.get("quarantined/in_corrupt_file", 0)


def test_bad_lines_of_a_whole_file_still_count_where_damage_may_be_skipped(tmp_path: Path, make_stage: Any) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(MANY + b"broken\n" * 100))
    with pytest.raises(DataError, match="100 of 20,100 records are bad"):
        make_stage(load(type="jsonl", path=tmp_path, on_corrupt="skip"))


BAD = [b'{"id":"x","text":"caf\xe9"}', b'{"id":"x","text":"\xf0\x9f\x98"}', b'\xff\xfe{"text":"x"}', b'{"id":"\xc0\xaf","text":"x"}']


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("kind", ["plain", "gz", "bz2"])
def test_bytes_that_are_no_text_cost_one_line(tmp_path: Path, make_stage: Any, bad: bytes, kind: str) -> None:  # like O02
    data = LINES[: LINES.index(b'{"id": "d5"')] + bad + b"\n" + LINES[LINES.index(b'{"id": "d5"') :]
    (tmp_path / "a.jsonl").write_bytes(PACK[kind](data) if kind in PACK else data)
    corpus, facts = make_stage(load(type="jsonl", path=tmp_path, on_bad_record="skip"))
    assert (facts.counts["kept"], facts.counts["quarantined/bad_utf8"]) == (10, 1)
    assert read_ledger(corpus.path)["id"].to_pylist() == ["a.jsonl:6"]
    with pytest.raises(DataError, match=r"a\.jsonl:6"):
        make_stage(load(type="jsonl", path=tmp_path, on_bad_record="error"), folder="error")
    if b'"text":"' in bad and not bad.startswith(b"\xff"):
        corpus, facts = make_stage(load(type="jsonl", path=tmp_path, bad_characters="replace"), folder="replace")
        (document,) = (document for document in corpus.documents() if not document.id.startswith("d"))
        assert facts.counts["kept"] == 11 and "\ufffd" in document.id + document.text


@pytest.mark.parametrize(("name", "data"), [("a.csv", b"id,text\nx,caf\xe9\ny,fine\n"), ("a.txt", b"caf\xe9\n\nfine\n")])
def test_bytes_that_are_no_text_cost_one_record_in_other_formats(tmp_path: Path, make_stage: Any, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    kind = {"type": "csv"} if name == "a.csv" else {"type": "text", "per": "paragraph"}
    _, facts = make_stage(load(path=tmp_path / name, **kind))
    assert (facts.counts["kept"], facts.counts["quarantined/bad_utf8"]) == (1, 1)


MARK = b"\xef\xbb\xbf"


def test_a_mark_costs_nothing_in_any_format_or_packing_and_inside_it_is_text(tmp_path: Path, make_stage: Any) -> None:  # like O03
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.jsonl.gz").write_bytes(gzip.compress(MARK + LINES))
    (folder / "b.tsv").write_bytes(MARK + b"id\ttext\nb\t\xef\xbb\xbfinside\n")
    (folder / "c.json").write_bytes(MARK + b'[{"id": "c", "text": "x"}]')
    (folder / "d.txt").write_bytes(MARK + b"text")
    with zipfile.ZipFile(folder / "e.zip", "w") as made:
        made.writestr("e.jsonl", MARK + b'{"id": "e", "text": "x"}')
    corpus, facts = make_stage(load(type="files", path=folder))
    texts = {document.id: document.text for document in corpus.documents()}
    assert facts.counts["kept"] == 14 and facts.counts["quarantined"] == 0 and {"d0", "b", "c", "d.txt", "e"} <= set(texts)
    assert texts["d.txt"] == "text" and texts["b"] == "\ufeffinside"


def test_a_mark_behind_a_second_member_is_part_of_its_line(tmp_path: Path, make_stage: Any) -> None:  # like O03
    half = LINES.index(b'{"id": "d5"')
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(MARK + LINES[:half]) + gzip.compress(MARK + LINES[half:]))
    _, facts = make_stage(load(type="jsonl", path=tmp_path))
    assert (facts.counts["kept"], facts.counts["quarantined/not_json"]) == (9, 1)


VALUES = [0, 1.5, True, None, [], ["a"], {}, {"text": "a"}]


def test_no_value_becomes_a_text_by_itself(tmp_path: Path, make_stage: Any) -> None:  # like O04
    lines = [json.dumps({"id": f"v{number}", "text": value}) for number, value in enumerate(VALUES)]
    (tmp_path / "a.jsonl").write_text("\n".join([*lines, '{"text": ""}', '{"text": "None"}']))
    corpus, facts = make_stage(load(type="jsonl", path=tmp_path, max_bad_fraction=1))
    assert sorted(document.text for document in corpus.documents()) == ["", "None"]
    assert facts.counts["quarantined/text_not_string"] == len(VALUES) and facts.counts["records_in"] == len(VALUES) + 2


def test_mixed_types_in_other_fields_survive_verbatim(tmp_path: Path, make_stage: Any) -> None:  # like O04
    rows = [{"id": str(number), "text": "x", "m": value} for number, value in enumerate([*VALUES, "s", 10**30, [[0, 4, "P"], [1.5, None]]])]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    corpus, _ = make_stage(load(type="jsonl", path=tmp_path))
    assert [document.meta["m"] for document in corpus.documents()] == [row["m"] for row in rows]


MEASURE = """
import logging, sys
from pathlib import Path
import bz2, lzma, numpy, pyarrow.parquet, pyarrow.compute, xxhash, zstandard
from ropewalk.core.errors import DataError
from ropewalk.core.shards import assemble, map_shards
from ropewalk.pipeline.stage import Context
from ropewalk.pipeline.stages.load import Load

class Here:
    def map(self, function, items, size_bytes):
        for index, item in enumerate(items):
            yield index, function(item)

stage = Load.model_validate({"source": {"type": "files", "path": sys.argv[1]}})
out, work = Path(sys.argv[2]) / "out", Path(sys.argv[2]) / "work"
out.mkdir(parents=True)

def mapped(function, shards, unit):
    receipts = map_shards(function, shards, work, Here())
    assemble(receipts, work, out)
    return receipts

context = Context("load", 0, out, work, logging.getLogger("x"), None, mapped, None)
peak = lambda: int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) / 1024
before, said = peak(), ""
try:
    said = str(stage.make(context).counts["kept"])
except DataError as error:
    said = error.message
print(f"{peak() - before:.0f}|{said}")
"""


def measured(path: Path, tmp_path: Path) -> tuple[float, str]:
    """(MiB over the process after its imports, what came of it)."""
    command = [sys.executable, "-c", MEASURE, str(path), str(tmp_path / f"measured-{path.name}")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=150)
    memory, _, said = done.stdout.strip().partition("|")
    return float(memory), said


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads peak memory from /proc")
@pytest.mark.parametrize("unit", ["x" * 80, "words and more of them \\n " * 3])
def test_a_line_of_100_mib_is_read_in_little_memory(tmp_path: Path, unit: str) -> None:
    with (tmp_path / "long.jsonl").open("wb") as file:
        file.write(b'{"id": "long", "text": "' + unit.encode() * ((100 << 20) // len(unit)) + b'"}\n' + LINES)
    memory, said = measured(tmp_path / "long.jsonl", tmp_path)
    assert said == "11" and memory < 300


def folded(path: Path) -> None:
    """19,000 rows of one text of 1 MiB: 18.6 GiB in half a kilobyte."""
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 19_000, pa.int32()), pa.array(["x" * (1 << 20)]))
    pq.write_table(pa.table({"text": text}), path, compression="zstd", write_statistics=False)


def zeros(path: Path) -> None:
    unit = bytes(1 << 20)
    if path.suffix == ".zst":
        with path.open("wb") as file, zstandard.ZstdCompressor().stream_writer(file) as writer:
            for _ in range(1100):
                writer.write(unit)
        return
    frame = gzip.compress(bytes(110 << 20), 1)  # members one behind the other: cheap to make
    path.write_bytes(frame * 11)


def tarred_zeros(path: Path) -> None:
    member = tarfile.TarInfo("a.jsonl")
    member.size = 1100 << 20
    packer = zstandard.ZstdCompressor().compressobj()
    with path.open("wb") as file:
        file.write(packer.compress(member.tobuf()))
        for _ in range(1100):
            file.write(packer.compress(bytes(1 << 20)))
        file.write(packer.compress(bytes(1024)) + packer.flush())


BOMBS = {"a.jsonl.gz": zeros, "a.jsonl.zst": zeros, "a.parquet": folded, "a.tar.zst": tarred_zeros}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads peak memory from /proc")
@pytest.mark.parametrize(("name", "make"), BOMBS.items())
def test_a_bomb_stops_in_little_memory(tmp_path: Path, name: str, make: Callable[[Path], None]) -> None:
    make(tmp_path / name)
    assert (tmp_path / name).stat().st_size < 6 << 20
    memory, said = measured(tmp_path / name, tmp_path)
    assert "taken for a bomb" in said and name in said and memory < 300


def test_a_line_longer_than_allowed_is_one_bad_record(tmp_path: Path, make_stage: Any) -> None:
    long = b'{"id": "l", "text": "' + b"x" * 5000 + b'"}\n'
    half = LINES.index(b'{"id": "d5"')
    (tmp_path / "a.jsonl").write_bytes(LINES[:half] + long + LINES[half:] + long.rstrip(b"\n"))
    corpus, facts = make_stage(load(type="jsonl", path=tmp_path, max_record=4000))
    assert (facts.counts["kept"], facts.counts["quarantined/too_long"]) == (10, 2)
    assert read_ledger(corpus.path)["id"].to_pylist() == ["a.jsonl:6", "a.jsonl:12"]


def test_a_page_of_a_parquet_file_is_no_larger_than_a_record_may_be(tmp_path: Path, make_stage: Any) -> None:
    parquet(tmp_path, "a.parquet", text=["x" * 100_000] * 3)
    with pytest.raises(DataError, match=r"'text' has a page of .* more than max_record"):
        make_stage(load(type="parquet", path=tmp_path, max_record="64KiB"))


def test_long_rows_texts_and_arrays_are_told(tmp_path: Path, make_stage: Any) -> None:
    (tmp_path / "a.csv").write_bytes(b"id,text\na,short\nb," + b"x" * 5000 + b"\n")
    (tmp_path / "a.json").write_bytes(b'[{"text": "' + b"x" * 5000 + b'"}]')
    (tmp_path / "a.txt").write_bytes(b"short\n\n" + b"x" * 5000 + b"\n\nlast\n")
    with pytest.raises(DataError, match=r"a row of more than .* begins at line 3"):
        make_stage(load(type="csv", path=tmp_path / "a.csv", max_record=8000), folder="csv")
    with pytest.raises(DataError, match="is larger than max_record"):
        make_stage(load(type="json", path=tmp_path / "a.json", max_record=4000), folder="json")
    for settings, kept in (({"per": "paragraph"}, 2), ({"per": "line"}, 2), ({"separator": "\n\n"}, 2), ({}, 0)):
        stage = load(type="text", path=tmp_path / "a.txt", max_record=1000, max_bad_fraction=1, **settings)
        if kept:
            _, facts = make_stage(stage, folder=str(settings))
            assert (facts.counts["kept"], facts.counts["quarantined/too_long"]) == (kept, 1)
        else:
            with pytest.raises(DataError, match="1 too_long"):
                make_stage(stage)
