"""A recipe of tiny stages of the user's own: they count lines, so that running, caching and killing is seen fast."""

from __future__ import annotations

from pathlib import Path

import pytest

STAGES = '''"""Tiny stages."""

import os
import time
from pathlib import Path
from typing import Annotated

from ropewalk.core.artifact import Artifact
from ropewalk.core.component import RUNTIME, SAFE
from ropewalk.core.errors import DataError, GateFailed
from ropewalk.core.ledger import Ledger
from ropewalk.core.reference import Ref
from ropewalk.core.shards import Outcome, Shard
from ropewalk.pipeline.stage import Facts, Stage


class Lines(Artifact, kind="Lines"):
    """Lines of text in shards."""


class Word(Artifact, kind="Word"):
    """One word."""


def upper(shard: Shard, folder: Path) -> Outcome:
    if os.environ.get("DIE_AT") == shard.name:
        os._exit(9)
    (folder / "lines").mkdir()
    (folder / "lines" / f"{shard.name}.txt").write_text(shard.content.upper())
    with open(os.environ["TRACE"], "a") as trace:
        trace.write(shard.name + "\\n")
    return Outcome({"records_in": 1, "kept": 1, "dropped": 0, "quarantined": 0})


class Upper(Stage, type="upper"):
    """Writes words in capitals."""

    makes = Lines
    words: list[str]
    """The words."""
    suffix: str = ""
    """Goes behind each."""
    save: Annotated[int, SAFE] = 1
    """Safe to change."""
    speed: Annotated[int, RUNTIME] = 1
    """Changes nothing."""

    def make(self, context):
        shards = [Shard(f"{i:03d}", word + self.suffix, 1) for i, word in enumerate(self.words)]
        receipts = context.map(upper, shards)
        with context.progress("looking", len(shards), "words") as bar:
            bar.advance(len(shards))
        total = len(receipts)
        return Facts({"records_in": total, "kept": total, "dropped": 0, "quarantined": 0})


class Join(Stage, type="join"):
    """Joins lines to one word."""

    makes = Word
    seeded = True
    input: Ref[Lines]
    """The lines."""
    limit: int = 100
    """At most so many."""

    def problems(self, upstream):
        words = getattr(upstream["input"], "words", [])
        return [("limit", f"{len(words)} words are more than {self.limit}")] if len(words) > self.limit else []

    def make(self, context):
        lines = context.open(self.input)
        files = sorted((lines.path / "lines").glob("*.txt"))
        (context.out / "word.txt").write_text("".join(f.read_text() for f in files) + f"/{context.seed}")
        return Facts(metrics={"files": len(files)})


class Loses(Stage, type="loses"):
    """Loses a record."""

    makes = Word

    def make(self, context):
        (context.out / "word.txt").write_text("x")
        return Facts({"records_in": 3, "kept": 2, "dropped": 0, "quarantined": 0})


class Drops(Stage, type="drops"):
    """Drops a record and writes it to the ledger, or forgets to."""

    makes = Word
    forget: bool = False
    """Whether to forget."""

    def make(self, context):
        ledger = Ledger(context.name)
        ledger.add("a", "short")
        if not self.forget:
            ledger.write(context.out / "ledger" / "0.parquet")
        return Facts({"records_in": 3, "kept": 2, "dropped": 1, "dropped/short": 1, "quarantined": 0})


class Says(Stage, type="says"):
    """A gate: says yes or no."""

    makes = Word
    input: Ref[Word]
    """What is judged."""
    yes: bool = True
    """The verdict."""

    def make(self, context):
        (context.out / "verdict").write_text(str(self.yes))
        return Facts()

    def confirm(self, artifact):
        if (artifact.path / "verdict").read_text() == "False":
            raise GateFailed("says no: word is 3, must be at least 4")


class Breaks(Stage, type="breaks"):
    """Fails."""

    makes = Word
    how: str = "data"
    """data or memory."""

    def make(self, context):
        (context.out / "half").write_text("x")
        if self.how == "memory":
            raise MemoryError
        raise DataError("nothing left", remedy="loosen a rule")
'''

RECIPE = """format: 1
name: tiny
seed: 3
plugins: [stages.py]
stages:
  lines: {type: upper, words: [a, b, c]}
  word: {type: join, input: lines}
"""


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `stages.py` and `recipe.yaml`; the working folder; TRACE names the file that says which shards ran."""
    (tmp_path / "stages.py").write_text(STAGES)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACE", str(tmp_path / "trace"))
    for name in ("ROPEWALK_STORE", "CHECKPOINT_DIR", "DIE_AT"):
        monkeypatch.delenv(name, raising=False)
    forget_plugins()
    return tmp_path


def forget_plugins() -> None:
    """Each test brings its own copy of the same stage types."""
    from ropewalk.core.component import lookup
    from ropewalk.pipeline.stage import Stage

    for tag, member in list(lookup(Stage).items()):
        if member.__module__.startswith("ropewalk_plugin_"):
            del Stage.members[tag]
