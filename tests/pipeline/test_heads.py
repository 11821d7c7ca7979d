"""Heads through the whole line on a tiny encoder: rows, the one trainer, scores, a folder to be asked, the same bits after a kill."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ropewalk
from head_kit import make_encoder, make_pairs, make_posts
from ropewalk.cli.templates import read_template
from ropewalk.core.errors import ConfigError, DataError, Interrupted
from ropewalk.core.events import StepEnded, StopRequest
from ropewalk.core.reference import Ref
from ropewalk.data.comparisons import Comparison
from ropewalk.data.rows import Rows
from ropewalk.data.tokenizer import Vocabulary
from ropewalk.evaluate.head_predict import predict_preferences, predict_spans
from ropewalk.evaluate.preference_predictor import PreferencePredictor, write_submission
from ropewalk.models.model import Model
from ropewalk.pipeline.recipe import Recipe
from ropewalk.report.facts import gather
from ropewalk.report.html import page

QUICK = {"type": "adamw", "lr": 0.05, "weight_decay": 0.0}


def spans_recipe(folder: Path, head: str, **changes: Any) -> Recipe:
    encoder = folder / "bert"
    if not encoder.exists():
        make_encoder(encoder)
    posts, annotations = make_posts(folder / "data")
    stages: dict[str, Any] = {
        "spans": {
            "type": "spans",
            "posts": {"type": "csv", "path": str(posts), "id": "post_id"},
            "annotations": {"type": "csv", "path": str(annotations), "text": "sentence_text"},
            "columns": {"question": "the {label}"},
        },
        "rows": {
            "type": "span_rows",
            "input": "spans",
            "encoder": f"path:{encoder}",
            "head": head,
            "features": {"slots": "the (.+)"},
            "windows": {"length": 32, "stride": 12, "question_tokens": 8},
        },
        "model": {
            "type": "train",
            "task": {"type": "span_qa", "head": head},
            "data": "rows",
            "init": f"path:{encoder}",
            "optimizer": QUICK if head == "sentence" else {**QUICK, "lr": 0.003},
            "batch": {"sequences": 8, "micro_batch": 4},
            "budget": {"steps": 30},
            "evaluate": {"every": 10, "sequences": 8},
            "save": {"every": 4},
            **changes,
        },
        "scores": {"type": "evaluate", "model": "model", "suites": [{"type": "span_evidence", "data": "spans"}]},
    }
    return Recipe(name="heads", seed=3, store=folder / "store", runs=folder / "runs", stages=stages)


def pairs_recipe(folder: Path, **task: Any) -> Recipe:
    encoder = folder / "bert"
    if not encoder.exists():
        make_encoder(encoder)
    pairs = make_pairs(folder / "pairs.csv", 120)
    stages: dict[str, Any] = {
        "pairs": {"type": "comparisons", "source": {"type": "csv", "path": str(pairs), "text": "prompt"}},
        "rows": {"type": "pair_rows", "input": "pairs", "encoder": f"path:{encoder}"},
        "model": {
            "type": "train",
            "task": {"type": "preference", "penalty": 0.001, **task},
            "data": "rows",
            "init": f"path:{encoder}",
            "optimizer": QUICK,
            "batch": {"sequences": 16},
            "budget": {"steps": 40},
            "evaluate": {"every": 20, "sequences": 8},
            "save": {"every": 6},
        },
        "scores": {"type": "evaluate", "model": "model", "suites": [{"type": "arena_preference", "data": "pairs"}]},
    }
    return Recipe(name="arena", seed=3, store=folder / "store", runs=folder / "runs", stages=stages)


def logged(model: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (model.path / "training.jsonl").read_text().splitlines()]


def weights(model: Any) -> Mapping[str, bytes]:
    return {name: (model.path / name).read_bytes() for name in ("head.safetensors", "model.safetensors")}


def test_the_sentence_head_learns_what_tfidf_can_not_and_can_be_asked(tmp_path: Path) -> None:
    run = spans_recipe(tmp_path, "sentence").run(quiet=True)
    scores: Any = run["scores"]
    f1 = scores.metric("span_evidence/f1")
    assert f1.value > 0.9 and set(f1.baselines) == {"position", "tfidf", "embedding"} and f1.baselines["position"] < f1.value
    tables = json.loads((scores.path / "tables" / "span_evidence.json").read_text())
    assert sum(row["items"] for row in tables["labels"].values()) == f1.items
    model = run["model"]
    assert isinstance(model, Model)
    text = "We saw the trial. The weight fell by 4 in the group. The pain fell by 3 in the group."
    (answer,) = predict_spans(model, [{"id": "x", "text": text, "question": "the pain"}], most=1)
    assert answer["id"] == "x" and answer["passages"][0]["text"] == "The pain fell by 3 in the group."
    assert next(predict_spans(model, [{"text": "  ", "question": "the pain"}]))["passages"] == []
    with pytest.raises(DataError, match="record 1: 'question' is missing"):
        list(predict_spans(model, [{"text": text}]))
    shown = page(gather(tmp_path / "runs" / "heads"))
    assert "<mark>" in shown and "<u>" in shown and "aligned exact" in shown


def test_the_span_head_trains_its_encoder_and_leaves_frozen_layers(tmp_path: Path) -> None:
    recipe = spans_recipe(tmp_path, "span", task={"type": "span_qa", "head": "span", "frozen_layers": 1}, average=0.9)
    run = recipe.run(quiet=True)
    steps = [event["loss"] for event in logged(run["model"]) if event["event"] == "step"]
    assert np.mean(steps[-5:]) < 0.9 * np.mean(steps[:5])
    from safetensors.torch import load_file

    before, after = load_file(tmp_path / "bert" / "model.safetensors"), load_file(run["model"].path / "model.safetensors")
    changed = {name for name in before if not bool((before[name] == after[name]).all())}
    assert changed and all(name.startswith("encoder.layer.1.") for name in changed)
    assert 0 <= run["scores"].metric("span_evidence/f1").value <= 1  # type: ignore[attr-defined]


def test_both_heads_together_answer_as_well_as_validation_says(tmp_path: Path) -> None:
    sentence, span = spans_recipe(tmp_path, "sentence"), spans_recipe(tmp_path, "span")
    stages: dict[str, Any] = {
        **{name: sentence.stages[name] for name in ("spans", "rows", "model")},
        "windows": span.stages["rows"],
        "second": span.stages["model"].model_copy(update={"data": Ref("windows", (Rows,))}),
        "both": {"type": "evaluate", "model": "model", "suites": [{"type": "span_evidence", "data": "spans", "spans": "second"}]},
        "wrong": {"type": "evaluate", "model": "second", "suites": [{"type": "span_evidence", "data": "spans", "spans": "model"}]},
    }
    recipe = Recipe(name="both", seed=3, store=tmp_path / "store", runs=tmp_path / "runs", stages=stages)
    scores: Any = recipe.run("both", quiet=True)["both"]
    assert scores.metric("span_evidence/f1").value > 0.8
    assert json.loads((scores.path / "tables" / "span_evidence.json").read_text())["weight_of_spans"] >= 0
    with pytest.raises(DataError, match="a model of head: sentence with one of head: span"):
        recipe.run("wrong", quiet=True)


def test_the_template_of_spans_runs_on_two_files_and_an_encoder(tmp_path: Path) -> None:
    make_posts(tmp_path)
    make_encoder(tmp_path / "encoder")
    (tmp_path / "spans.yaml").write_text(read_template("spans"))
    run = ropewalk.load(tmp_path / "spans.yaml", [f"store={tmp_path / 'store'}", f"runs={tmp_path / 'runs'}"]).run("scores", quiet=True)
    scores: Any = run["scores"]
    assert scores.metric("span_evidence/f1").items == 5


@pytest.mark.parametrize("head", ["sentence", "span"])
def test_a_run_stopped_anywhere_and_gone_on_with_gives_the_same_bits(tmp_path: Path, head: str) -> None:
    whole = spans_recipe(tmp_path / "a", head).run("model", quiet=True)["model"]

    def stop(event: Any) -> StopRequest | None:
        return StopRequest("a test") if isinstance(event, StepEnded) and event.step == 13 else None

    recipe = spans_recipe(tmp_path / "b", head)
    with pytest.raises(Interrupted):
        recipe.run("model", quiet=True, listeners=(stop,))
    assert weights(recipe.run("model", quiet=True)["model"]) == weights(whole)


@pytest.mark.parametrize("head", ["sentence", "span"])
def test_micro_batches_change_nothing_but_the_last_bits(tmp_path: Path, head: str) -> None:
    found = []
    for size in (1, 8):
        batch = {"sequences": 8, "micro_batch": size}
        run = spans_recipe(tmp_path / str(size), head, batch=batch, budget={"steps": 6}).run("model", quiet=True)
        found.append([(event["loss"], event["gradient_norm"]) for event in logged(run["model"]) if event["event"] == "step"])
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)  # before Adam has divided what is almost nothing by its own size
    assert np.allclose(*found, rtol=1e-2) and len(found[0]) == 6


@pytest.mark.parametrize("formulation", ["classes", "davidson"])
def test_preference_learns_the_longer_answer_and_is_blind_to_the_order(tmp_path: Path, formulation: str) -> None:
    run = pairs_recipe(tmp_path, formulation=formulation).run(quiet=True)
    scores: Any = run["scores"]
    loss = scores.metric("arena_preference/log_loss")
    assert loss.value < loss.baselines["prior"]
    tables = json.loads((scores.path / "tables" / "arena_preference.json").read_text())
    assert tables["flip_rate"] == tables["largest_order_gap"] == 0.0 and tables["length_bias"]["model"] > 0.5
    model = run["model"]
    assert isinstance(model, Model)
    predictor = PreferencePredictor(model.asked(), Vocabulary(model.tokenizer_path), "cpu")
    pair = Comparison("1", "g", "what?", "the drug fell. pain", "we saw 3 of the group", None)
    swapped = Comparison("1", "g", "what?", "we saw 3 of the group", "the drug fell. pain", None)
    straight, back = predictor.probabilities([pair], 1.3)[0], predictor.probabilities([swapped], 1.3)[0]
    assert straight.tolist() == back[[1, 0, 2]].tolist() and straight.sum() == pytest.approx(1)
    record = {"id": "7", "prompt": '["what?"]', "response_a": '["the drug fell."]', "response_b": "[null]"}
    pairs, chances = predict_preferences(model, [record])
    write_submission(tmp_path / "out.csv", pairs, chances)
    head, line = (tmp_path / "out.csv").read_text().splitlines()
    assert head == "id,winner_model_a,winner_model_b,winner_tie" and line.startswith("7,")
    assert sum(map(float, line.split(",")[1:])) == pytest.approx(1)
    with pytest.raises(DataError, match="record 1: not_a_json_list"):
        predict_preferences(model, [{**record, "prompt": "plain"}])
    with pytest.raises(DataError, match="answers no questions"):
        list(predict_spans(model, [{"text": "a", "question": "b"}]))


def test_a_task_for_other_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="rows holds sentences, which task 'span_qa' can't learn from"):
        spans_recipe(tmp_path, "sentence", task={"type": "span_qa", "head": "span"}).run("model", quiet=True)


def test_features_of_another_encoder_are_refused(tmp_path: Path) -> None:
    other = make_encoder(tmp_path / "other", seed=1)
    with pytest.raises(DataError, match="embeddings of another encoder"):
        spans_recipe(tmp_path, "sentence", init=f"path:{other}").run("model", quiet=True)


def test_rows_without_an_encoder_are_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="rows are for a head over an encoder"):
        spans_recipe(tmp_path, "sentence", init=None, model={"type": "gpt"}).run("model", quiet=True)


def test_too_many_frozen_layers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="frozen_layers is 9, and the encoder has 2 layers"):
        spans_recipe(tmp_path, "span", task={"type": "span_qa", "head": "span", "frozen_layers": 9}).run("model", quiet=True)
