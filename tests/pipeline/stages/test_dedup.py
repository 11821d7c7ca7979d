"""The dedup stage: the same shards without what goes, a ledger that proves each removal, the same bytes however it is run."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from in_process import InProcess
from ropewalk.core.artifact import Manifest, hash_file
from ropewalk.core.errors import DataError
from ropewalk.core.ledger import account, read_ledger
from ropewalk.core.log import Progress
from ropewalk.core.reference import Ref
from ropewalk.core.shards import assemble, map_shards
from ropewalk.data.corpus import Corpus, from_documents, write_documents
from ropewalk.data.dedup.deduplicate import deduplicate
from ropewalk.data.dedup.near import Near
from ropewalk.data.records import Document
from ropewalk.pipeline.stage import Context, Facts
from ropewalk.pipeline.stages.dedup import Dedup

LINE = "The ropewalk is the long lane in which fibre goes in at one end and tested rope comes out at the other"
SHARDS = {
    "00000": [("a", LINE), ("b", "Quite another text about nothing of the kind, and long enough."), ("007", LINE.upper() + "\n")],
    "00001": [],
    "00002": [("c", LINE + " of it."), ("d", ""), ("e", "   "), ("f", "Quite another  text about nothing of the kind, and long enough.")],
}


def corpus(folder: Path, shards: dict[str, list[tuple[str, str]]]) -> Corpus:
    for shard, rows in shards.items():
        documents = [Document(name, text, "tests", "CC0", {"place": place}) for place, (name, text) in enumerate(rows)]
        path = folder / "documents" / f"{shard}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_documents(from_documents(documents), path)
    return Corpus(folder, Manifest("Corpus"))


def make(stage: Dedup, given: Corpus, folder: Path, mapper: InProcess) -> tuple[Corpus, Facts]:
    """What the runner does around a stage, without the commit."""
    out, work = folder / "out", folder / "work"
    for path in (out, work):
        path.mkdir(parents=True, exist_ok=True)

    def shard_map(function: Any, shards: Any, unit: str) -> Any:
        receipts = map_shards(function, shards, work, mapper)
        assemble(receipts, work, out)
        return receipts

    context = Context(
        name="unique",
        seed=0,
        out=out,
        work=work,
        log=logging.getLogger("ropewalk.test"),
        open_ref={Ref("clean"): given}.__getitem__,
        shard_map=shard_map,
        start_progress=lambda title, total, unit: Progress(title, total, unit, quiet=True),
    )
    facts = stage.make(context)
    account(facts.counts, "unique")
    return Corpus(out, Manifest("Corpus", counts=facts.counts)), facts


def stage(**fields: Any) -> Dedup:
    return Dedup.model_validate({"input": "clean", "near": {"threshold": 0.7}, **fields})


def files(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def test_each_removal_has_a_witness_that_stays(tmp_path: Path) -> None:
    found, facts = make(stage(), corpus(tmp_path / "in", SHARDS), tmp_path, InProcess())
    assert [document.id for document in found.documents()] == ["a", "b", "d"]
    assert [document.meta for document in found.documents()] == [{"place": 0}, {"place": 1}, {"place": 1}]
    assert [shard.name for shard in found.shards()] == list(SHARDS)
    rows = read_ledger(found.path).to_pylist()
    said = [(row["id"], row["reason"], round(row["score"], 3), row["witness"], row["stage"]) for row in rows]
    assert said == [
        ("007", "exact_duplicate", 1.0, "a", "dedup"),
        ("c", "near_duplicate", 0.9, "a", "dedup"),
        ("e", "exact_duplicate", 1.0, "d", "dedup"),
        ("f", "exact_duplicate", 1.0, "b", "dedup"),
    ]
    assert facts.counts["records_in"] == 7 and found.num_documents == 3
    assert (facts.counts["dropped/exact_duplicate"], facts.counts["dropped/near_duplicate"]) == (3, 1)
    assert sorted(path.name for path in found.path.iterdir()) == ["clusters", "documents", "ledger"]


def test_the_metrics_show_the_curve_clusters_and_examples(tmp_path: Path) -> None:
    _, facts = make(stage(), corpus(tmp_path / "in", SHARDS), tmp_path, InProcess())
    assert (facts.metrics["bands"], facts.metrics["rows"]) == (32, 4) and facts.metrics["s_curve"]["0.7"] > 0.995
    assert (facts.metrics["clusters"], facts.metrics["largest_cluster"]) == (3, 3)
    (near,) = facts.metrics["examples"]["near_duplicate"]
    assert near["id"] == "c" and near["witness"] == "a" and near["text"].startswith("The ropewalk is") and 0.7 < near["score"] < 1
    assert [example["id"] for example in facts.metrics["examples"]["exact_duplicate"]] == ["007", "e", "f"]


def test_examples_are_the_five_least_similar_cut_to_200_characters(tmp_path: Path) -> None:
    long = " ".join(f"word{place}" for place in range(100))
    rows = [("whole", long), *((f"edit{count}", long.replace("word1", "other", count)) for count in range(1, 9))]
    _, facts = make(stage(near={"threshold": 0.3}), corpus(tmp_path / "in", {"0": rows[:5], "1": rows[5:]}), tmp_path, InProcess())
    examples = facts.metrics["examples"]["near_duplicate"]
    assert [example["id"] for example in examples] == [f"edit{count}" for count in (8, 7, 6, 5, 4)]
    assert all(len(example["text"]) == 200 for example in examples)


def test_a_crowd_of_candidates_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("ropewalk.data.dedup.cluster.MOST_COMPARED", 1)
    rows = [(f"page{place}", LINE + f" {place}" * 3) for place in range(5)]
    _, facts = make(stage(near={"threshold": 0.95, "bands": 128, "rows": 1}), corpus(tmp_path / "in", {"0": rows}), tmp_path, InProcess())
    assert facts.metrics["crowded"] == 3 and "3 documents share a template" in caplog.text


def test_the_stage_decides_as_the_function_does(tmp_path: Path) -> None:
    texts = [text for rows in SHARDS.values() for _, text in rows]
    expected = deduplicate(texts, near=Near(threshold=0.7)).kept
    found, _ = make(stage(), corpus(tmp_path / "in", SHARDS), tmp_path, InProcess())
    kept = {document.id for document in found.documents()}
    names = [name for rows in SHARDS.values() for name, _ in rows]
    assert [name in kept for name in names] == expected.tolist()


def test_documents_stay_the_same_however_they_are_cut_into_shards(tmp_path: Path) -> None:
    rows = [row for part in SHARDS.values() for row in part]
    one, facts_one = make(stage(), corpus(tmp_path / "a", {"0": rows}), tmp_path / "one", InProcess())
    two, facts_two = make(stage(), corpus(tmp_path / "b", SHARDS), tmp_path / "two", InProcess())
    ids = [[(document.id, document.text) for document in found.documents()] for found in (one, two)]
    assert ids[0] == ids[1] and facts_one.counts == facts_two.counts
    assert read_ledger(one.path).equals(read_ledger(two.path))


def test_a_killed_stage_redoes_nothing_that_was_finished(tmp_path: Path) -> None:
    given = corpus(tmp_path / "in", SHARDS)
    first, _ = make(stage(), given, tmp_path, InProcess())
    expected = files(first.path)
    shutil.rmtree(first.path)
    shutil.rmtree(tmp_path / "work" / "shards" / "00002")
    shutil.rmtree(tmp_path / "work" / "shards" / "sketch-00001")
    mapper = InProcess()
    second, _ = make(stage(), given, tmp_path, mapper)
    assert mapper.asked == ["sketch-00001", "00002"] and files(second.path) == expected


def test_exact_only_and_near_only(tmp_path: Path) -> None:
    given = corpus(tmp_path / "in", SHARDS)
    exact, facts = make(stage(near=None), given, tmp_path / "exact", InProcess())
    assert [document.id for document in exact.documents()] == ["a", "b", "c", "d"] and "bands" not in facts.metrics
    near, facts = make(stage(exact=False), given, tmp_path / "near", InProcess())
    assert [document.id for document in near.documents()] == ["a", "b", "d", "e"]
    assert set(read_ledger(near.path)["reason"].to_pylist()) == {"near_duplicate"} and facts.counts["dropped/near_duplicate"] == 3


def test_nothing_to_remove_is_said_before_any_work() -> None:
    assert stage().problems({}) == [] and stage(near=None).problems({}) == []
    assert stage(exact=False, near=None).problems({}) == [("exact", "with `exact: false` and `near: null` nothing is removed")]
    assert stage().near == Near(threshold=0.7) and Dedup(input=Ref("clean")).near == Near()
    with pytest.raises(ValidationError, match="unknown key"):
        stage(near={"treshold": 0.7})


@pytest.mark.parametrize("shards", [{}, {"00000": []}])
def test_an_empty_corpus_is_an_error(tmp_path: Path, shards: dict[str, list[tuple[str, str]]]) -> None:
    with pytest.raises(DataError, match="clean: no documents"):
        make(stage(), corpus(tmp_path / "in", shards), tmp_path, InProcess())


def test_the_shard_functions_travel_to_other_processes(tmp_path: Path) -> None:
    import pickle

    mapper = InProcess()
    copied: list[Any] = []
    plain = mapper.map

    def through_pickle(function: Any, items: list[Any], size_bytes: int) -> Iterator[tuple[int, Any]]:
        copied.append(function)
        yield from plain(pickle.loads(pickle.dumps(function)), pickle.loads(pickle.dumps(items)), size_bytes)

    mapper.map = through_pickle  # type: ignore[method-assign]
    found, _ = make(stage(), corpus(tmp_path / "in", SHARDS), tmp_path, mapper)
    assert found.num_documents == 3 and all(dataclasses.is_dataclass(job.function) for job in copied)
