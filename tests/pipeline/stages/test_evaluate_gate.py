"""Evaluate and gate in a recipe, and their verbs: tasks by name, resume by suite, mistakes before work, verdicts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from ropewalk.cli.main import app
from ropewalk.core.errors import ConfigError, DataError, GateFailed
from ropewalk.core.store import Store
from ropewalk.data.tokenizer import END, save_tokenizer, train_byte_bpe
from ropewalk.evaluate.scores import Scores
from ropewalk.evaluate.shipped import task_names
from ropewalk.evaluate.suites.cloze import Cloze
from ropewalk.models.folder_module import save_model
from ropewalk.models.gpt import GPT
from ropewalk.pipeline.asking import baseline_scores, evaluation_of, find_model
from ropewalk.pipeline.recipe import Recipe, loads
from ropewalk.pipeline.stages.evaluate import Evaluate
from ropewalk.report.html import write_report

TEXTS = [f"The mill number {n} stands by the river and {n * 7} people live by what it grinds." for n in range(60)]
CHOICES = [{"query": f"The mill number {n} stands by the", "choices": ["river", "purple"], "gold": 0} for n in range(8)]
PASSAGES = [{"context": f"The mill number {n} stands by the", "continuation": "river"} for n in range(5)]


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with its tokenizer, documents, and the rows of tasks."""
    home = tmp_path_factory.mktemp("home")
    written(home / "documents.jsonl", [{"text": text} for text in TEXTS])
    save_tokenizer(train_byte_bpe(TEXTS, 300, (END,), 2, "gpt2"), home / "tokenizer")
    module = GPT(preset="qwen3-tiny", depth=1, width=32, heads=2, context=64).build(300, seed=0)
    save_model(home / "model", module, home / "tokenizer")
    (home / "own.yaml").write_text("type: multiple_choice\npath: rows.jsonl\nlimit: 5\n")
    written(home / "rows.jsonl", CHOICES)
    return home


def recipe(home: Path, place: Path, **stages: Any) -> Recipe:
    """Data, a short training, scores and gates of every kind; `stages` change or add some."""
    tree = {
        "raw": {"type": "load", "source": {"type": "jsonl", "path": str(home / "documents.jsonl")}},
        "unique": {"type": "dedup", "input": "raw"},
        "vocab": {"type": "tokenizer", "input": "unique", "size": 300},
        "packed": {"type": "pack", "input": "unique", "tokenizer": "vocab", "length": 32, "holdout": 0.2},
        "base": {
            "type": "train",
            "data": "packed",
            "model": {"type": "gpt", "preset": "qwen3-tiny", "depth": 1, "width": 32, "heads": 2, "context": 32},
            "batch": {"sequences": 4},
            "budget": {"steps": 12},
        },
        "scores": {
            "type": "evaluate",
            "model": "base",
            "suites": [{"type": "perplexity", "data": "packed"}, {"task": str(home / "own.yaml")}],
        },
        "gate": {"type": "gate", "scores": "scores", "checks": [{"type": "at_most", "metric": "perplexity/bits_per_byte", "value": 20}]},
        **stages,
    }
    body = {"name": "made", "store": str(place / "store"), "runs": str(place / "runs"), "stages": tree}
    return loads(yaml.safe_dump(body), folder=home)


CHECKS = [
    {"type": "beats", "metric": "perplexity/bits_per_byte", "baseline": "byte_unigram", "margin": 0},
    {"type": "minimum_items", "metric": "own/accuracy", "items": 5},
    {"type": "at_most", "metric": "perplexity/bits_per_byte", "value": 20},
    {"type": "drop_rate", "of": "unique", "at_most": 0.1},
    {"type": "duplicates_left", "of": "unique"},
    {"type": "pii_left", "of": "unique"},
    {"type": "trained", "of": "base"},
    {"type": "cost", "of": "base", "seconds": 600, "parameters": "1M"},
]


@pytest.fixture(scope="module")
def made(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run whose gates of all kinds passed."""
    place = tmp_path_factory.mktemp("made")
    run = recipe(home, place, gate={"type": "gate", "scores": "scores", "checks": CHECKS[1:]}).run(quiet=True)
    assert run["gate"].manifest.metrics == {"passed": 7, "failed": 0}
    return place


def test_a_page_shows_scores_counts_and_single_items(made: Path) -> None:
    page = write_report(made / "runs/made").read_text()
    assert "own, by accuracy" in page and "The mill number 0 stands by the" in page and "Of each task the 5 worst items" in page


def test_a_gate_that_fails_says_it_once_with_its_numbers(home: Path, made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failing = recipe(home, made, gate={"type": "gate", "scores": "scores", "checks": [{**CHECKS[0], "margin": 3}]})
    with pytest.raises(
        GateFailed, match=r"gate failed: perplexity/bits_per_byte is .*byte_unigram's .* on the same \d+ items: .*off by"
    ) as error:
        failing.run()
    said = str(error.value).splitlines()[0]
    assert said not in capsys.readouterr().err, "it is the run's last word, and said by nobody before"
    assert said.removeprefix("gate failed: ") in (made / "runs/made/stages/gate/verdict.md").read_text()


@pytest.mark.parametrize(
    ("stages", "place", "said"),
    [
        (
            {"type": "beats", "metric": "perplexity/bits_per_byte", "baseline": "byte_trigam"},
            "gate.checks.0.baseline",
            "did you mean 'byte_trigram'?",
        ),
        ({"type": "beats", "metric": "own/accuracy", "baseline": "byte_trigram"}, "gate.checks.0.baseline", "it has none"),
        (
            {"type": "at_most", "metric": "perplexity/bits_per_bite", "value": 1},
            "gate.checks.0.metric",
            "did you mean 'perplexity/bits_per_byte'?",
        ),
        (
            {"type": "no_worse_than", "than": "scores", "metrics": ["own/acuracy"]},
            "gate.checks.0.metrics.0",
            "did you mean 'own/accuracy'?",
        ),
        (
            {"type": "any_of", "checks": [{"type": "minimum_items", "metric": "x/y", "items": 1}]},
            "gate.checks.0.checks.0.metric",
            "no metric 'x/y'",
        ),
    ],
)
def test_a_gates_mistakes_are_found_before_any_work(home: Path, tmp_path: Path, stages: Any, place: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        recipe(home, tmp_path, gate={"type": "gate", "scores": "scores", "checks": [stages]})
    assert place in str(error.value) and said in str(error.value)


@pytest.mark.parametrize(
    ("suite", "said"),
    [
        (
            {"type": "multiple_choice", "rows": [{"query": "x", "choices": ["a", "b"], "gold": "D"}]},
            "suites.0.rows: rows 1: gold 'D' is none of 2 choices",
        ),
        ({"type": "cloze", "path": "none.jsonl"}, "none.jsonl: no such file"),
        ({"task": "arc_eazy", "folder": "."}, "did you mean 'arc_easy'?"),
        ({"task": "arc_easy"}, "task arc_easy needs folder: where its rows are (arc_easy.jsonl.gz)"),
        ({"task": "bad.yaml"}, "bad.yaml: needs a mapping with type: and a suite's fields"),
        ({"task": "own.yaml", "limt": 3}, "limt: unknown key"),
        ({"type": "code", "rows": [{"prompt": "x", "test": "y", "entry_point": "z"}]}, "set run_code: true to allow it"),
        ({"type": "answer", "rows": [{"prompt": "x", "answer": ""}]}, "the right answer is empty"),
    ],
)
def test_a_suites_mistakes_are_found_before_any_work(home: Path, tmp_path: Path, suite: Any, said: str) -> None:
    (home / "bad.yaml").write_text("- 1\n")
    with pytest.raises(ConfigError) as error:
        recipe(
            home, tmp_path, scores={"type": "evaluate", "model": "base", "suites": [suite]}, gate={"type": "gate", "checks": [CHECKS[4]]}
        )
    assert said in str(error.value), str(error.value)


def test_nothing_held_out_and_scores_that_are_missing(home: Path, tmp_path: Path) -> None:
    packed = {"type": "pack", "input": "unique", "tokenizer": "vocab", "length": 32}
    with pytest.raises(ConfigError, match=r"scores.suites.0.data: nothing is held out there: set holdout"):
        recipe(home, tmp_path, packed=packed)
    with pytest.raises(ConfigError, match=r"gate\.checks\.0: minimum_items needs scores"):
        recipe(home, tmp_path, gate={"type": "gate", "checks": [CHECKS[1]]})
    with pytest.raises(ConfigError, match="two suites are called 'own'"):
        recipe(home, tmp_path, scores={"type": "evaluate", "model": "base", "suites": [{"task": str(home / "own.yaml")}] * 2})


def test_a_suite_that_was_finished_is_not_asked_again(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suites = [{"task": str(home / "own.yaml")}, {"type": "cloze", "rows": PASSAGES}]
    asked: list[str] = []
    whole = Cloze.run

    def stopped(self: Cloze, *given: Any) -> Any:
        asked.append("cloze")
        if len(asked) == 1:
            raise KeyboardInterrupt
        return whole(self, *given)

    monkeypatch.setattr(Cloze, "run", stopped)
    stages = {"scores": {"type": "evaluate", "model": f"path:{home / 'model'}", "suites": suites}}
    body = yaml.safe_dump({"name": "r", "store": str(tmp_path / "store"), "runs": str(tmp_path / "runs"), "stages": stages})
    with pytest.raises(KeyboardInterrupt):
        loads(body).run(quiet=True)
    assert (tmp_path / "runs/r/work/scores/suites/own/result.json").is_file()
    monkeypatch.setattr("ropewalk.evaluate.suites.multiple_choice.MultipleChoice.run", lambda *given: pytest.fail("asked again"))
    scores = loads(body).run(quiet=True)["scores"]
    assert isinstance(scores, Scores) and scores.metric("own/accuracy").items == 5 and scores.metric("cloze/accuracy").items == 5
    assert not (tmp_path / "runs/r/work").exists()
    monkeypatch.undo()
    again = loads(body.replace(str(tmp_path / "store"), str(tmp_path / "other"))).run(quiet=True)["scores"]
    assert scores.report == again.report  # type: ignore[attr-defined]


def types(*words: Any) -> tuple[int, str]:
    found = CliRunner().invoke(app, ["--quiet", *map(str, words)])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        return getattr(found.exception, "exit_code", 1), f"{found.output}{found.exception}"
    return found.exit_code, found.output


def test_the_verb_evaluate_asks_any_suite_of_any_model(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "rows/copa.jsonl", CHOICES)
    suite = "{task: copa, path: rows/copa.jsonl}"
    code, said = types("evaluate", home / "model", "-s", home / "own.yaml", "-s", suite, "-n", 3, "--store", tmp_path / "store", "--json")
    rows = {row["metric"]: row for row in json.loads(said)}
    assert code == 0 and rows["own/accuracy"]["items"] == 3 and rows["copa/accuracy"]["items"] == 8
    assert rows["own/accuracy"]["high"] - rows["own/accuracy"]["low"] > 0.5, "three items know little"
    assert len(list(Store(tmp_path / "store").places())) == 1
    code, said = types("evaluate", "none", "-s", "copa", "--store", tmp_path / "store")
    assert code == 3 and "no such folder, and no model of that key" in said
    code, said = types("evaluate", home / "model", "-s", "coppa", "--rows", "rows")
    assert code == 2 and "did you mean 'copa'?" in said
    code, said = types("evaluate", home / "model", "-s", "[", "--rows", "rows")
    assert code == 2 and "not a task, a YAML file or a mapping" in said


def test_a_model_is_found_by_its_key(made: Path) -> None:
    (place,) = (made / "store/Model").glob("[0-9a-f]*")
    assert find_model(place.name[:8], made / "store") == place
    assert evaluation_of(str(place), ["{type: cloze, rows: [{context: a, continuation: b}]}"], None, None, None, None).stages.keys() == {
        "scores"
    }


def test_the_verb_gate_judges_a_run_again_and_against_another(home: Path, made: Path, tmp_path: Path) -> None:
    file = home / "recipe.yaml"
    tree = recipe(home, made, gate={"type": "gate", "scores": "scores", "checks": CHECKS[1:]}).tree()
    file.write_text(yaml.safe_dump(tree))
    code, said = types("gate", file, "--baseline", made / "runs/made", "--junit", tmp_path / "junit.xml")
    assert code == 0, said
    assert said.count("pass  ") == 8 and "0 of 2 tasks worse than scores (" in said
    assert 'failures="0"' in (tmp_path / "junit.xml").read_text()
    code, said = types("gate", file, "gate.checks.1.value=0.1")
    assert code == 9 and "FAIL  perplexity/bits_per_byte is" in said and "off by" in said
    code, said = types("gate", file, "raw")
    assert code == 2 and "'raw' is no gate of this recipe" in said
    code, said = types("gate", file, f"runs={tmp_path / 'elsewhere'}")
    assert code == 3 and "is not made" in said
    with pytest.raises(DataError, match="holds no scores"):
        baseline_scores(tmp_path, "scores")


def test_every_shipped_task_is_a_sound_suite(home: Path, tmp_path: Path) -> None:
    found = {}
    for name in task_names():
        said = {"run_code": True} if name == "human_eval" else {}
        (suite,) = Evaluate(model="path:x", suites=[{"task": name, "folder": str(tmp_path), **said}]).suites
        assert suite.title == name and suite.path == tmp_path / f"{name}.jsonl.gz" and suite.metric_names()
        found[name] = suite
    assert len(found) == 16


def test_every_row_of_the_shipped_tasks_is_understood(data_dir: Path) -> None:
    for name in task_names():
        asked = [
            {"task": name, "folder": str(data_dir / "eval"), "run_code": True}
            if name == "human_eval"
            else {"task": name, "folder": str(data_dir / "eval")}
        ]
        (suite,) = Evaluate(model="path:x", suites=asked).suites
        assert suite.problems({}) == [], name
