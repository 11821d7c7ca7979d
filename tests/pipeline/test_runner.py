"""Running: caching, naming what changed, resuming, gates, damage, locks; on stages of a plugin."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ropewalk
from ropewalk.core.component import lookup
from ropewalk.core.errors import ChangedRun, ConfigError, DataError, GateFailed, Locked, OutOfMemory
from ropewalk.core.lock import Lock
from ropewalk.pipeline.recipe import load
from ropewalk.pipeline.stage import Stage

ADD = {
    "gate": "  gate: {type: says, input: word, yes: false}\n  last: {type: says, input: gate}\n"
    "  apart: {type: join, input: lines, limit: 50}\n",
}


def add(tiny: Path, text: str) -> None:
    with (tiny / "recipe.yaml").open("a") as file:
        file.write(text)


def traced(tiny: Path) -> list[str]:
    return (tiny / "trace").read_text().split() if (tiny / "trace").exists() else []


def test_a_run_makes_links_and_records(tiny: Path) -> None:
    run = load("recipe.yaml").run(quiet=True)
    assert run.made == ["lines", "word"] and (run["word"].path / "word.txt").read_text() == "ABC/3"
    link = run.path / "stages" / "word"
    assert link.is_symlink() and not os.path.isabs(os.readlink(link)) and link.resolve() == run["word"].path
    events = [json.loads(line)["event"] for line in (run.path / "events.jsonl").read_text().splitlines()]
    assert events == ["run_started", "stage_started", "stage_ended", "stage_started", "stage_ended", "run_ended"]
    assert (run.path / "run.log").is_file() and not (run.path / "work").exists()
    assert load(run.path / "recipe.yaml", ["plugins=[]"], plugins=False).stages == run.recipe.stages
    manifest = run["lines"].manifest
    assert manifest.counts["records_in"] == 3 and manifest.notes["cost"]["seconds"] >= 0 and manifest.verify(run["lines"].path) == []


def test_the_second_run_does_nothing(tiny: Path) -> None:
    load("recipe.yaml").run(quiet=True)
    again = load("recipe.yaml").run(quiet=True)
    assert again.made == [] and traced(tiny) == ["000", "001", "002"]
    assert [row["status"] for row in load("recipe.yaml").plan().rows()] == ["cached", "cached"]


def test_plan_names_what_changed_and_run_remakes_only_that(tiny: Path) -> None:
    load("recipe.yaml").run(quiet=True)
    rows = load("recipe.yaml", ["lines.suffix=x"]).plan().rows()
    assert [row["reasons"] for row in rows] == [("suffix:  -> x",), ("input input (lines) runs",)]
    assert load("recipe.yaml", ["word.limit=9"]).run(quiet=True).made == ["word"]
    assert load("recipe.yaml", ["lines.speed=9"]).run(quiet=True).made == []
    rows = load("recipe.yaml", ["seed=4"]).plan().rows()
    assert [row["status"] for row in rows] == ["cached", "run"] and "seed: 3 -> 4" in rows[1]["reasons"]


def test_one_stage_and_what_it_needs(tiny: Path) -> None:
    add(tiny, "  other: {type: upper, words: [z]}\n")
    assert load("recipe.yaml").run("word", quiet=True).made == ["lines", "word"]
    with pytest.raises(ConfigError, match=r"no stage 'wrd' \(did you mean 'word'"):
        load("recipe.yaml").run("wrd")


def test_other_folders_and_stores_give_the_same_keys(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load("recipe.yaml").run(quiet=True)
    monkeypatch.setenv("ROPEWALK_STORE", str(tiny / "elsewhere"))
    monkeypatch.setenv("CHECKPOINT_DIR", str(tiny / "checkpoints"))
    second = load("recipe.yaml").run(quiet=True)
    assert second["word"].key == first["word"].key and second.path == tiny / "checkpoints" / "tiny"
    assert second["word"].path.is_relative_to(tiny / "elsewhere")


def test_a_failed_gate_stops_what_is_behind_it_every_time(tiny: Path) -> None:
    add(tiny, ADD["gate"])
    for _ in range(2):
        with pytest.raises(GateFailed, match="must be at least 4"):
            load("recipe.yaml").run(quiet=True)
        status = json.loads((tiny / "runs/tiny/run.json").read_text())
        states = {name: facts["status"] for name, facts in status["stages"].items()}
        assert states["gate"] == "gate failed" and states["last"] == "stopped" and states["apart"] in ("done", "cached")
        assert status["status"] == "gate failed"
    assert load("recipe.yaml", ["gate.yes=true"]).run(quiet=True).made == ["gate", "last"]


def test_a_stage_that_loses_a_record_makes_nothing(tiny: Path) -> None:
    add(tiny, "  bad: {type: loses}\n")
    with pytest.raises(DataError, match="add up"):
        load("recipe.yaml").run(quiet=True)
    assert list((tiny / ".ropewalk/store/Word").glob("[!.]*")) and not list((tiny / ".ropewalk/store").rglob(".tmp*"))
    assert json.loads((tiny / "runs/tiny/run.json").read_text())["stages"]["bad"]["status"] == "failed"


def test_drops_must_stand_in_the_ledger(tiny: Path) -> None:
    add(tiny, "  drops: {type: drops}\n")
    assert load("recipe.yaml").run(quiet=True)["drops"].manifest.counts["dropped/short"] == 1
    with pytest.raises(AssertionError, match="ledger misses drops"):
        load("recipe.yaml", ["drops.forget=true"]).run(quiet=True)


def test_a_failing_stage_leaves_no_half_artifact(tiny: Path) -> None:
    add(tiny, "  broken: {type: breaks}\n")
    with pytest.raises(DataError, match="nothing left"):
        load("recipe.yaml").run(quiet=True)
    assert not list((tiny / ".ropewalk").rglob("half"))
    assert "DataError" in (tiny / "runs/tiny/run.log").read_text()


def test_memory_that_runs_out_has_its_own_error(tiny: Path) -> None:
    add(tiny, "  broken: {type: breaks, how: memory}\n")
    with pytest.raises(OutOfMemory, match=r"broken: memory ran out"):
        load("recipe.yaml").run(quiet=True)


def test_one_stage_runs_without_a_recipe(tiny: Path) -> None:
    lines = load("recipe.yaml").run(quiet=True)["lines"]
    join = lookup(Stage)["join"]
    places = {"store": tiny / "alone", "runs": tiny / "alone-runs"}
    word = join(input="anything").run(input=lines, name="word", seed=9, quiet=True, **places)
    assert (word.path / "word.txt").read_text() == "ABC/9" and word.path.is_relative_to(tiny / "alone")
    assert join(input="anything").run(input=lines.path, name="word", seed=9, quiet=True, **places).key == word.key


def die(tiny: Path, shard: str, *overrides: str) -> int:
    code = "import sys\nfrom ropewalk.pipeline.recipe import load\nload('recipe.yaml', sys.argv[1:]).run(quiet=True)"
    source = str(Path(ropewalk.__file__).parents[1])
    environment = {**os.environ, "DIE_AT": shard, "PYTHONPATH": source}
    return subprocess.run([sys.executable, "-c", code, *overrides], env=environment, cwd=tiny, check=False).returncode


def test_a_killed_stage_redoes_only_unfinished_shards(tiny: Path) -> None:
    assert die(tiny, "002") == 9 and traced(tiny) == ["000", "001"]
    assert load("recipe.yaml").plan()["lines"].status == "resume"
    assert load("recipe.yaml").run(quiet=True).made == ["lines", "word"]
    assert traced(tiny) == ["000", "001", "002"]


def test_unfinished_work_of_another_recipe_is_never_mixed_in(tiny: Path) -> None:
    die(tiny, "002")
    with pytest.raises(ChangedRun, match=r"suffix:  -> !"):
        load("recipe.yaml", ["lines.suffix='!'"]).run(quiet=True)
    run = load("recipe.yaml", ["lines.suffix='!'"]).run(quiet=True, restart=True)
    assert (run["word"].path / "word.txt").read_text() == "A!B!C!/3" and traced(tiny) == ["000", "001", "000", "001", "002"]


def test_safe_changes_go_on_and_are_recorded(tiny: Path) -> None:
    die(tiny, "002")
    run = load("recipe.yaml", ["lines.save=9"]).run(quiet=True)
    assert traced(tiny) == ["000", "001", "002"]
    assert any(json.loads(line)["event"] == "changed" for line in (run.path / "events.jsonl").read_text().splitlines())


def test_accepting_a_change_goes_on(tiny: Path) -> None:
    die(tiny, "002")
    run = load("recipe.yaml", ["lines.suffix='!'"]).run(quiet=True, accept_changes=True)
    assert (run["word"].path / "word.txt").read_text() == "ABC!/3"


def test_a_damaged_manifest_is_made_again(tiny: Path) -> None:
    run = load("recipe.yaml").run(quiet=True)
    place = run["word"].path / "manifest.json"
    place.write_text(place.read_text().replace("word", "wrod", 1))
    plan = load("recipe.yaml").plan()
    assert plan["word"].status == "run" and "damaged" in plan["word"].reasons[0]
    assert load("recipe.yaml").run(quiet=True).made == ["word"]


def test_an_artifact_gone_from_the_store_is_made_again(tiny: Path) -> None:
    import shutil

    run = load("recipe.yaml").run(quiet=True)
    shutil.rmtree(run["word"].path)
    assert load("recipe.yaml").run(quiet=True).made == ["word"]


def test_two_runs_of_one_name_do_not_meet(tiny: Path) -> None:
    with Lock(tiny / "runs" / "tiny" / "lock", "x"), pytest.raises(Locked):
        load("recipe.yaml").run(quiet=True)
    assert not (tiny / "runs" / "tiny" / "run.json").exists()


def test_workers_in_processes_give_the_same_bytes(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = load("recipe.yaml", ["executor.workers=1"]).run(quiet=True)["lines"].manifest.files
    monkeypatch.setenv("ROPEWALK_STORE", str(tiny / "two"))
    two = load("recipe.yaml", ["executor.workers=2"]).run(quiet=True)["lines"].manifest.files
    assert one == two


def test_where_links_are_not_allowed_a_file_says_the_place(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: str) -> None:
        raise OSError

    monkeypatch.setattr(Path, "symlink_to", refuse)
    run = load("recipe.yaml").run(quiet=True)
    assert (run.path / "stages" / "word").is_file() and run.folder.artifact("word") == run["word"].path


def test_work_without_its_note_is_nobodys(tiny: Path) -> None:
    die(tiny, "002")
    (tiny / "runs/tiny/work/lines/identity.json").unlink()
    run = load("recipe.yaml", ["lines.suffix='!'"]).run(quiet=True)
    assert (run["word"].path / "word.txt").read_text() == "A!B!C!/3"


def test_a_change_that_was_accepted_stands_in_the_manifest(tiny: Path) -> None:
    die(tiny, "002")
    run = load("recipe.yaml", ["lines.suffix='!'"]).run(quiet=True, accept_changes=True)
    history = run["lines"].manifest.notes["history"]
    assert len(history) == 1 and history[0]["changes"] == ["suffix:  -> !"] and run["word"].manifest.notes["history"] == []


def test_a_place_without_a_manifest_is_cleared(tiny: Path) -> None:
    run = load("recipe.yaml").run(quiet=True)
    (run["word"].path / "manifest.json").unlink()
    assert load("recipe.yaml").run(quiet=True).made == ["word"]
    assert load("recipe.yaml").run(quiet=True).made == []


def test_a_damaged_input_stops_what_would_be_made_of_it(tiny: Path) -> None:
    run = load("recipe.yaml").run(quiet=True)
    (run["lines"].path / "lines" / "001.txt").write_text("X")
    with pytest.raises(DataError, match=r"lines: damaged: lines/001\.txt"):
        load("recipe.yaml", ["word.limit=9"]).run(quiet=True)


def test_running_one_stage_keeps_what_the_others_said(tiny: Path) -> None:
    load("recipe.yaml").run(quiet=True)
    run = load("recipe.yaml").run("lines", quiet=True)
    status = json.loads((run.path / "run.json").read_text())["stages"]
    assert list(status) == ["lines", "word"] and status["word"]["status"] == "done" and run.made == []


def test_the_resolved_recipe_reads_back_whatever_its_texts(tiny: Path) -> None:
    (tiny / "recipe.yaml").write_text(
        'name: "1e3"\nplugins: [stages.py]\nstages:\n  lines: {type: upper, words: ["007", "no", "true", "1_0", "~"]}\n'
    )
    run = load("recipe.yaml").run(quiet=True)
    again = load(run.path / "recipe.yaml", ["plugins=[]"])
    assert again.name == "1e3" and again.stages == run.recipe.stages
