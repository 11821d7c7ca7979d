"""The load stage: whole files or a named error, every record accounted for, the same bytes however it is run (cases O01 to O04)."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import zstandard

from ropewalk.core.artifact import hash_file
from ropewalk.core.errors import DataError
from ropewalk.core.identity import identify
from ropewalk.core.ledger import read_ledger
from ropewalk.core.shards import Shard
from ropewalk.data.records import Document, Rejected
from ropewalk.data.sources import parts
from ropewalk.data.sources.source import Source
from ropewalk.pipeline.stages.load import Load

LARGE = b"".join(json.dumps({"id": f"d{number}", "text": f"document {number}"}).encode() + b"\n" for number in range(20_000))
PACK = {"gz": lambda data: gzip.compress(data, mtime=0), "zst": zstandard.ZstdCompressor().compress}


def load(**source: Any) -> Load:
    return Load.model_validate({"source": source})


def files(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("kind", PACK)
def test_a_file_cut_in_half_fails_the_stage_or_is_listed_and_a_mended_one_is_whole(
    tmp_path: Path, make_stage: Any, kind: str
) -> None:  # O01
    path = tmp_path / f"a.jsonl.{kind}"
    whole = PACK[kind](LARGE)
    path.write_bytes(whole[: len(whole) // 2])
    key = identify(load(type="jsonl", path=path), lambda ref: "").key
    with pytest.raises(DataError, match=rf"a\.jsonl\.{kind}: truncated after [\d,]+ records"):
        make_stage(load(type="jsonl", path=path))
    corpus, facts = make_stage(load(type="jsonl", path=path, on_corrupt="skip"), folder="skipped")
    assert 1_000 < facts.counts["kept"] < 20_000 and facts.counts["quarantined/corrupt_file"] == facts.counts["corrupt_files"] == 1
    (line,) = facts.metrics["corrupt"]
    assert line == read_ledger(corpus.path)["witness"][0].as_py()
    assert f"a.jsonl.{kind}: truncated after {facts.counts['kept']:,} records" in line and "(byte " in line
    path.write_bytes(whole)
    assert identify(load(type="jsonl", path=path), lambda ref: "").key != key
    corpus, facts = make_stage(load(type="jsonl", path=path), folder="mended")
    assert facts.counts["kept"] == 20_000 and [document.id for document in corpus.documents()] == [f"d{number}" for number in range(20_000)]


GOOD = [b'{"id":"g%d","text":"good %d"}' % (number, number) for number in range(10)]
LATIN = b"\n".join([*GOOD[:5], b'{"id":"x","text":"caf\xe9"}', *GOOD[5:]])


def test_one_bad_byte_is_one_bad_record(tmp_path: Path, make_stage: Any) -> None:  # O02
    (tmp_path / "a.jsonl").write_bytes(LATIN)
    corpus, facts = make_stage(load(type="jsonl", path=tmp_path / "a.jsonl", on_bad_record="skip"), folder="skip")
    assert (facts.counts["kept"], facts.counts["quarantined"], facts.counts["quarantined/bad_utf8"]) == (10, 1, 1)
    assert read_ledger(corpus.path).to_pylist() == [
        {"id": "a.jsonl:6", "stage": "load", "reason": "bad_utf8", "score": None, "witness": "a.jsonl:6: byte 0xe9 at 21"}
    ]
    assert not (corpus.path / "quarantine").exists()
    corpus, facts = make_stage(load(type="jsonl", path=tmp_path / "a.jsonl", bad_characters="replace"), folder="replace")
    assert (facts.counts["kept"], [document.text for document in corpus.documents()][5]) == (11, "caf\ufffd")
    with pytest.raises(DataError, match=r"a\.jsonl:6"):
        make_stage(load(type="jsonl", path=tmp_path / "a.jsonl", on_bad_record="error"), folder="error")


def test_quarantine_keeps_the_bytes_and_says_so(tmp_path: Path, make_stage: Any, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.jsonl").write_bytes(LATIN)
    corpus, facts = make_stage(load(type="jsonl", path=tmp_path / "a.jsonl"))
    (row,) = pq.read_table(next((corpus.path / "quarantine").iterdir())).to_pylist()
    assert (row["place"], row["reason"], row["raw"]) == ("a.jsonl:6", "bad_utf8", b'{"id":"x","text":"caf\xe9"}')
    assert facts.metrics["examples"]["bad_utf8"][0]["id"] == "a.jsonl:6"
    assert "load: 1 of 11 records set aside: 1 bad_utf8" in caplog.text


def test_a_byte_order_mark_costs_no_record(tmp_path: Path, make_stage: Any) -> None:  # O03
    mark = b"\xef\xbb\xbf"
    (tmp_path / "a.jsonl").write_bytes(mark + b"\n".join(GOOD) + b'\n{"id":"m","text":"in\xef\xbb\xbfside"}')
    (tmp_path / "b.csv").write_bytes(mark + b"id,text\n" + b"".join(b"c%d,text\n" % number for number in range(10)))
    corpus, facts = make_stage(load(type="files", path=tmp_path))
    documents = {document.id: document for document in corpus.documents()}
    assert facts.counts["kept"] == len(documents) == 21 and {"g0", "c0"} <= set(documents)
    assert documents["m"].text == "in\ufeffside"


def test_mixed_types_are_kept_or_bad_never_made_into_text(tmp_path: Path, make_stage: Any) -> None:  # O04
    lines = ['{"id":7,"text":"a","m":[[0,4,"P"]]}', '{"id":"n","text":null}', '{"text":123}', "[1,2]", '"str"', '{"nope":1}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    with pytest.raises(DataError, match="5 of 6 records are bad"):
        make_stage(load(type="jsonl", path=tmp_path / "a.jsonl"), folder="default")
    corpus, facts = make_stage(load(type="jsonl", path=tmp_path / "a.jsonl", max_bad_fraction=1))
    (document,) = corpus.documents()
    assert (document.id, document.text, document.meta) == ("7", "a", {"m": [[0, 4, "P"]]})
    assert facts.counts["records_in"] == 6 == facts.counts["kept"] + facts.counts["quarantined"]
    raw = pq.read_table(next((corpus.path / "quarantine").iterdir()))["raw"].to_pylist()
    assert [value.decode() for value in raw] == lines[1:]


def test_the_same_bytes_wherever_the_files_lie_and_in_whatever_pieces(tmp_path: Path, make_stage: Any, monkeypatch: Any) -> None:
    for folder in ("one", "two/deep"):
        (tmp_path / folder).mkdir(parents=True)
        for number in range(4):
            (tmp_path / folder / f"{number}.jsonl").write_bytes(LARGE[number * 500_000 : (number + 1) * 500_000])
    monkeypatch.setattr("ropewalk.data.sources.file_source.PIECE_BYTES", 300_000)
    monkeypatch.setattr(parts, "PART_DOCUMENTS", 3_000)
    made = [
        make_stage(load(type="jsonl", path=tmp_path / folder, max_bad_fraction=0.5), folder=folder)[0] for folder in ("one", "two/deep")
    ]
    assert files(made[0].path) == files(made[1].path)
    ids = [document.id for document in made[0].documents()]
    assert ids == sorted(ids, key=lambda name: int(name[1:])) and len(ids) > 19_990
    names = [path.name for path in sorted((made[0].path / "documents").iterdir())]
    assert names[:3] == ["00000-0.parquet", "00000-0_0001.parquet", "00000-0_0002.parquet"] and all("_0000" not in name for name in names)


def test_documents_are_written_in_files_of_bounded_size(tmp_path: Path, make_stage: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(parts, "PART_BYTES", 100)
    rows = [{"text": "x" * size} for size in (60, 60, 500, 10, 10)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    corpus, _ = make_stage(load(type="jsonl", path=tmp_path / "a.jsonl"))
    assert [table.num_rows for table in corpus.tables()] == [1, 1, 1, 2]


def test_ids_that_come_again_get_a_number_in_order(tmp_path: Path, make_stage: Any, caplog: pytest.LogCaptureFixture) -> None:
    for name, ids in {"a": ["x", "y", "x"], "b": ["x", "x#2"], "c": ["z"]}.items():
        (tmp_path / f"{name}.jsonl").write_text("\n".join(json.dumps({"id": each, "text": name}) for each in ids))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ropewalk.data.sources.file_source.SHARD_FILES", 1)
        corpus, facts = make_stage(load(type="jsonl", path=tmp_path))
    assert [document.id for document in corpus.documents()] == ["x", "y", "x#3", "x#4", "x#2", "z"]
    assert facts.metrics["repeated_ids"] == 2 and "2 ids were there before" in caplog.text
    rows = [(row["id"], row["reason"], row["witness"]) for row in read_ledger(corpus.path).to_pylist()]
    assert rows == [("x#3", "id_made_unique", "x"), ("x#4", "id_made_unique", "x")]
    assert sorted(path.name for path in corpus.path.iterdir()) == ["documents", "ledger"]


def test_sources_and_licences_are_summed_up(tmp_path: Path, make_stage: Any) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.jsonl").write_bytes(b"".join(line + b"\n" for line in GOOD))
    _, facts = make_stage(load(type="jsonl", path=tmp_path, license="CC0"))
    assert facts.metrics["sources"] == {name: {"documents": 10, "text_bytes": 60, "license": "CC0"} for name in ("a", "b")}
    assert (facts.metrics["documents"], facts.metrics["text_bytes"]) == (20, 120)


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"", "there are no records"), (b'{"body":"x"}\n', "1 of 1 records are bad"), (b"\n\n", "there are no records")],
)
def test_a_corpus_of_nothing_is_an_error(tmp_path: Path, make_stage: Any, data: bytes, said: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(data)
    with pytest.raises(DataError, match=said):
        make_stage(load(type="jsonl", path=tmp_path / "a.jsonl"))


def test_all_bad_is_an_error_also_where_bad_ones_may_go(tmp_path: Path, make_stage: Any) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"body":"x"}\n[]\n')
    with pytest.raises(DataError, match="all 2 records are bad: 1 no_text, 1 not_an_object"):
        make_stage(load(type="jsonl", path=tmp_path / "a.jsonl", max_bad_fraction=1))


def test_a_missing_file_is_said_before_any_work(tmp_path: Path, make_stage: Any) -> None:
    with pytest.raises(DataError, match="no such file"):
        make_stage(load(type="jsonl", path=tmp_path / "a.jsonl"))
    assert not list((tmp_path / "made" / "work").iterdir())


class Halved(Source, type="halved_in_test"):
    """A source of the user's own that forgets about half characters."""

    def read(self, shard: Shard) -> Iterator[Document | Rejected]:
        yield Document("a", "half \ud83d")


del Source.members["halved_in_test"]


def test_half_a_character_from_a_source_of_ones_own_is_named(make_stage: Any) -> None:
    with pytest.raises(DataError, match="half a surrogate pair"):
        make_stage(Load(source=Halved()))


def test_the_quickstarts_corpus_loads(make_stage: Any) -> None:
    corpus, facts = make_stage(load(type="python_docs", limit=200))
    assert facts.counts["kept"] == 200 and facts.metrics["repeated_ids"] == 0
    assert {document.license for document in corpus.documents()} == {"PSF-2.0"}
