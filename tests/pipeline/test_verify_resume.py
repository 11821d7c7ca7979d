"""The proof that stopping changes nothing, on the tiny recipe and on one whose optimizer forgets something."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import Tensor

from ropewalk.core.errors import CheckpointError, ConfigError, DataError
from ropewalk.optim.adamw import AdamWUpdate
from ropewalk.pipeline.recipe import load
from ropewalk.pipeline.verify_resume import verify_resume

TINY = Path(__file__).parents[2] / "recipes" / "tiny.yaml"


def forgetful(self: AdamWUpdate) -> dict[str, Tensor]:
    """An optimizer that keeps its means to itself."""
    return {f"steps.{name}": tensor for name, tensor in self.steps.items()}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("home")
    places = [f"store={folder / 'store'}", f"runs={folder / 'runs'}", "base.optimizer=adamw"]
    load(TINY, places).run("packed", quiet=True)
    return places


def test_the_tiny_recipe_is_the_same_with_and_without_stops(home: list[str]) -> None:
    recipe = load(TINY, home)
    proof = verify_resume(recipe.plan("base"), "base", 5)
    assert proof.holds and proof.stops == (1, 2, 4)
    names = [row["file"] for row in proof.rows()]
    assert "out/model.safetensors" in names and any(name.endswith("optimizer.safetensors") for name in names)
    assert recipe.plan("base")["base"].status == "run", "nothing is left behind"


def test_state_that_is_not_saved_is_found(home: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AdamWUpdate, "state", forgetful)
    assert not verify_resume(load(TINY, home).plan("base"), "base", 4).holds


@pytest.mark.parametrize(("stage", "steps", "words"), [("clean", 4, "name one of: base"), ("base", 2, "at least 3")])
def test_what_cannot_be_proven_is_said(home: list[str], stage: str, steps: int, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        verify_resume(load(TINY, home).plan(), stage, steps)
    assert words in str(caught.value)
    with pytest.raises(DataError, match="is not made yet"):
        verify_resume(load(TINY, home).plan("sft"), "sft", 3)


def test_the_verb_tells_and_exits_with_8(home: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from ropewalk.cli.main import app

    words = ["verify-resume", str(TINY), "base", *home, "--steps", "3", "--json"]
    told = CliRunner().invoke(app, words)
    assert told.exit_code == 0 and '"equal": true' in told.output
    monkeypatch.setattr(AdamWUpdate, "state", forgetful)
    with pytest.raises(CheckpointError, match="are not what they are without a stop"):
        CliRunner().invoke(app, words, catch_exceptions=False, standalone_mode=False)
