"""Stage mechanics: the same bytes whatever the workers, the shards' order and the hash seed; changed code is never served stale."""

from __future__ import annotations

import json
import os
import pydoc_data.topics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ropewalk
from ropewalk.core import identity
from ropewalk.core.artifact import Manifest, commit, hash_file
from ropewalk.core.component import lookup
from ropewalk.core.errors import MissingExtra
from ropewalk.core.shards import Outcome, Shard
from ropewalk.data.corpus import from_documents, write_documents
from ropewalk.data.filters.gopher import Gopher
from ropewalk.data.records import Document
from ropewalk.data.steps import Step
from ropewalk.pipeline.stages.clean import _CleanShard, labels

SOURCE = str(Path(ropewalk.__file__).parents[1])
ODD = "Caf\u00c3\u00a9\u00a0\u200bx <b>bold</b> &amp; more\r\n\r\n\r\nhttps://a.org\nAccept all cookies\nann@ropewalk.org 8.8.8.8\n"


def corpus(folder: Path, num_shards: int = 5) -> Path:
    """Documents of real English in several shards, some of them odd, some alike."""
    texts = [text for text in pydoc_data.topics.topics.values() if len(text) > 600][:60]
    texts += [ODD + text for text in texts[:12]] + texts[12:18] + ["Short.", "", "word " * 400]
    beside, place = folder / "beside", folder / "corpus"
    for number in range(num_shards):
        rows = [
            Document(f"d{place}", text, f"s{place % 3}", "PSF", {"year": place})
            for place, text in enumerate(texts)
            if place % num_shards == number
        ]
        write_documents(from_documents(rows), beside / "documents" / f"{number:05d}.parquet")
    commit(
        beside,
        place,
        Manifest("Corpus", key="by-hand", counts={"records_in": len(texts), "kept": len(texts), "dropped": 0, "quarantined": 0}),
    )
    return place


def plain_steps() -> list[Step]:
    """Every step that builds from its type alone and whose packages are here."""
    found = []
    for tag, member in sorted(lookup(Step).items()):
        if member.__module__.startswith("ropewalk.") and not any(field.is_required() for field in member.model_fields.values()):
            try:
                step = Step.model_validate(tag)
                step.fingerprint()
            except MissingExtra:
                continue
            found.append(step)
    return found


RECIPE = """format: 1
name: same
seed: 11
executor: {{type: local, workers: {workers}}}
stages:
  clean: {{type: clean, input: {{path: {corpus}}}, steps: [{steps}]}}
  unique: {{type: dedup, input: clean}}
  some: {{type: filter, input: unique, keep: 'meta.year > 3 and score.length.min_words > 20 and source in ["s0", "s1"]'}}
  drawn: {{type: sample, input: clean, fraction: 0.6, stratify: true}}
  part: {{type: split, input: drawn, parts: {{a: 0.7, b: 0.3}}, part: a}}
"""
ASK = """
import sys
import ropewalk

run = ropewalk.load("r.yaml").run(*sys.argv[1:], quiet=True)
print(*(f"{stage.name} {stage.place}" for stage in run.plan.stages), sep="\\n")
"""


def made(folder: Path, workers: int, hash_seed: int, *stages: str) -> dict[str, dict[str, str]]:
    """Stage -> file -> hash of what a fresh process makes."""
    folder.mkdir()
    place = corpus(folder)
    steps = ", ".join(step.tag for step in plain_steps())
    (folder / "r.yaml").write_text(RECIPE.format(workers=workers, corpus=place, steps=steps))
    environment = {**os.environ, "PYTHONPATH": SOURCE, "PYTHONHASHSEED": str(hash_seed)}
    environment.pop("COVERAGE_PROCESS_CONFIG", None)
    done = subprocess.run([sys.executable, "-c", ASK, *stages], cwd=folder, env=environment, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr[-2000:]
    folders = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    return {name: {file: str(facts["hash"]) for file, facts in Manifest.read(Path(place)).files.items()} for name, place in folders.items()}


def test_the_hash_seed_of_python_changes_no_byte(tmp_path: Path) -> None:
    first, second = (made(tmp_path / str(seed), 1, seed) for seed in (0, 12345))
    assert first == second
    assert len(first) == 5 and all(files for files in first.values()) and any(name.startswith("ledger/") for name in first["part"])


@pytest.mark.slow
def test_the_number_of_workers_changes_no_byte(tmp_path: Path) -> None:
    one, two, four = (made(tmp_path / str(workers), workers, workers, "drawn") for workers in (1, 2, 4))
    assert one == two == four and set(one) == {"clean", "drawn"}


def test_neither_the_order_of_shards_nor_the_process_before_changes_what_a_step_makes(tmp_path: Path) -> None:
    shards = [Shard(path.stem, path) for path in sorted((corpus(tmp_path) / "documents").glob("*.parquet"))]
    steps = plain_steps()
    assert {"normalise", "unicode", "html", "boilerplate", "url_lines", "gopher", "repetition", "length", "pii"} <= {
        step.tag for step in steps
    }

    def run(step: Step, order: list[Shard], folder: Path) -> dict[str, tuple[str, Any]]:
        found: dict[str, tuple[str, Any]] = {}
        for shard in order:
            place = folder / shard.name
            place.mkdir(parents=True)
            outcome = _CleanShard("clean", tuple(zip(labels([step]), [step], strict=True)))(shard, place)
            assert isinstance(outcome, Outcome)
            files = {str(path.relative_to(place)): hash_file(path) for path in sorted(place.rglob("*.parquet"))}
            found[shard.name] = (json.dumps(files), json.dumps([dict(outcome.counts), dict(outcome.metrics)], sort_keys=True))
        return found

    for step in steps:
        forwards = run(step, shards, tmp_path / "forwards" / step.tag)
        assert forwards == run(step.model_copy(), shards[::-1], tmp_path / "backwards" / step.tag), step.tag


PLUGIN = {
    "steps.py": '''"""A step of one's own."""
from ropewalk.data.steps import Batch, Change, Rule, Step, judge

from .limits import LEAST


class Long(Step, type="long_in_test"):
    """Keeps long texts."""

    spare: int = 0
    """Words that may be missing."""

    def apply(self, batch: Batch) -> Change:
        from .counting import counted

        return judge(Rule("least", counted(batch.texts), at_least=LEAST - self.spare))
''',
    "limits.py": '"""Limits."""\nfrom .table import TABLE\n\nLEAST = TABLE["least"]\n',
    "table.py": '"""The table."""\n\nTABLE = {"least": 3}\n',
    "counting.py": '"""Counting."""\n\nEACH = 1\n\n\ndef counted(texts):\n    return [EACH * len(text.split()) for text in texts]\n',
}
# What is edited -> (from, to, what the log says, documents that are kept then).
EDITS = {
    "a constant two imports away": ("table.py", '"least": 3', '"least": 5', "code of plugin:table changed", 2),
    "a constant of the imported module": ("limits.py", 'TABLE["least"]', 'TABLE["least"] + 1', "code of plugin:limits changed", 1),
    "a constant of a module that is imported when needed": ("counting.py", "EACH = 1", "EACH = 3", "code of plugin:counting changed", 4),
    "a default of the step itself": ("steps.py", "spare: int = 0", "spare: int = 9", "steps.0.spare: 0 -> 9", 5),
    "a comment": ("table.py", "TABLE =", "# Why three.\nTABLE =", "nothing to do", 5),
    "a docstring": ("limits.py", "Limits.", "All limits.", "nothing to do", 5),
}


def test_a_constant_that_changed_in_an_imported_module_makes_the_stage_again(tmp_path: Path) -> None:
    """One folder, one edit after the other, each in a fresh process, as a user would."""
    for name, text in PLUGIN.items():
        (tmp_path / name).write_text(text)
    lines = [json.dumps({"id": str(n), "text": " ".join(["word"] * n)}) for n in (1, 2, 4, 5, 6)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    stages = "  raw: {type: load, source: {type: jsonl, path: a.jsonl}}\n  clean: {type: clean, input: raw, steps: [long_in_test]}\n"
    (tmp_path / "r.yaml").write_text(f"format: 1\nname: o07\nplugins: [steps.py]\nstages:\n{stages}")
    environment = {name: value for name, value in os.environ.items() if name != "COVERAGE_PROCESS_CONFIG"} | {"PYTHONPATH": SOURCE}

    def run() -> str:
        command = [sys.executable, "-B", "-m", "ropewalk.cli.main", "run", "r.yaml"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stderr

    assert "clean: done" in run()
    for what, (file, before, after, said, kept) in EDITS.items():
        text = (tmp_path / file).read_text()
        assert before in text
        (tmp_path / file).write_text(text.replace(before, after))
        heard = run()
        assert said in heard, f"{what}: {heard}"
        counts = Manifest.read((tmp_path / "runs/o07/stages/clean").resolve()).counts
        assert counts["kept"] == kept and ("clean: done" in heard) == (said != "nothing to do") and "raw: done" not in heard, what


def test_ropewalks_own_imported_modules_are_in_the_key_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = identity.code_of(Gopher)
    module = next(name for name in before if name not in (Gopher.__module__, "ropewalk.data.steps") and name.startswith("ropewalk.data."))
    real = identity._source
    path = real(module)
    assert path is not None
    edited = tmp_path / path.name
    edited.write_text(path.read_text(encoding="utf-8") + "\nCHANGED_IN_TEST = 1\n", encoding="utf-8")
    monkeypatch.setattr(identity, "_source", lambda name: edited if name == module else real(name))
    identity._reached.cache_clear()
    try:
        after = identity.code_of(Gopher)
    finally:
        identity._reached.cache_clear()
    assert {name for name in before if before[name] != after[name]} == {module}
    assert identity.changes({"code": before}, {"code": after}) == [f"code of {module} changed"]
