"""The whole line on recipes/tiny.yaml: from raw text to an exported model, again, changed, killed, refused."""

from __future__ import annotations

import json
import os
import random
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import ropewalk
from ropewalk.core.artifact import Manifest
from ropewalk.core.errors import ConfigError, DataError
from ropewalk.evaluate.scores import Scores
from ropewalk.models.model import Model
from ropewalk.pipeline.recipe import Recipe, load
from ropewalk.pipeline.stages.export import Export

TINY = Path(__file__).parents[2] / "recipes" / "tiny.yaml"
KILL_ROUNDS, KILLS_A_ROUND = 4, 5


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the tiny recipe has run once."""
    folder = tmp_path_factory.mktemp("tiny")
    run_in(folder)
    return folder


def recipe_in(folder: Path, *overrides: str) -> Recipe:
    return load(TINY, [f"store={folder / 'store'}", f"runs={folder / 'runs'}", *overrides])


def run_in(folder: Path, *overrides: str) -> Any:
    return recipe_in(folder, *overrides).run(quiet=True)


def files_of(folder: Path) -> dict[str, Any]:
    """Every file of every stage's artifact with its hash."""
    run = json.loads((folder / "runs/tiny/run.json").read_text())
    return {name: dict(Manifest.read(folder / "runs/tiny/stages" / name).files) for name in run["stages"]}


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ROPEWALK_STORE": str(folder / "store"), "CHECKPOINT_DIR": str(folder / "runs")}
    environment.pop("COVERAGE_PROCESS_CONFIG", None)
    call = [sys.executable, "-m", "ropewalk.cli.main", *words]
    return subprocess.run(call, env=environment, capture_output=True, text=True, timeout=120, check=False)


def cpu_seconds() -> float:
    """Of all finished child processes; unlike the clock, it does not count the tests beside this one."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_the_exported_model_opens_in_transformers_with_our_logits(home: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    run = run_in(home)
    assert run.made == []
    model = run["model"]
    assert isinstance(model, Model)
    theirs, tokenizer = AutoModelForCausalLM.from_pretrained(model.path).eval(), AutoTokenizer.from_pretrained(model.path)
    ids = tokenizer("The len() function returns", return_tensors="pt")["input_ids"]
    ours = model.load()
    with torch.no_grad():
        assert (theirs(ids).logits - ours.logits(ours(ids))).abs().max() < 1e-4
    chat = tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], add_generation_prompt=True, tokenize=False)
    assert chat == "<|endoftext|><|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    card = (model.path / "README.md").read_text()
    assert "python_docs (" in card and "PSF-2.0" in card and "Verdict: passed" in card and "byte_trigram" in card


def test_training_learns_and_scores_have_intervals(home: Path) -> None:
    run = run_in(home)
    base, scores = run["base"].manifest.metrics, run["scores"]
    assert base["steps"] == 30 and base["best_holdout_loss"] < 6.1 and base["skipped_updates"] == 0
    lines = [json.loads(line) for line in (run["base"].path / "training.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["event"] == "step"] == list(range(1, 31))
    assert isinstance(scores, Scores)
    metric = scores.metric("perplexity/bits_per_byte")
    assert metric.low < metric.value < metric.high < 8 and set(metric.baselines) == {"byte_unigram", "byte_trigram"}
    assert scores.metric("multiple_choice/accuracy").items == 2


def test_held_out_documents_are_the_same_for_text_and_questions(home: Path) -> None:
    run = run_in(home)
    texts = {d["id"]: d["split"] for d in run["packed"].documents.to_pylist()}
    questions = {d["id"]: d["split"] for d in run["turns"].documents.to_pylist()}
    shared = set(texts) & set(questions)
    assert len(shared) > 20
    assert all(questions[id_] == "holdout" for id_ in shared if texts[id_] == "holdout")  # 0.1 of texts, 0.2 of questions


def test_the_second_run_says_that_there_is_nothing_to_do(home: Path) -> None:
    before = cpu_seconds()
    again = command(home, "run", str(TINY))
    assert again.returncode == 0 and "nothing to do: all 12 stages stand" in again.stderr, again.stderr
    assert cpu_seconds() - before < 3


def test_a_changed_filter_reruns_it_and_what_hangs_on_it(home: Path) -> None:
    rows = {row["name"]: row for row in recipe_in(home, "clean.steps.2.min_words=9").plan().rows()}
    assert [name for name, row in rows.items() if row["status"] == "cached"] == ["raw", "chats"]
    assert rows["clean"]["reasons"] == ("steps.2.min_words: 8 -> 9",) and rows["unique"]["reasons"] == ("input input (clean) runs",)
    assert {row["status"] for row in recipe_in(home, "base.threads=1", "sft.batch.micro_batch=2").plan().rows()} == {"cached"}
    assert recipe_in(home, "base.batch.micro_batch=2").plan()["base"].status == "cached", "dropout's draws don't know it"


def test_micro_batches_of_another_size_give_the_same_losses(home: Path, tmp_path: Path) -> None:
    def losses(folder: Path) -> list[float]:
        lines = (folder / "runs/tiny/stages/base/training.jsonl").read_text().splitlines()
        return [row["loss"] for row in map(json.loads, lines) if row["event"] == "step"]

    same = ("base.model.dropout=0", f"store={tmp_path / 'store'}")
    for name, size in (("a", 8), ("b", 3)):
        recipe = recipe_in(tmp_path / name, *same, f"base.batch.micro_batch={size}", f"store={tmp_path / name / 'store'}")
        recipe.run("base", quiet=True)
    assert losses(tmp_path / "a") == pytest.approx(losses(tmp_path / "b"), abs=2e-4)


def test_a_gate_beyond_reach_exits_with_9_and_the_report_says_by_how_much(home: Path) -> None:
    failed = command(home, "run", str(TINY), "gate.checks.0.value=0.5")
    assert failed.returncode == 9
    assert re.search(r"perplexity/bits_per_byte is \d\.\d+ \(.*n=\d+\): bound \d\.\d+ must be at most 0\.5, off by \d", failed.stderr)
    report = (home / "runs/tiny/report.html").read_text()
    assert "gate failed" in report and "must be at most 0.5, off by" in report
    status = json.loads((home / "runs/tiny/run.json").read_text())["stages"]
    assert status["gate"]["status"] == "gate failed" and status["model"]["status"] == "stopped"


@pytest.mark.parametrize(
    ("override", "error", "said"),
    [
        ("packed.length=256", ConfigError, "base.data: sequences of 256 tokens are longer than the model's context of 128"),
        ("vocab.size=200", ConfigError, "vocab.size: 200 is too small: set at least 259"),
        ("vocab.special=none", ConfigError, "turns.template: chatml needs"),
        ("gate.checks.0.metric=perplexity/bits_per_bite", ConfigError, "did you mean 'perplexity/bits_per_byte'"),
        ("base.budget={steps: 3, tokens: 3}", ConfigError, "needs exactly one of"),
        ("base.init=base", ConfigError, "not both"),
        ("model.verdict=scores", ConfigError, "needs Verdict, but 'scores' makes a Scores"),
        ("clean.steps.2.min_words=100000", DataError, "all 400 documents were dropped: 400 by length.min_words"),
        ("raw.source={type: jsonl, path: nowhere.jsonl}", DataError, "nowhere.jsonl"),
    ],
)
def test_bad_input_is_a_typed_error_and_leaves_no_half_artifact(home: Path, override: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error) as caught:
        run_in(home, override)
    assert said in str(caught.value), str(caught.value)
    assert not list((home / "store").rglob(".tmp-*"))


def test_a_train_stage_runs_from_python_alone(home: Path, tmp_path: Path) -> None:
    from ropewalk.pipeline.stages.train import Train

    packed = run_in(home)["packed"]
    shape = {"type": "gpt", "preset": "llama-tiny", "depth": 1, "width": 16, "heads": 2, "context": 64}
    stage = Train(data="packed", model=shape, optimizer="adamw", budget={"steps": 2})
    model = stage.run(data=packed, name="alone", store=tmp_path / "store", runs=tmp_path / "runs", quiet=True)
    assert isinstance(model, Model) and model.manifest.metrics["steps"] == 2 and model.load().shape.depth == 1


@pytest.mark.parametrize("name", ["quickstart", "tiny"])
def test_validating_a_recipe_that_trains_is_quick_and_imports_no_torch(name: str, tmp_path: Path) -> None:
    before = cpu_seconds()
    result = command(tmp_path, "validate", str(TINY.with_name(f"{name}.yaml")))
    assert result.returncode == 0 and cpu_seconds() - before < 1.0
    code = "import sys, ropewalk; ropewalk.load(sys.argv[1]).plan(); print([m for m in ('torch', 'numba') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code, str(TINY.with_name(f"{name}.yaml"))], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]" or torch.cuda.is_available()


def test_an_export_without_a_verdict_offers_both_ways() -> None:
    with pytest.raises(ConfigError) as caught:
        ropewalk.loads("stages:\n  m: {type: export, model: sft}\n")
    assert "m.verdict: is required" in str(caught.value)
    assert Export(model="sft", verdict="none").verdict == "none"


def test_a_verdict_about_another_model_ships_nothing(home: Path) -> None:
    failed = command(home, "run", str(TINY), "model.model=base")
    assert failed.returncode == 9 and "the verdict judged another model" in failed.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_at_random_moments_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    """20 kills with SIGKILL in all, in four runs of five; the seed is printed so that a failure can be played again."""
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(TINY.read_text())
    run_script = [sys.executable, str(Path(__file__).with_name("kills.py")), str(recipe)]
    environment = {name: value for name, value in os.environ.items() if name != "COVERAGE_PROCESS_CONFIG"}
    started = time.perf_counter()

    def run(folder: Path, kills: int, seconds: float, seed: int) -> str:
        words = [*run_script, str(folder), str(kills), str(seconds), str(seed)]
        result = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert result.returncode == 0, f"seed {seed}: {result.stderr}"
        return result.stdout

    run(tmp_path / "whole", 0, 0.0, 0)
    seconds = time.perf_counter() - started
    expected = files_in(tmp_path / "whole")
    seed = random.SystemRandom().randrange(1 << 30)
    for number in range(KILL_ROUNDS):
        folder = tmp_path / f"round{number}"
        said = run(folder, KILLS_A_ROUND, seconds / 2, seed + number)
        sys.stdout.write(f"seed {seed + number}: {said}")
        assert files_in(folder) == expected, f"seed {seed + number}: other bytes"
        assert not list(folder.rglob(".tmp-*")) and not (folder / "runs/tiny/work").exists()


def files_in(folder: Path) -> dict[str, Any]:
    """Every artifact of a store with its files' hashes, by type and key."""
    manifests = sorted((folder / ".ropewalk/store").glob("[A-Z]*/*/manifest.json"))
    return {f"{path.parent.parent.name}/{path.parent.name}": dict(Manifest.read(path.parent).files) for path in manifests}


def test_a_stage_of_another_name_is_the_same_artifact(home: Path, tmp_path: Path) -> None:
    text = TINY.read_text().replace("clean:", "filter:").replace("input: clean", "input: filter")
    (tmp_path / "renamed.yaml").write_text(text)
    other = load(tmp_path / "renamed.yaml", [f"store={tmp_path / 'store'}", f"runs={tmp_path / 'runs'}"])
    assert other.plan()["filter"].key == recipe_in(home).plan()["clean"].key
    made = other.run("filter", quiet=True)["filter"]
    assert made.manifest.files == run_in(home)["clean"].manifest.files
