"""The dedup stage: the same shards without what goes, a ledger that proves each removal, the same bytes however it is run."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from in_process import InProcess
from ropewalk.core.artifact import Artifact, Manifest, hash_file
from ropewalk.core.errors import DataError
from ropewalk.core.ledger import account, read_ledger, write_table
from ropewalk.core.log import Progress
from ropewalk.core.reference import Ref
from ropewalk.core.shards import assemble, map_shards
from ropewalk.data.corpus import Corpus, from_documents, write_documents
from ropewalk.data.dedup.deduplicate import deduplicate
from ropewalk.data.dedup.index import Index
from ropewalk.data.dedup.near import Near
from ropewalk.data.records import Document
from ropewalk.pipeline.stage import Context, Facts
from ropewalk.pipeline.stages.dedup import Dedup
from ropewalk.pipeline.stages.index import MakeIndex

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


def context(given: Corpus, out: Path, work: Path, mapper: InProcess, **others: Artifact) -> Context:
    for path in (out, work):
        path.mkdir(parents=True, exist_ok=True)

    def shard_map(function: Any, shards: Any, unit: str) -> Any:
        receipts = map_shards(function, shards, work, mapper)
        assemble(receipts, work, out)
        return receipts

    return Context(
        name="unique",
        seed=0,
        out=out,
        work=work,
        log=logging.getLogger("ropewalk.test"),
        open_ref={Ref("clean"): given, **{Ref(name): other for name, other in others.items()}}.__getitem__,
        shard_map=shard_map,
        start_progress=lambda title, total, unit: Progress(title, total, unit, quiet=True),
    )


def make(stage: Dedup, given: Corpus, folder: Path, mapper: InProcess, **others: Artifact) -> tuple[Corpus, Facts]:
    """What the runner does around a stage, without the commit."""
    out = folder / "out"
    facts = stage.make(context(given, out, folder / "work", mapper, **others))
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


def index_of(given: Corpus, folder: Path, **near: Any) -> Index:
    out, work = folder / "index", folder / "index-work"
    stage = MakeIndex.model_validate({"input": "clean", "near": {"threshold": 0.7, **near}})
    facts = stage.make(context(given, out, work, InProcess()))
    account(facts.counts, "index")
    return Index(out, Manifest("Index", counts=facts.counts))


OLD = {"0": [("old/a", LINE.replace("tested", "tasted")), ("old/b", "Something that only the old corpus says in its words.")]}


@pytest.mark.parametrize("kind", ["corpus", "index"])
def test_what_an_earlier_corpus_has_goes_and_that_one_is_not_touched(tmp_path: Path, kind: str) -> None:
    old = corpus(tmp_path / "old", OLD)
    other: Artifact = index_of(old, tmp_path, threshold=0.5) if kind == "index" else old
    before = files(other.path)
    given = corpus(tmp_path / "in", SHARDS)
    near = {"threshold": 0.5}
    found, facts = make(stage(against="old", near=near), given, tmp_path, InProcess(), old=other)
    assert [document.id for document in found.documents()] == ["b", "d"] and files(other.path) == before
    rows = {row["id"]: (row["reason"], row["witness"]) for row in read_ledger(found.path).to_pylist()}
    assert rows["a"] == rows["c"] == rows["007"] == ("near_duplicate", "old/a") and rows["f"] == ("exact_duplicate", "b")
    assert facts.counts["records_in"] == 7
    with pytest.raises(DataError, match="all 7 documents repeat one of old"):
        make(stage(against="old", near=near), given, tmp_path / "all", InProcess(), old=given)


def test_an_index_of_other_rules_is_refused_by_name(tmp_path: Path) -> None:
    old = index_of(corpus(tmp_path / "old", OLD), tmp_path, ngram=3)
    with pytest.raises(DataError, match="ngram 3 there, 5 here"):
        make(stage(against="old"), corpus(tmp_path / "in", SHARDS), tmp_path, InProcess(), old=old)


def test_the_best_scored_stays(tmp_path: Path) -> None:
    rows = [("a", LINE), ("b", LINE.upper()), ("c", LINE + " of it."), ("d", "Another text that has nothing of this.")]
    given = corpus(tmp_path / "in", {"0": rows[:1], "1": rows[1:]})
    rules = {"threshold": 0.7, "keep": "best_score", "score": "place"}
    found, _ = make(stage(near=rules), given, tmp_path, InProcess())
    assert [document.id for document in found.documents()] == ["c", "d"], "meta says c is best"
    for name, values in {"0": [9.0], "1": [float("nan"), 1.0, 0.0]}.items():
        table = {
            "id": [f"{place}" for place in range(len(values) + 1)],
            "kept": [True] * len(values) + [False],
            "gopher.words": [*values, 99.0],
        }
        write_table(pa.table(table), given.path / "scores" / f"{name}.parquet")
    found, _ = make(stage(near={**rules, "score": "gopher.words"}), given, tmp_path / "scored", InProcess())
    assert [document.id for document in found.documents()] == ["a", "d"]
    with pytest.raises(DataError, match=r"clean has no score 'gopher\.lines'"):
        make(stage(near={**rules, "score": "gopher.lines"}), given, tmp_path / "none", InProcess())


def test_a_cluster_that_swallows_a_source_is_said_with_its_least_similar_pair(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [(f"page{place}", LINE + " of it" * (place == 7)) for place in range(25)]
    others = [(f"other{place}", f"{place} has a text {place} of {place} its {place} own {place}") for place in range(30)]
    _, facts = make(stage(), corpus(tmp_path / "in", {"0": rows, "1": others}), tmp_path, InProcess())
    (said,) = facts.metrics["warnings"]
    assert "swallows 24 of 55 documents of source 'tests' (44%): 'page0' stays" in said and "'page7' (Jaccard 0.90)" in said
    assert said in caplog.text
    largest = facts.metrics["largest"][0]
    assert largest["texts"] == [LINE, LINE + " of it"] and largest["jaccard"] == pytest.approx(0.9)
    assert (largest["keeper"], largest["removed"], largest["least_similar"]) == ("page0", 24, "page7")
    _, calm = make(stage(warn_above=0.5), corpus(tmp_path / "in", {"0": rows, "1": others}), tmp_path / "calm", InProcess())
    assert calm.metrics["warnings"] == []


def test_clusters_and_components_are_written_for_every_document_in_one(tmp_path: Path) -> None:
    found, facts = make(stage(), corpus(tmp_path / "in", SHARDS), tmp_path, InProcess())
    rows = [row for path in sorted((found.path / "clusters").iterdir()) for row in pq.read_table(path).to_pylist()]
    said = [(row["id"], row["kept"], row["cluster"], row["component"]) for row in rows]
    assert said[:3] == [("a", True, "a", "a"), ("b", True, "b", "b"), ("007", False, "a", "a")]
    assert [row[0] for row in said] == ["a", "b", "007", "c", "d", "e", "f"] and facts.metrics["components"] == 3


def test_recall_and_precision_are_measured_on_a_sample(tmp_path: Path) -> None:
    given = corpus(tmp_path / "in", SHARDS)
    _, facts = make(stage(), given, tmp_path, InProcess())
    measured = facts.metrics["measured"]
    assert (measured["documents"], measured["pairs"], measured["recall"], measured["joined"]) == (7, 8, 1.0, 1.0)
    assert (measured["removed"], measured["precision"]) == (1, 1.0)
    rare = {"threshold": 0.7, "bands": 1, "rows": 128}  # finds equal sets only
    _, facts = make(stage(near=rare), given, tmp_path / "rare", InProcess())
    assert facts.metrics["measured"]["recall"] == 6 / 8 and facts.metrics["measured"]["precision"] is None
    _, facts = make(stage(sample=0), given, tmp_path / "none", InProcess())
    assert "measured" not in facts.metrics


def test_the_plan_is_told_curve_memory_and_time() -> None:
    said = stage(near={"threshold": 0.8}).expects(1_000_000, 2_000_000_000)
    assert said[0].startswith("21 bands of 6 values") and "99.8% at Jaccard 0.8" in said[0]
    assert "63 bytes a document, 60.1 MiB in all" in said[1] and "one core" in said[2]
    assert len(stage(near=None).expects()) == 1


def test_a_device_that_is_not_here_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("ropewalk.pipeline.stages.dedup.pick_engine", lambda wanted: ("cpu", f"device {wanted}: no CUDA device is here"))
    make(stage(device="cuda"), corpus(tmp_path / "in", SHARDS), tmp_path, InProcess())
    assert "computed on the CPU: device cuda: no CUDA device is here" in caplog.text


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
