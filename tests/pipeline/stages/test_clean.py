"""The clean stage: each drop has a reason, a score and an example, scores stand beside the documents, and clean twice is clean once."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ropewalk.core.artifact import Manifest, hash_file
from ropewalk.core.errors import DataError
from ropewalk.core.ledger import read_ledger
from ropewalk.data.corpus import Corpus, from_documents, write_documents
from ropewalk.data.records import Document
from ropewalk.data.steps import Batch, Change, Rule, Step, judge, rewrite
from ropewalk.pipeline.stages import clean as clean_module
from ropewalk.pipeline.stages.clean import Clean, labels
from ropewalk.pipeline.stages.load import Load

TEXTS = {
    "a": [
        ("007", "A rope is made of strands\r\nthat are twisted,  and each strand of yarns."),
        ("short", "Too short."),
        ("mail", "Write to ann@ropewalk.org about the price of hemp, or to bob@ropewalk.org about the rest."),
    ],
    "b": [("again", "Twist the hemp.\n" * 10), ("last", "The last document of all, which is kept as it stands in its file.")],
    "c": [("gone", "No.")],
}
STEPS: list[Any] = ["normalise", "pii", {"type": "length", "min_words": 5}, {"type": "repetition", "max_top_ngram": {}}]


def corpus(folder: Path, shards: dict[str, list[tuple[str, str]]] | None = None) -> Corpus:
    for shard, rows in (shards or TEXTS).items():
        documents = [Document(name, text, "tests", "CC0", {"place": place}) for place, (name, text) in enumerate(rows)]
        (folder / "documents").mkdir(parents=True, exist_ok=True)
        write_documents(from_documents(documents), folder / "documents" / f"{shard}.parquet")
    return Corpus(folder, Manifest("Corpus"))


def clean(*steps: Any) -> Clean:
    return Clean.model_validate({"input": "raw", "steps": list(steps) or STEPS})


def test_drops_have_reason_score_and_example_and_the_rest_is_kept(tmp_path: Path, make_stage: Any) -> None:
    made, facts = make_stage(clean(), {"raw": corpus(tmp_path / "in")})
    kept = {document.id: document for document in made.documents()}
    assert list(kept) == ["007", "mail", "last"]
    assert kept["007"].text == "A rope is made of strands\nthat are twisted,  and each strand of yarns."
    assert kept["mail"].text == "Write to <EMAIL> about the price of hemp, or to <EMAIL> about the rest."
    assert (kept["mail"].meta, kept["mail"].license) == ({"place": 2}, "CC0")
    rows = [(row["id"], row["reason"], row["score"], row["stage"]) for row in read_ledger(made.path).to_pylist()]
    assert rows == [
        ("short", "length.min_words", 2.0, "clean"),
        ("again", "repetition.max_duplicate_lines", 0.9, "clean"),
        ("gone", "length.min_words", 1.0, "clean"),
    ]
    assert facts.counts["records_in"] == 6 and facts.counts["dropped"] == 3 and facts.counts["dropped/length.min_words"] == 2
    assert facts.metrics["examples"]["length.min_words"] == [
        {"id": "short", "text": "Too short.", "score": 2.0, "witness": ""},
        {"id": "gone", "text": "No.", "score": 1.0, "witness": ""},
    ]
    assert (facts.metrics["pii.email"], facts.metrics["pii.changed"], facts.metrics["normalise.changed"]) == (2, 1, 2)
    assert facts.metrics["text_bytes"] == sum(len(document.text.encode()) for document in kept.values())
    assert [shard.name for shard in made.shards()] == ["a", "b"]
    assert facts.metrics["changes"] == {  # and never what pii replaced
        "normalise": [
            {"id": "007", "before": "A rope is made of strands\r", "after": "A rope is made of strands"},
            {"id": "again", "before": "\n", "after": ""},
        ]
    }


def test_scores_stand_beside_the_documents_dropped_ones_too(tmp_path: Path, make_stage: Any) -> None:
    made, _ = make_stage(clean(), {"raw": corpus(tmp_path / "in")})
    rows = {row["id"]: row for name in "abc" for row in pq.read_table(made.path / "scores" / f"{name}.parquet").to_pylist()}
    assert {name: row["kept"] for name, row in rows.items()} == {
        "007": True, "short": False, "mail": True, "again": False, "last": True, "gone": False,
    }  # fmt: skip
    assert rows["short"]["length.min_words"] == 2 and rows["short"]["repetition.max_duplicate_lines"] is None
    assert rows["again"]["repetition.max_duplicate_lines"] == 0.9 and rows["mail"]["pii.email"] == 2


def test_cleaning_what_was_cleaned_changes_nothing(tmp_path: Path, make_stage: Any) -> None:
    once, _ = make_stage(clean(), {"raw": corpus(tmp_path / "in")}, "once")
    twice, facts = make_stage(clean(), {"raw": once}, "twice")
    assert list(once.documents()) == list(twice.documents()) and facts.counts["dropped"] == 0
    assert [hash_file(shard.content) for shard in once.shards()] == [hash_file(shard.content) for shard in twice.shards()]


def test_lines_that_c4_drops_are_gone_and_its_verdict_is_on_the_text_that_came_in(tmp_path: Path, make_stage: Any) -> None:
    good = "The rope is made of hemp. It is long. It holds a ship."
    rows = [
        ("page", f"Menu\n{good}\nHome | About"),
        ("same", good),
        ("code", f"{good}\nA line that says f(x) {{ return x }} and ends."),
        ("menu", "Home"),
    ]
    made, facts = make_stage(clean("c4"), {"raw": corpus(tmp_path / "in", {"a": rows})})
    assert {document.id: document.text for document in made.documents()} == {"page": good, "same": good}
    assert [(row["id"], row["reason"]) for row in read_ledger(made.path).to_pylist()] == [
        ("code", "c4.max_curly_bracket_lines"), ("menu", "c4.min_sentences"),
    ]  # fmt: skip
    assert facts.metrics["examples"]["c4.min_sentences"] == [{"id": "menu", "text": "Home", "score": 0.0, "witness": ""}]
    scores = pq.read_table(made.path / "scores" / "a.parquet").to_pylist()
    assert [(row["c4.changed"], row["c4.lines_no_end_mark"]) for row in scores] == [(1, 2), (0, 0), (0, 0), (1, 1)]
    again, facts = make_stage(clean("c4"), {"raw": made}, "again")
    assert list(again.documents()) == list(made.documents()) and facts.metrics["c4.changed"] == 0


def test_batches_change_nothing(tmp_path: Path, make_stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = make_stage(clean(), {"raw": corpus(tmp_path / "in")}, "whole")
    monkeypatch.setattr(clean_module, "BATCH_ROWS", 1)
    single, _ = make_stage(clean(), {"raw": corpus(tmp_path / "in")}, "single")
    assert list(whole.documents()) == list(single.documents())
    assert read_ledger(whole.path) == read_ledger(single.path)
    first, second = (pq.read_table(made.path / "scores" / "a.parquet") for made in (whole, single))
    assert first.to_pylist() == second.select(first.schema.names).to_pylist()


def test_a_corpus_that_is_wholly_dropped_is_an_error_with_the_reasons(tmp_path: Path, make_stage: Any) -> None:
    with pytest.raises(DataError, match=r"all 6 documents were dropped: 6 by length\.min_words") as caught:
        make_stage(clean({"type": "length", "min_words": 1000}), {"raw": corpus(tmp_path / "in")})
    assert "loosen clean.steps" in caught.value.remedy


def test_two_steps_of_one_type_are_told_apart(tmp_path: Path, make_stage: Any) -> None:
    stage = clean({"type": "length", "min_words": 2}, "normalise", {"type": "length", "min_words": 5})
    assert labels(stage.steps) == ["length", "normalise", "length_2"]
    _, facts = make_stage(stage, {"raw": corpus(tmp_path / "in")})
    assert (facts.counts["dropped/length.min_words"], facts.counts["dropped/length_2.min_words"]) == (1, 1)


class Miscounts(Step, type="miscounts_in_test"):
    """Answers for one document too few."""

    def apply(self, batch: Batch) -> Change:
        return judge(Rule("rule", [1.0] * (len(batch) - 1))) if len(batch) > 1 else rewrite([], found=[])


del Step.members["miscounts_in_test"]


def test_a_step_of_ones_own_that_miscounts_is_named(tmp_path: Path, make_stage: Any) -> None:
    stage = clean().model_copy(update={"steps": [Miscounts()]})
    with pytest.raises(DataError, match=r"step miscounts_in_test of 1 documents: count 'found': 0, texts: 0"):
        make_stage(stage, {"raw": corpus(tmp_path / "in", {"a": [("x", "y")]})}, "one")
    with pytest.raises(DataError, match=r"of 2 documents: rule 'rule': 1"):
        make_stage(stage, {"raw": corpus(tmp_path / "in2", {"a": [("x", "y"), ("z", "y")]})}, "two")


def test_an_empty_shard_passes(tmp_path: Path, make_stage: Any) -> None:
    made, facts = make_stage(clean(), {"raw": corpus(tmp_path / "in", {"a": [], "b": TEXTS["a"]})})
    assert facts.counts["records_in"] == 3 and [shard.name for shard in made.shards()] == ["b"]


@pytest.mark.slow
def test_a_real_corpus_goes_through_every_step(data_dir: Path, tmp_path: Path, make_stage: Any) -> None:
    path = data_dir / "pretrain" / "web" / "web.jsonl.gz"
    raw, _ = make_stage(Load.model_validate({"source": {"type": "jsonl", "path": path}}), folder="raw")
    _, facts = make_stage(clean("normalise", "pii", "gopher", "repetition"), {"raw": raw}, "clean")
    assert facts.counts["records_in"] == len(gzip.decompress(path.read_bytes()).splitlines()) and facts.counts["kept"] > 100
