"""What newcomers get wrong, and what they are told: the exit code, the thing, the place and the mend."""

from __future__ import annotations

import errno
import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import ropewalk
from ropewalk.cli.main import main
from ropewalk.core.artifact import Artifact
from ropewalk.core.lock import Lock
from ropewalk.core.log import LOGGER
from ropewalk.pipeline.stage import Stage

Files = dict[str, str | bytes | None]
STEP = '''"""A stage that is killed once, after work that it keeps."""
import os
import signal
from ropewalk.core.artifact import Artifact
from ropewalk.core.shards import Outcome, Shard
from ropewalk.pipeline.stage import Facts, Stage

class Rope(Artifact, kind="Rope"):
    """A rope."""

def lay(shard, folder):
    (folder / f"{shard.name}.txt").write_text(str(shard.content))
    if shard.name == "second" and not os.path.exists("stopped"):
        open("stopped", "w").close()
        os.kill(os.getpid(), int(os.environ.get("ROPE_SIGNAL", signal.SIGTERM)))
    return Outcome({"records_in": 1, "kept": 1})

class Lay(Stage, type="lay"):
    """Lays a rope in two shards."""
    makes = Rope
    strands: int = 3
    """How many."""
    def make(self, context):
        context.map(lay, [Shard(name, self.strands, 1) for name in ("first", "second")])
        return Facts()
'''


def lines(number: int = 12, field: str = "text") -> str:
    return "".join(
        json.dumps({field: f"Rope {i} goes to the harbour with {7 * i} others, and so on to sea."}) + "\n" for i in range(number)
    )


TEXT = lines()
PACKED = gzip.compress(TEXT.encode(), mtime=0)
MODEL = {"type": "gpt", "preset": "llama-tiny", "depth": 1, "width": 16, "heads": 2, "mlp_width": 16, "context": 16}
BITS = "perplexity/bits_per_byte"


def stages() -> dict[str, Any]:
    """A whole line, small enough to train in a moment."""
    return {
        "raw": {"type": "load", "source": {"type": "jsonl", "path": "data.jsonl"}},
        "vocab": {"type": "tokenizer", "input": "raw", "size": 280},
        "packed": {"type": "pack", "input": "raw", "tokenizer": "vocab", "length": 16, "holdout": 0.3},
        "base": {
            "type": "train",
            "data": "packed",
            "model": dict(MODEL),
            "batch": {"sequences": 2},
            "budget": {"steps": 2},
            "device": "cpu",
            "threads": 1,
        },
        "scores": {"type": "evaluate", "model": "base", "suites": [{"type": "perplexity", "data": "packed"}], "device": "cpu"},
        "gate": {"type": "gate", "scores": "scores", "checks": [{"type": "at_most", "metric": BITS, "value": 20}]},
        "model": {"type": "export", "model": "base", "verdict": "gate"},
    }


def edited(path: str, value: Any = ...) -> dict[str, Any]:
    """The whole line with one value set, or taken out."""
    tree: Any = stages()
    at = tree
    *above, last = path.split(".")
    for part in above:
        at = at[int(part)] if isinstance(at, list) else at[part]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return dict(tree)


def only(*names: str, **more: Any) -> dict[str, Any]:
    return {**{name: stages()[name] for name in names}, **more}


def load(path: str, **fields: Any) -> dict[str, Any]:
    return {"raw": {"type": "load", "source": {"type": "jsonl", "path": path, **fields}}}


class Newcomer:
    """Writes a recipe and files into an empty folder and types the command."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.monkeypatch, self.capsys = folder, monkeypatch, capsys

    def writes(self, tree: dict[str, Any], files: Files | None = None, **top: Any) -> None:
        text = yaml.safe_dump({"name": "r", **top, "stages": tree}, sort_keys=False, width=1000)
        for name, content in {"data.jsonl": TEXT, **(files or {}), "r.yaml": text}.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.mkdir()
            else:
                path.write_bytes(content.encode() if isinstance(content, str) else content)

    def types(self, *words: str) -> tuple[int, str]:
        """(exit code, all that is said)."""
        self.monkeypatch.setattr(sys, "argv", ["ropewalk", *words])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        said = "".join(self.capsys.readouterr())
        assert "Traceback" not in said and "a bug in ropewalk" not in said, said
        return code, said


@pytest.fixture
def newcomer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Newcomer]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    level, propagates = LOGGER.level, LOGGER.propagate
    monkeypatch.chdir(tmp_path)
    yield Newcomer(tmp_path, monkeypatch, capsys)
    Stage.members.pop("lay", None)  # the next test's plugin lies elsewhere
    Artifact.kinds.pop("Rope", None)
    LOGGER.handlers, LOGGER.propagate = [], propagates
    LOGGER.setLevel(level)
    for number, handler in handlers.items():
        signal.signal(number, handler)


def assert_said(said: str, *wanted: str) -> None:
    missing = [words for words in wanted if words not in said]
    assert not missing, f"{missing} not in:\n{said}"


RECIPES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a typo in a key": (edited("base.optimiser", "muon"), ["base.optimiser: unknown key", "did you mean 'optimizer'?", "r.yaml:"]),
    "a typo in a type": (edited("packed.type", "pakc"), ["r.yaml:", "packed: unknown stage 'pakc'", "did you mean 'pack'?"]),
    "a typo in a source": (edited("raw.source.type", "jsonlines"), ["r.yaml:", "unknown source 'jsonlines'", "did you mean 'jsonl'?"]),
    "a wrong reference": (edited("base.data", "pakced"), ["r.yaml:", "base.data: there is no stage 'pakced'", "did you mean 'packed'?"]),
    "the wrong kind": (
        edited("base.data", "raw"),
        ["base.data: needs Tokens or Mixture or Rows, but 'raw' makes a Corpus", "one of: packed"],
    ),
    "no such kind yet": (
        only("raw", base={**stages()["base"], "data": "raw"}),
        [
            "r.yaml:",
            "base.data: needs Tokens or Mixture or Rows, but 'raw' makes a Corpus",
            "a stage of type mixture or pack or pair_rows or render or render_pairs or span_rows or windows makes it",
        ],
    ),
    "too long sequences": (
        edited("packed.length", 64),
        ["r.yaml:", "base.data: sequences of 64 tokens", "the model's context of 16", "set length: 16", "context: 64"],
    ),
    "too small a vocabulary": (edited("vocab.size", 100), ["r.yaml:", "vocab.size: 100 is too small", "set at least 257"]),
    "no budget": (edited("base.budget"), ["r.yaml:", "base.budget: is required", "ropewalk explain train.budget"]),
    "an empty budget": (
        edited("base.budget", {}),
        ["r.yaml:", "base.budget: needs exactly one of tokens, steps, epochs and time, has none"],
    ),
    "model and init": (edited("base.init", "path:m"), ["r.yaml:", "base: needs model (a new one) or init (one to go on with), not both"]),
    "neither model nor init": (edited("base.model"), ["r.yaml:", "base: needs model (a new one) or init (one to go on with)"]),
    "an unknown preset": (
        edited("base.model.preset", "lama-tiny"),
        ["r.yaml:", "unknown preset 'lama-tiny'", "did you mean 'llama-tiny'?"],
    ),
    "a misspelt metric": (
        edited("gate.checks.0.metric", "perplexity/bits_per_bite"),
        ["r.yaml:", "gate.checks.0.metric: there is no metric 'perplexity/bits_per_bite'", f"did you mean '{BITS}'?"],
    ),
    "no verdict": (edited("model.verdict"), ["r.yaml:", "model.verdict: is required", "ropewalk explain export.verdict"]),
    "a variable that is not set": (
        load("${ROPE_DATA}/data.jsonl"),
        ["r.yaml:", "raw.source.path: the environment variable ROPE_DATA is not set", "export ROPE_DATA=", "${ROPE_DATA:-default}"],
    ),
    "init without a folder": (
        {**edited("base", {"type": "train", "data": "packed", "init": "path:gone", "budget": {"steps": 1}})},
        ["r.yaml:", "base.init:", "gone: no such folder", "name a stage, or path: and a folder"],
    ),
    "init of an empty folder": (
        {**edited("base", {"type": "train", "data": "packed", "init": "path:hollow", "budget": {"steps": 1}})},
        ["r.yaml:", "base.init:", "hollow: has no manifest.json", "runs/NAME/stages/STAGE", "config.json"],
    ),
}


@pytest.mark.parametrize("mistake", RECIPES)
def test_a_mistake_in_a_recipe_is_told_before_anything_is_made(newcomer: Newcomer, mistake: str) -> None:
    tree, wanted = RECIPES[mistake]
    newcomer.writes(tree, {"hollow": None})
    code, said = newcomer.types("run", "r.yaml")
    assert code == 2, said
    assert_said(said, *wanted)
    assert not (newcomer.folder / "runs").exists() and not (newcomer.folder / ".ropewalk").exists()


DATA: dict[str, tuple[dict[str, Any], Files, list[str]]] = {
    "no such file": (load("dat.jsonl"), {}, ["dat.jsonl: no such file or folder", "did you mean", "data.jsonl?"]),
    "no such folder": (load("no/such.jsonl"), {}, ["such.jsonl: no such file or folder", "no is no folder either"]),
    "an empty folder": (load("texts"), {"texts": None}, ["texts: no files", "it is empty", "put files there"]),
    "a folder without readable files": (
        load("texts"),
        {"texts/a.docx": "x"},
        ["texts: no files of .jsonl or .ndjson", "there are .docx", "ropewalk list source"],
    ),
    "files of no known format": (
        {"raw": {"type": "load", "source": {"type": "files", "path": "texts"}}},
        {"texts/a.bin": bytes(range(256)) * 4},
        ["a.bin: is of no known format", "set on_corrupt: skip"],
    ),
    "an empty file": (
        load("data.jsonl"),
        {"data.jsonl": ""},
        ["1 empty file", "data.jsonl", "raw: nothing to load", "look at the source's path"],
    ),
    "a CSV without the column": (
        {"raw": {"type": "load", "source": {"type": "csv", "path": "data.csv"}}},
        {"data.csv": "id,body\n1,Rope\n"},
        ["data.csv: there is no column 'text'; there are id, body", "text: COLUMN"],
    ),
    "another text field": (
        load("data.jsonl"),
        {"data.jsonl": lines(field="content")},
        ["12 of 12 records are bad", "data.jsonl:1: no 'text' among content", "name the field that holds the text"],
    ),
    "broken lines": (
        load("data.jsonl"),
        {"data.jsonl": lines(1) + '{"text": "a\n' * 3},
        ["3 of 4 records are bad", "3 not_json", "first at data.jsonl:2", "max_bad_fraction"],
    ),
    "a truncated gz": (
        load("data.jsonl.gz"),
        {"data.jsonl.gz": PACKED[:-20]},
        ["data.jsonl.gz: truncated after", "get the file again", "on_corrupt: skip"],
    ),
    "a filter that drops everything": (
        only("raw", clean={"type": "clean", "input": "raw", "steps": [{"type": "length", "min_words": 500}]}),
        {},
        ["clean: all 12 documents were dropped: 12 by length.min_words", "loosen clean.steps"],
    ),
    "nothing held out": (
        only("raw", "vocab", packed={**stages()["packed"], "holdout": 0.0001}),
        {},
        ["packed: no document was held out of 12", "set holdout: 0.42"],
    ),
    "a single document": (
        only("raw", "vocab", packed={**stages()["packed"], "holdout": 0.9}),
        {"data.jsonl": lines(1)},
        ["packed:", "1 document", "one document can't be divided", "per: paragraph"],
    ),
}


@pytest.mark.parametrize("mistake", DATA)
def test_a_mistake_in_the_data_names_file_and_mend(newcomer: Newcomer, mistake: str) -> None:
    tree, files, wanted = DATA[mistake]
    newcomer.writes(tree, files)
    code, said = newcomer.types("run", "r.yaml")
    assert code == 3, said
    assert_said(said, *wanted)


BORNE: dict[str, tuple[dict[str, Any], Files, list[str]]] = {
    "a gz named .jsonl": (load("data.jsonl"), {"data.jsonl": PACKED}, ["raw: done", "12 in, 12 kept"]),
    "a few broken lines": (
        load("data.jsonl"),
        {"data.jsonl": lines(3) + "{oops\n"},
        ["raw: 1 of 4 records set aside: 1 not_json", "the first at data.jsonl:4"],
    ),
    "too large a vocabulary": (edited("vocab.size", 50_000), {}, ["vocab: the corpus has words for", "ids, not 50000", "min_frequency: 1"]),
}


@pytest.mark.parametrize("mistake", BORNE)
def test_what_can_be_borne_is_said(newcomer: Newcomer, mistake: str) -> None:
    tree, files, wanted = BORNE[mistake]
    newcomer.writes({name: tree[name] for name in ("raw", "vocab") if name in tree}, files)
    code, said = newcomer.types("run", "r.yaml")
    assert code == 0, said
    assert_said(said, *wanted)


COMMANDS: dict[str, tuple[list[str], list[str]]] = {
    "a wrong path": (["run", "nope/r.yaml"], ["nope/r.yaml: no such recipe"]),
    "a misspelt path": (["run", "rr.yaml"], ["rr.yaml: no such recipe", "did you mean r.yaml?"]),
    "a folder for a recipe": (["run", "."], ["is a folder; name a recipe file in it"]),
    "an unknown override": (["run", "r.yaml", "basee.budget.steps=3"], ["override 'basee.budget.steps=3'", "there is no basee", "'base'?"]),
    "an unknown field": (
        ["run", "r.yaml", "base.budgt.steps=3"],
        ["override 'base.budgt.steps=3'", "base.budgt: unknown key", "'budget'?"],
    ),
    "a path below a path": (["run", "r.yaml", "raw.source.path.x=3"], ["raw.source.path: expected a path, got"]),
    "an unknown stage": (["run", "r.yaml", "pakced"], ["there is no stage 'pakced'", "did you mean 'packed'?"]),
    "an unknown verb": (["rnu", "r.yaml"], ["No such command 'rnu'", "ropewalk --help"]),
    "an unknown template": (["init", "owntext"], ["there is no template 'owntext'", "did you mean 'own_text'?"]),
    "a template into no folder": (["init", "own_text", "--path", "no/such/r.yaml"], ["no/such: no such folder", "mkdir -p no/such"]),
    "a recipe that is there": (["init", "own_text", "--path", "r.yaml"], ["r.yaml is there already", "--force", "--path"]),
}


@pytest.mark.parametrize("mistake", COMMANDS)
def test_a_mistake_on_the_command_line(newcomer: Newcomer, mistake: str) -> None:
    words, wanted = COMMANDS[mistake]
    newcomer.writes(stages())
    code, said = newcomer.types(*words)
    assert code == 2, said
    assert_said(said, *wanted)


def test_no_verb_shows_the_help(newcomer: Newcomer) -> None:
    code, said = newcomer.types()
    assert code == 2
    assert_said(said, "Usage:", "validate")
    assert "error:" not in said


@pytest.mark.parametrize(("text", "wanted"), [("class Rope(:\n", "SyntaxError"), ("import no_such_thing_here\n", "no_such_thing_here")])
def test_a_plugin_that_is_broken(newcomer: Newcomer, text: str, wanted: str) -> None:
    newcomer.writes(stages(), {"rope_maker.py": text}, plugins=["rope_maker.py"])
    code, said = newcomer.types("validate", "r.yaml")
    assert code == 2
    assert_said(said, "r.yaml:", "plugins.0: ", "rope_maker.py can't be imported", wanted, "line 1")


def test_a_store_that_can_not_be_written(newcomer: Newcomer) -> None:
    newcomer.writes(only("raw"), store="data.jsonl/store")
    code, said = newcomer.types("run", "r.yaml")
    assert code == 4
    assert_said(said, "data.jsonl/store", "Not a directory", "choose a folder that can be written", "ROPEWALK_STORE")


def test_runs_that_can_not_be_written(newcomer: Newcomer) -> None:
    newcomer.writes(only("raw"), runs="data.jsonl/runs")
    code, said = newcomer.types("run", "r.yaml")
    assert code == 4
    assert_said(said, "data.jsonl/runs", "Not a directory", "CHECKPOINT_DIR")


def test_a_run_in_use(newcomer: Newcomer) -> None:
    newcomer.writes(only("raw"))
    with Lock(newcomer.folder / "runs" / "r" / "lock", "run r"):
        code, said = newcomer.types("run", "r.yaml")
    assert code == 7
    assert_said(said, "is in use by process", "wait for it, stop it, or give this run another name")


def test_a_stopped_run_goes_on_and_a_changed_one_asks(newcomer: Newcomer) -> None:
    newcomer.writes({"rope": {"type": "lay"}}, {"rope_layer.py": STEP}, plugins=["rope_layer.py"])
    code, said = newcomer.types("run", "r.yaml")
    assert code == 143
    assert_said(said, "stopped by SIGTERM", "run again to go on")
    code, said = newcomer.types("run", "r.yaml", "rope.strands=4")
    assert code == 8
    assert_said(said, "rope: unfinished work in", "strands", "3", "4", "--restart", "--accept-changes")
    code, said = newcomer.types("run", "r.yaml")
    assert code == 0
    assert_said(said, "rope: done")


def test_a_killed_run_goes_on(newcomer: Newcomer) -> None:
    newcomer.writes({"rope": {"type": "lay"}}, {"rope_layer.py": STEP}, plugins=["rope_layer.py"])
    command = [sys.executable, "-m", "ropewalk.cli.main", "run", "r.yaml"]
    path = {"PYTHONPATH": str(Path(ropewalk.__file__).parents[1]), "ROPE_SIGNAL": str(int(signal.SIGKILL))}
    environment = {name: value for name, value in os.environ.items() if name != "COVERAGE_PROCESS_CONFIG"} | path
    killed = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    kept = newcomer.folder / "runs/r/work/rope/shards/first/receipt.json"
    assert kept.is_file(), list(newcomer.folder.rglob("*"))
    code, said = newcomer.types("run", "r.yaml")  # its lock holds nothing
    assert code == 0, said
    assert_said(said, "rope: done")


def test_a_gate_out_of_reach(newcomer: Newcomer) -> None:
    newcomer.writes(edited("gate.checks.0.value", 0.1))
    code, said = newcomer.types("run", "r.yaml")
    assert code == 9
    assert_said(said, f"gate failed: {BITS} is ", "must be at most 0.1, off by", "model: not made, since gate said no", "report.html")
    code, said = newcomer.types("run", "r.yaml", "gate.checks.0.value=20")
    assert code == 0
    assert_said(said, "gate: pass", "model: done")


def test_a_model_that_is_too_big_is_refused_before_anything_is_made(newcomer: Newcomer) -> None:
    newcomer.writes(edited("base.model", {"type": "gpt", "depth": 500, "width": 65536, "heads": 64, "context": 64}))
    for verb in ("run", "plan"):
        code, said = newcomer.types(verb, "r.yaml")
        assert code == 5, said
        assert_said(said, "base:", "parameters take", "TiB of memory", "are free on cpu", "choose a smaller model")
    assert not list((newcomer.folder / ".ropewalk").rglob("manifest.json"))


def test_a_missing_package_is_named_with_what_installs_it(newcomer: Newcomer, monkeypatch: pytest.MonkeyPatch) -> None:
    newcomer.writes(stages())
    with monkeypatch.context() as without:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torch" or name == "ropewalk.pipeline.training"]:
            without.delitem(sys.modules, name)
        without.setitem(sys.modules, "torch", None)
        code, said = newcomer.types("run", "r.yaml")
    assert code == 10, said
    assert_said(said, "base:", "the package torch is not installed", "pip install torch", "ropewalk doctor")


def test_a_full_disk_is_told_and_finished_work_is_kept(newcomer: Newcomer, monkeypatch: pytest.MonkeyPatch) -> None:
    newcomer.writes(only("raw", "vocab"))

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as filled:
        filled.setattr(os, "fsync", full)
        code, said = newcomer.types("run", "r.yaml")
    assert code == 4, said
    assert_said(said, "No space left on device")
    assert not list((newcomer.folder / ".ropewalk").rglob("manifest.json")), "nothing half-made counts"
    assert newcomer.types("run", "r.yaml")[0] == 0
