"""Evaluating and judging apart from a recipe's run: any suite on any model, and a recipe's gates against another run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from ropewalk.core.artifact import MANIFEST, Manifest
from ropewalk.core.component import relocated
from ropewalk.core.errors import ConfigError, DataError
from ropewalk.core.reference import Ref
from ropewalk.core.store import default_root
from ropewalk.evaluate.gates.no_worse_than import NoWorseThan
from ropewalk.evaluate.scores import Scores
from ropewalk.evaluate.shipped import task_names
from ropewalk.models.model import Model
from ropewalk.pipeline.recipe import Recipe, loads
from ropewalk.pipeline.rundir import RunFolder
from ropewalk.pipeline.stages.gate import Judge


def evaluation_of(model: str, suites: Sequence[str], rows: Path | None, limit: int | None, shots: int | None, store: Path | None) -> Recipe:
    """A recipe of one stage `scores`. A suite is a task's name, a YAML file or a mapping in YAML.

    `model` is a folder, or the beginning of a model's key in the store. Relative paths are below the working folder.
    """
    place = find_model(model, store)
    said = {name: value for name, value in (("limit", limit), ("shots", shots)) if value is not None}
    asked = [_suite(suite, rows, said) for suite in suites]
    stage = {"type": "evaluate", "model": f"path:{place.resolve()}", "suites": asked}
    name = "evaluate-" + "".join(letter if letter.isalnum() else "-" for letter in place.name)[:60]
    tree: dict[str, Any] = {"name": name, "stages": {"scores": stage}}
    if store is not None:
        tree["store"] = str(store)
    return loads(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), "--suite")


def _suite(text: str, rows: Path | None, said: dict[str, Any]) -> dict[str, Any]:
    folder = {} if rows is None else {"folder": str(rows.resolve())}
    if text in task_names() or text.endswith((".yaml", ".yml")):
        return {"task": text, **folder, **said}
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        found = None
    if isinstance(found, str):
        return {"task": found, **folder, **said}  # no task of that name: the recipe says what is near
    if not isinstance(found, dict):
        raise ConfigError(f"--suite {text!r}: not a task, a YAML file or a mapping", remedy=f"shipped tasks: {', '.join(task_names())}")
    return found


def find_model(model: str, store: Path | None) -> Path:
    """The folder itself, or the one whose key begins so."""
    if Path(model).is_dir():
        return Path(model)
    root = (store or default_root()) / Model.kind
    found = sorted(path for path in root.glob(f"{model}*") if (path / MANIFEST).is_file()) if model.isalnum() else []
    if len(found) == 1:
        return found[0]
    what = f"{len(found)} models in {root} begin so" if found else f"no such folder, and no model of that key in {root}"
    raise DataError(f"{model}: {what}", remedy="name a folder such as runs/NAME/stages/sft")


def gates_of(recipe: Recipe, stages: Sequence[str], baseline: Path | None) -> Recipe:
    """The recipe's gates alone, on what its run has made; with a baseline, no task may be worse than there."""
    folder = RunFolder.of(recipe)
    names = [name for name, stage in recipe.stages.items() if isinstance(stage, Judge) and (not stages or name in stages)]
    if missing := sorted(set(stages) - set(names)):
        raise ConfigError(f"{missing[0]!r} is no gate of this recipe", remedy="leave it out to run every gate")
    if not names:
        raise ConfigError("the recipe has no gate", remedy="add a stage of type gate")

    def made(ref: Ref[Any]) -> Ref[Any]:
        if ref.scheme:
            return ref
        place = folder.artifact(ref.target)
        if place is None:
            raise DataError(f"{folder.path}: stage {ref.target!r} is not made", remedy="run the recipe first: ropewalk run RECIPE")
        return Ref(f"path:{place}", ref.kinds)

    judges = {}
    for name in names:
        judge = recipe.stages[name]
        assert isinstance(judge, Judge)
        placed = relocated(judge, made)
        if baseline is not None and judge.scores is not None:
            than = baseline_scores(baseline, judge.scores.target)
            placed = placed.model_copy(update={"checks": [*placed.checks, NoWorseThan(than=f"path:{than}")]})
        judges[name] = placed
    return recipe.model_copy(update={"name": f"{recipe.name}-gates"[:100], "stages": judges})


def baseline_scores(place: Path, stage: str) -> Path:
    """Scores at a place: the folder of scores itself, or a run's stage of that name, or its only scores."""
    if (place / MANIFEST).is_file():
        return place.resolve()
    stages = RunFolder(place, default_root())
    names = sorted(path.name for path in (place / "stages").glob("[!.]*")) if (place / "stages").is_dir() else []
    found = {name: path for name in names if (path := stages.artifact(name)) and Manifest.read(path).type == Scores.kind}
    if stage in found:
        return found[stage]
    if len(found) == 1:
        return next(iter(found.values()))
    what = f"has scores of {', '.join(found)}, none of {stage!r}" if found else "holds no scores"
    raise DataError(f"{place}: {what}", remedy="name a run's folder, or that of one stage's scores")
