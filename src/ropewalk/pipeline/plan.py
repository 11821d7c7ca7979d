"""The plan: for each stage its key, whether it would run, and what changed since it last did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ropewalk.core.artifact import Artifact, Manifest, digest
from ropewalk.core.component import references
from ropewalk.core.errors import ConfigError, DataError, Problem
from ropewalk.core.identity import Identity, changes, identify
from ropewalk.core.load import nearest
from ropewalk.core.reference import Ref
from ropewalk.core.store import Store, open_reference
from ropewalk.pipeline.recipe import Recipe
from ropewalk.pipeline.rundir import RunFolder


@dataclass(frozen=True)
class PlannedStage:
    """One stage of a plan; `status` is `cached`, `run` or `resume`."""

    name: str
    type: str
    makes: str
    key: str
    status: str
    reasons: tuple[str, ...]
    identity: Identity
    place: Path


@dataclass(frozen=True)
class Plan:
    """Stages in the order in which they run."""

    recipe: Recipe
    stages: tuple[PlannedStage, ...]

    def __getitem__(self, name: str) -> PlannedStage:
        return next(stage for stage in self.stages if stage.name == name)

    def rows(self) -> list[dict[str, Any]]:
        """For tables and JSON."""
        names = ("name", "type", "makes", "key", "status", "reasons")
        return [{name: getattr(stage, name) for name in names} for stage in self.stages]


def make_plan(recipe: Recipe, wanted: Sequence[str] = ()) -> Plan:
    """Raises ConfigError for a recipe that can't run, DataError when a source is missing."""
    problems = recipe.problems()
    unknown = [name for name in wanted if name not in recipe.stages]
    problems += [Problem("", f"there is no stage {name!r}", hint=nearest(name, list(recipe.stages))) for name in unknown]
    if problems:
        raise ConfigError(problems)
    recipe = recipe.settled()
    needed = set().union(*(recipe.behind(name) for name in wanted)) if wanted else set(recipe.stages)
    folder = RunFolder.of(recipe)
    store = Store(folder.store_root)
    planned: dict[str, PlannedStage] = {}
    for name in recipe.order():
        if name in needed:
            planned[name] = _planned(name, recipe, planned, folder, store)
    return Plan(recipe, tuple(planned.values()))


def _planned(name: str, recipe: Recipe, earlier: dict[str, PlannedStage], folder: RunFolder, store: Store) -> PlannedStage:
    stage = recipe.stages[name]

    def key_of(ref: Ref[Any]) -> str:
        return open_reference(ref).key if ref.scheme else earlier[ref.target].key

    identity = identify(stage, key_of, recipe.seed if stage.seeded else None)
    place = store.place(stage.makes.kind, identity.key)
    reasons: list[str] = []
    if _stands(stage.makes, place, reasons):
        status = "cached"
    else:
        status = "resume" if folder.has_work(name) else "run"
        inside = {path: ref.target for path, ref in references(stage).items() if not ref.scheme}
        moved = [f"input {path} ({target}) runs" for path, target in inside.items() if earlier[target].status != "cached"]
        reasons += moved or _why(folder.last_manifest(name), identity)
    return PlannedStage(name, stage.tag, stage.makes.kind, identity.key, status, tuple(reasons), identity, place)


def _stands(kind: type[Artifact], place: Path, reasons: list[str]) -> bool:
    if not place.is_dir():
        return False
    try:
        kind.open(place)
    except DataError as error:
        reasons.append(f"the stored artifact is damaged: {error.message}")
        return False
    return True


def _why(before: Manifest | None, identity: Identity) -> list[str]:
    if before is None:
        return ["never made in this run"]
    was = {"config": before.config, "inputs": before.inputs, "code": before.code, **before.notes.get("identity", {})}
    return changes(was, identity.parts()) or [f"the artifact of key {digest(identity.key)[:8]} is gone from the store"]
