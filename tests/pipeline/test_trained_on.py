"""From an update to the documents in its batch and back, also where batches were left out, and what `why` tells of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ropewalk.cli.main import app
from ropewalk.core.errors import ConfigError, DataError
from ropewalk.pipeline.recipe import load
from ropewalk.pipeline.trained_on import TrainedOn
from ropewalk.pipeline.why import why

TINY = Path(__file__).parents[2] / "recipes" / "tiny.yaml"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The tiny recipe's pretraining, in which the third batch was left out."""
    folder = tmp_path_factory.mktemp("home")
    words = [f"store={folder / 'store'}", f"runs={folder / 'runs'}", "base.budget={steps: 7}"]
    words += ["base.on_not_finite=skip", "base.faults={nan_at: [3]}"]
    load(TINY, words).run("base", quiet=True)
    return words


def says(words: Sequence[str]) -> tuple[int, str]:
    told = CliRunner().invoke(app, ["why", str(TINY), *words])
    return told.exit_code, told.output


def test_updates_and_documents_name_each_other(home: list[str]) -> None:
    trained = TrainedOn(load(TINY, home), "base")
    assert [trained.batches[step] for step in range(1, 8)] == [0, 1, 3, 4, 5, 6, 7], "batch 2 has no update"
    seen = {step: {run.id for run in trained.documents(step)} for step in trained.batches}
    for id_ in sorted(set().union(*seen.values()))[:20]:
        assert trained.steps(id_) == [step for step, ids in seen.items() if id_ in ids]
    assert trained.steps("nobody") == []
    runs = trained.documents(4)
    assert sum(run.positions for run in runs) == sum(run.trained for run in runs) and len({run.sequence for run in runs}) == 8


def test_why_ends_with_the_updates_that_saw_a_record(home: list[str]) -> None:
    recipe = load(TINY, home)
    some = TrainedOn(recipe, "base").documents(2)[0].id
    last = why(recipe, some).hops[-1]
    assert last.stage == "base" and last.state == "kept" and "seen in update" in last.notes[0]
    held_out = [row["id"] for row in recipe.run("packed", quiet=True)["packed"].documents.to_pylist() if row["split"] == "holdout"]  # type: ignore[attr-defined]
    assert why(recipe, held_out[0]).hops[-1].state == "not seen"


def test_the_verb_lists_a_batch(home: list[str]) -> None:
    code, told = says([*home, "--step", "2", "--stage", "base", "--json"])
    rows = json.loads(told)
    assert code == 0 and rows and set(rows[0]) == {"id", "source", "part", "sequence", "first", "positions", "trained"}


def test_what_cannot_be_told_is_said(home: list[str]) -> None:
    recipe = load(TINY, home)
    with pytest.raises(ConfigError, match="'clean' is no training stage"):
        TrainedOn(recipe, "clean")
    with pytest.raises(DataError, match="sft: not trained yet"):
        TrainedOn(recipe, "sft")
    with pytest.raises(DataError, match="there is no update 99: it has made 7"):
        TrainedOn(recipe, "base").documents(99)
    for words in ([*home, "--step", "2"], [*home]):
        told = CliRunner().invoke(app, ["why", str(TINY), *words])
        assert isinstance(told.exception, ConfigError)
