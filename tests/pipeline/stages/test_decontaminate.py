"""The decontaminate stage: each match with its item and its words in the ledger, every document accounted for, the recipe's own suites."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

import ropewalk
from ropewalk.core.artifact import Manifest, hash_file
from ropewalk.core.errors import ConfigError, DataError
from ropewalk.core.ledger import read_ledger
from ropewalk.data.corpus import Corpus, from_documents, write_documents
from ropewalk.data.records import Document
from ropewalk.pipeline.stages.decontaminate import Decontaminate

BEAR = "Which of these animals sleeps through the whole winter in a den under the snow of the forest?"
SHIP = "A ship that leaves the harbour at noon with a crew of nine sails how many miles before the night falls?"
SHARDS = {
    "0": [("a", "Nothing of the kind."), ("quiz", f"Today: {BEAR} The bear.\n{SHIP}"), ("007", "")],
    "1": [
        ("half", "Some say: which of these animals sleeps through the whole winter in a den, \u201cunder\u201d a bed?"),
        ("z", "The end."),
    ],
}
RULES: dict[str, Any] = {"input": "raw", "suites": "none", "against": [{"name": "quiz", "rows": [[BEAR + " bear", BEAR + " cat"], [SHIP]]}]}


def corpus(folder: Path, shards: dict[str, list[tuple[str, str]]] = SHARDS) -> Corpus:
    for shard, rows in shards.items():
        (folder / "documents").mkdir(parents=True, exist_ok=True)
        documents = [Document(name, text, "tests", "CC0", {"n": 1}) for name, text in rows]
        write_documents(from_documents(documents), folder / "documents" / f"{shard}.parquet")
    return Corpus(folder, Manifest("Corpus"))


def decontaminate(**fields: Any) -> Decontaminate:
    return Decontaminate.model_validate({**RULES, **fields})


def texts(made: Any) -> dict[str, str]:
    return {document.id: document.text for document in made.documents()}


def ledger(made: Any) -> list[tuple[Any, ...]]:
    return [(row["id"], row["reason"], round(row["score"], 3), row["witness"]) for row in read_ledger(made.path).to_pylist()]


def test_a_document_with_an_item_is_dropped_and_the_ledger_proves_it(tmp_path: Path, make_stage: Any) -> None:
    made, facts = make_stage(decontaminate(), {"raw": corpus(tmp_path / "in")})
    assert list(texts(made)) == ["a", "007", "z"] and texts(made)["007"] == ""
    assert ledger(made) == [
        ("quiz", "contaminated.quiz", 1.0, f"quiz#2: {SHIP[:-1]}"),
        ("half", "contaminated.quiz", 0.143, "quiz#1: which of these animals sleeps through the whole winter in a den, \u201cunder"),
    ]
    assert facts.counts == {"records_in": 5, "kept": 3, "dropped": 2, "quarantined": 0, "dropped/contaminated.quiz": 2}
    assert facts.metrics["tasks"] == {"quiz": {"items": 2, "compared": 2, "found": 2, "documents": 3}}
    rows = [row for path in sorted((made.path / "matches").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    assert [(row["id"], row["number"], row["runs"], row["known"]) for row in rows] == [
        ("quiz", 2, 9, 9),
        ("quiz", 1, 6, 7),
        ("half", 1, 1, 7),
    ]
    inside = SHARDS["0"][1][1].encode()
    assert all(inside[row["start"] : row["end"]].decode() == row["words"] for row in rows[:2])
    shown = facts.metrics["examples"]["contaminated.quiz"]
    assert [one["id"] for one in shown] == ["half", "quiz"], "the least certain first"
    assert shown[0]["text"].startswith("Some say: »which of") and "under«\u201d a bed?" in shown[0]["text"]


def test_masked_words_are_gone_and_masking_again_changes_nothing(tmp_path: Path, make_stage: Any) -> None:
    made, facts = make_stage(decontaminate(action="mask"), {"raw": corpus(tmp_path / "in")})
    assert texts(made)["quiz"] == "Today: [removed]? The bear.\n[removed]?"
    assert texts(made)["half"] == "Some say: [removed]\u201d a bed?" and texts(made)["a"] == SHARDS["0"][0][1]
    assert [row[:2] for row in ledger(made)] == [("quiz", "masked.quiz"), ("half", "masked.quiz")]
    assert (
        facts.counts["kept"] == 5
        and facts.counts["dropped"] == 0
        and facts.metrics["text_bytes"] == sum(len(t.encode()) for t in texts(made).values())
    )
    again, facts = make_stage(decontaminate(action="mask"), {"raw": made}, "again")
    assert texts(again) == texts(made) and ledger(again) == [] and facts.metrics["tasks"]["quiz"]["found"] == 0
    assert {path.name: hash_file(path) for path in made.path.glob("documents/*")} == {
        path.name: hash_file(path) for path in again.path.glob("documents/*")
    }


def test_a_report_changes_nothing(tmp_path: Path, make_stage: Any) -> None:
    given = corpus(tmp_path / "in")
    made, facts = make_stage(decontaminate(action="report"), {"raw": given})
    assert texts(made) == texts(given) and facts.counts["dropped"] == 0
    assert [row[1] for row in ledger(made)] == ["found.quiz", "found.quiz"]


def test_thresholds_and_the_allow_list(tmp_path: Path, make_stage: Any) -> None:
    given = corpus(tmp_path / "in")
    for place, (fields, left) in enumerate(
        [
            ({"min_runs": 2}, ["a", "007", "half", "z"]),
            ({"min_share": 0.5}, ["a", "007", "half", "z"]),
            ({"ngram": 16}, ["a", "007", "half", "z"]),
            ({"allow": ["quiz#2", BEAR]}, ["a", "quiz", "007", "half", "z"]),
            ({"allow": ["quiz#1"]}, ["a", "007", "half", "z"]),
        ]
    ):
        made, facts = make_stage(decontaminate(**fields), {"raw": given}, f"made{place}")
        assert list(texts(made)) == left, fields
        assert facts.metrics["items_allowed"] == sum(entry.startswith("quiz#") for entry in fields.get("allow", []))


def test_two_tasks_of_one_name_are_told_apart(tmp_path: Path, make_stage: Any) -> None:
    against = [{"name": "quiz", "rows": [[BEAR]]}, {"name": "quiz", "rows": [[SHIP], [BEAR]]}]
    _, facts = make_stage(decontaminate(against=against, action="report"), {"raw": corpus(tmp_path / "in")})
    assert {name: (task["items"], task["documents"]) for name, task in facts.metrics["tasks"].items()} == {"quiz": (1, 2), "quiz_2": (2, 3)}


def test_nothing_to_compare_or_nothing_left_is_said(tmp_path: Path, make_stage: Any) -> None:
    given = corpus(tmp_path / "in", {"0": [("quiz", BEAR)]})
    with pytest.raises(DataError, match="none of 1 evaluation items has 8 words"):
        make_stage(decontaminate(against=[{"rows": [["too short"]]}]), {"raw": given}, "short")
    with pytest.raises(DataError, match="all 1 documents were dropped"):
        make_stage(decontaminate(), {"raw": given})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"least": 20}, "at most ngram"),
        ({"mask_text": "..."}, "must hold a word"),
        ({"action": "delete"}, "action"),
        ({"min_share": 2}, "min_share"),
        ({"allow": ["four score and seven"]}, "no shorter than"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        decontaminate(**fields)


RECIPE: dict[str, Any] = {
    "stages": {
        "raw": {"type": "load", "source": {"type": "jsonl", "path": "raw_*.jsonl"}},
        "fair": {"type": "decontaminate", "input": "raw"},
        "vocab": {"type": "tokenizer", "input": "fair", "size": 300},
        "packed": {"type": "pack", "input": "fair", "tokenizer": "vocab", "length": 64, "holdout": 0.5},
        "base": {"type": "train", "data": "packed", "model": {"type": "gpt", "preset": "gpt2-tiny"}, "budget": {"steps": 1}},
        "scores": {
            "type": "evaluate",
            "model": "base",
            "suites": [
                {"type": "perplexity", "data": "packed"},
                {"type": "multiple_choice", "rows": [{"query": BEAR, "choices": ["bear", "cat"], "gold": 0}]},
                {"type": "multiple_choice", "path": "ship.jsonl", "name": "ships"},
            ],
        },
    }
}


def recipe(folder: Path, **changes: Any) -> ropewalk.Recipe:
    for name, shard in SHARDS.items():
        (folder / f"raw_{name}.jsonl").write_text("".join(json.dumps({"id": id_, "text": text}) + "\n" for id_, text in shard))
    (folder / "ship.jsonl").write_text(json.dumps({"query": SHIP, "choices": ["nine", "ten"], "gold": 1}) + "\n")
    stages = {**RECIPE["stages"], "fair": {**RECIPE["stages"]["fair"], **changes}}
    return ropewalk.loads(json.dumps({"store": str(folder / "store"), "runs": str(folder / "runs"), "stages": stages}), "r.yaml", folder)


def test_the_tasks_are_those_of_the_recipes_suites(tmp_path: Path) -> None:
    run = recipe(tmp_path).run("fair", quiet=True)
    assert [row[:2] for row in ledger(run["fair"])] == [("quiz", "contaminated.ships"), ("half", "contaminated.multiple_choice")], (
        "by the fullest match"
    )
    assert {name: task["found"] for name, task in run["fair"].manifest.metrics["tasks"].items()} == {"multiple_choice": 1, "ships": 1}
    assert recipe(tmp_path).run("fair", quiet=True).made == []
    key = recipe(tmp_path).plan("fair")["fair"].key
    assert recipe(tmp_path, suites="none", against=[{"name": "other", "rows": [[SHIP]]}]).plan("fair")["fair"].key != key
    whole = recipe(tmp_path)
    (tmp_path / "ship.jsonl").write_text(json.dumps({"query": "Another " + SHIP, "choices": ["nine", "ten"], "gold": 1}) + "\n")
    assert whole.plan("fair")["fair"].key != key, "the file's hash is in the key"


def test_suites_can_be_chosen_and_wrong_ones_are_named(tmp_path: Path) -> None:
    assert [rows.name for rows in recipe(tmp_path, suites=["scores"]).settled().stages["fair"].against] == ["multiple_choice", "ships"]  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"fair\.suites: there is no evaluate stage 'base'"):
        recipe(tmp_path, suites=["base"])
    with pytest.raises(ConfigError, match=r"fair\.against: nothing to compare with"):
        recipe(tmp_path, suites="none")


def test_settling_twice_changes_nothing(tmp_path: Path) -> None:
    once = recipe(tmp_path, against=[{"name": "own", "rows": [["x"]]}]).settled()
    assert once.settled() == once and len(once.stages["fair"].against) == 3  # type: ignore[attr-defined]


def test_any_number_of_workers_gives_the_same_bytes(tmp_path: Path) -> None:
    found = []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        folder.mkdir()
        whole = recipe(folder, suites="none", against=RULES["against"]).model_copy(update={"executor": _executor(workers)})
        made = whole.run("fair", quiet=True)["fair"].path
        found.append({path.relative_to(made).as_posix(): hash_file(path) for path in made.rglob("*.parquet")})
    assert found[0] == found[1] and len(found[0]) == 3


def _executor(workers: int) -> Any:
    from ropewalk.pipeline.executors.local import Local

    return Local(workers=workers)
