"""The classifier stage: what it needs is said first, it is judged on texts it did not see, and a step in `clean` finds it as an edge."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from ropewalk.core.component import relocated
from ropewalk.core.errors import ConfigError, DataError
from ropewalk.core.reference import Ref
from ropewalk.pipeline.recipe import Recipe, loads
from ropewalk.pipeline.stages.classifier import TrainClassifier
from ropewalk.pipeline.stages.clean import Clean

SUBJECTS = ["the rope", "a strong line", "the old ship", "every sailor", "our harbour", "this sail"]
GOOD = [f"{subject} is {word}" for subject in SUBJECTS for word in ("well made", "strong and sound", "a joy to see")]
BAD = [f"{subject} is {word}" for subject in SUBJECTS for word in ("blarg", "pure snerk", "a blarg of snerk")]
RECIPE = """
format: 1
name: quality
store: store
runs: runs
stages:
  raw: {type: load, source: {type: jsonl, path: raw.jsonl}}
  judge:
    {type: classifier, input: raw, label: kind, positive_labels: [good], features: {bits: 12}, folds: 3, by_source: true, disguised: 0.5}
  kept: {type: clean, input: raw, steps: [{type: length, min_words: 1}, {type: classifier, model: judge, at_least: 0.5}]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [
        {"id": f"{kind}{n}", "text": text, "kind": kind} for kind, texts in (("good", GOOD), ("bad", BAD)) for n, text in enumerate(texts)
    ]
    (tmp_path / "raw.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return tmp_path


def recipe(folder: Path, **executor: Any) -> Recipe:
    return loads(RECIPE, folder=folder).model_copy(update=executor)


def test_a_recipe_trains_a_classifier_and_cleans_by_it(folder: Path) -> None:
    run = recipe(folder).run(quiet=True)
    facts = run["judge"].manifest.metrics
    assert facts["documents"] == {"positive": 18, "negative": 18} and facts["prior"] == 0.5
    for measured in (facts, facts["disguised"]):
        for name in ("roc_auc", "macro_f1", "log_loss"):
            assert measured[name]["low"] <= measured[name]["value"] <= measured[name]["high"]
    assert facts["roc_auc"]["value"] > 0.95 and facts["macro_f1"]["value"] > 0.9 and 0 < facts["threshold"] < 1
    assert sum(row["texts"] for row in facts["calibration"]) == 36
    kept = {document.id for document in run["kept"].documents()}  # type: ignore[attr-defined]
    assert kept == {f"good{n}" for n in range(18)}
    assert run["kept"].manifest.counts["dropped/classifier.probability"] == 18
    assert run["kept"].manifest.inputs == {"input": run["raw"].key, "steps.1.model": run["judge"].key}
    assert recipe(folder).run(quiet=True).made == []


def test_a_changed_classifier_changes_what_is_cleaned_by_it(folder: Path) -> None:
    before, after = recipe(folder).plan(), loads(RECIPE.replace("folds: 3", "folds: 2"), folder=folder).plan()
    assert before["raw"].key == after["raw"].key
    assert before["judge"].key != after["judge"].key and before["kept"].key != after["kept"].key


def test_a_step_that_names_no_classifier_is_refused_before_any_work(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"kept\.steps\.1\.model: needs Classifier, but 'raw' makes a Corpus"):
        loads(RECIPE.replace("model: judge", "model: raw"), folder=folder)
    with pytest.raises(ConfigError, match=r"there is no stage 'jugde' \(did you mean 'judge'"):
        loads(RECIPE.replace("model: judge", "model: jugde"), folder=folder)


def test_two_corpora_give_the_same_weights_as_one_with_labels(folder: Path) -> None:
    for kind in ("good", "bad"):
        lines = [line for line in (folder / "raw.jsonl").read_text().splitlines() if f'"{kind}"' in line]
        (folder / f"{kind}.jsonl").write_text("\n".join(lines) + "\n")
    loads_ = "".join(f"  {kind}: {{type: load, source: {{type: jsonl, path: {kind}.jsonl}}}}\n" for kind in ("good", "bad"))
    two = RECIPE.replace("input: raw, label: kind, positive_labels: [good]", "positive: good, negative: bad")
    two = two.replace("  judge:\n", f"{loads_}  judge:\n")
    weights = [
        (loads(text, folder=folder).run("judge", quiet=True)["judge"].path / "weights.safetensors").read_bytes() for text in (RECIPE, two)
    ]
    assert weights[0] == weights[1]


def test_each_source_is_judged_by_what_the_others_taught(folder: Path) -> None:
    rows = [json.loads(line) for line in (folder / "raw.jsonl").read_text().splitlines()]
    for name, part in (("a", rows[::2]), ("b", rows[1::2])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    text = RECIPE.replace("path: raw.jsonl", "path: [a.jsonl, b.jsonl]")
    run = loads(text, folder=folder).run("judge", quiet=True)
    found = run["judge"].manifest.metrics["by_source"]
    sources = {document.source for document in run["raw"].documents()}  # type: ignore[attr-defined]
    assert len(sources) == 2 and set(found) == sources
    assert all(measured["roc_auc"]["value"] > 0.8 for measured in found.values())


@pytest.mark.parametrize(
    ("fields", "path", "message"),
    [
        ({}, "positive", "is missing"),
        ({"positive": "a"}, "negative", "is missing"),
        ({"input": "a", "positive": "b", "label": "c"}, "input", "not with positive"),
        ({"input": "a"}, "label", "is missing"),
    ],
)
def test_inputs_that_do_not_go_together_are_said(fields: dict[str, Any], path: str, message: str) -> None:
    assert any(place == path and message in said for place, said in TrainClassifier(**fields).problems({}))


def test_too_few_of_a_kind(folder: Path) -> None:
    with pytest.raises(DataError, match="0 positive documents are too few for 3 folds") as error:
        loads(RECIPE.replace("[good]", "[none]"), folder=folder).run("judge", quiet=True)
    assert "positive_labels" in error.value.remedy


def test_references_in_steps_are_edges_and_go_to_shards_as_folders(folder: Path) -> None:
    stage = recipe(folder).stages["kept"]
    assert isinstance(stage, Clean) and recipe(folder).order() == ["raw", "judge", "kept"]
    assert recipe(folder).behind("kept") == {"raw", "judge", "kept"}
    assert stage.steps[1].model == Ref("judge")  # type: ignore[attr-defined]
    placed = relocated(stage.steps, lambda ref: Ref(f"path:/{ref.target}", ref.kinds))
    assert pickle.loads(pickle.dumps(placed))[1].model == Ref("path:/judge") and placed[0] is stage.steps[0]
    assert relocated({"a": (Ref("x"), 1)}, lambda ref: Ref("y")) == {"a": (Ref("y"), 1)}


def test_the_shipped_recipe_loads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from ropewalk.pipeline.recipe import load

    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    stages = load(Path(__file__).parents[3] / "recipes" / "toxicity.yaml").stages
    assert stages["toxic"].tag == "classifier"
