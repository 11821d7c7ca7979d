"""What a run's folder says, gathered once: status, stages with their artifacts, events, graph, recipe.

An artifact counts only under the key that this run asked for: after a failed run `stages/S` may lead to an older one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ropewalk.core.artifact import Manifest
from ropewalk.core.component import references
from ropewalk.core.errors import DataError, RopewalkError
from ropewalk.pipeline.stage import Stage
from ropewalk.report.steplog import Events, read_events

MADE = ("done", "cached", "gate failed")


@dataclass(frozen=True)
class StageFacts:
    """One stage of the run; `path` and `manifest` are there when its artifact stands under this run's key."""

    name: str
    type: str
    makes: str
    status: str
    key: str
    cost: Mapping[str, float] = field(default_factory=dict)
    expected: Mapping[str, float] = field(default_factory=dict)
    """What was foreseen when the stage began; empty for a stage from the store and for all that can't be foreseen."""
    path: Path | None = None
    manifest: Manifest | None = None
    damage: str = ""
    """Why an artifact that should be there can't be read."""

    @property
    def counts(self) -> Mapping[str, int]:
        return self.manifest.counts if self.manifest else {}

    @property
    def metrics(self) -> Mapping[str, Any]:
        return self.manifest.metrics if self.manifest else {}

    @property
    def config(self) -> Mapping[str, Any]:
        return self.manifest.config if self.manifest else {}


@dataclass(frozen=True)
class RunFacts:
    """A run as its folder tells it."""

    name: str
    status: str
    started: float
    ended: float | None
    environment: Mapping[str, Any]
    stages: Mapping[str, StageFacts]
    edges: Mapping[str, tuple[str, ...]]
    """From a stage to those that it reads."""
    events: Events
    recipe: str
    where: str
    """The folder's last two names, for commands to copy; the rest of the path stays at home."""

    def making(self, kind: str) -> list[StageFacts]:
        """The stages whose artifact of this type stands."""
        return [stage for stage in self.stages.values() if stage.makes == kind and stage.path]

    @property
    def gate_failed(self) -> bool:
        return any(stage.status == "gate failed" for stage in self.stages.values())

    @property
    def done(self) -> bool:
        return self.status == "done"


def gather(run: Path) -> RunFacts:
    """Raises DataError when the folder holds no run; all that is missing besides is left out."""
    place = run / "run.json"
    try:
        status = json.loads(place.read_bytes())
        listed = {str(name): dict(facts) for name, facts in status["stages"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{place}: can't be read: {error}", remedy="name the folder of a run, such as runs/NAME") from None
    stages = {name: _stage(run, name, facts) for name, facts in listed.items()}
    recipe_file = run / "recipe.yaml"
    recipe = recipe_file.read_text(encoding="utf-8", errors="replace") if recipe_file.is_file() else ""
    ended = status.get("ended")
    absolute = run.absolute()
    return RunFacts(
        name=str(status.get("name", run.name)),
        status=str(status.get("status", "")),
        started=float(status.get("started", 0.0)),
        ended=None if ended is None else float(ended),
        environment=status.get("environment") or {},
        stages=stages,
        edges=_edges(stages, recipe),
        events=read_events(run / "events.jsonl"),
        recipe=recipe,
        where=f"{absolute.parent.name}/{absolute.name}",
    )


def _stage(run: Path, name: str, facts: Mapping[str, Any]) -> StageFacts:
    known = StageFacts(
        name=name,
        type=str(facts.get("type", "")),
        makes=str(facts.get("makes", "")),
        status=str(facts.get("status", "waiting")),
        key=str(facts.get("key", "")),
        cost=facts.get("cost") or {},
        expected=facts.get("expected") or {},
    )
    place = run / "stages" / name
    try:
        if place.is_file() and not place.is_symlink():  # a one-line file where links aren't allowed
            place = place.parent / place.read_text(encoding="utf-8").strip()
        if not place.is_dir():
            return known
        manifest = Manifest.read(place)
    except (DataError, OSError, ValueError) as error:
        return StageFacts(**{**vars(known), "damage": str(error) if known.status in MADE else ""})
    if manifest.key != known.key:
        return known
    cost = known.cost or manifest.notes.get("cost") or {}
    return StageFacts(**{**vars(known), "cost": cost, "path": place, "manifest": manifest})


def _edges(stages: Mapping[str, StageFacts], recipe: str) -> dict[str, tuple[str, ...]]:
    """From the manifests' input keys; from the recipe for stages that have no artifact."""
    by_key = {stage.key: name for name, stage in stages.items() if stage.key}
    edges = {
        name: tuple(dict.fromkeys(by_key[key] for key in stage.manifest.inputs.values() if key in by_key))
        for name, stage in stages.items()
        if stage.manifest
    }
    if len(edges) < len(stages):
        written = _recipe_edges(recipe)
        edges |= {name: tuple(n for n in written.get(name, ()) if n in stages) for name in stages if name not in edges}
    return {name: edges[name] for name in stages}


def _recipe_edges(recipe: str) -> dict[str, tuple[str, ...]]:
    """Stages whose component can't be found (a plugin that isn't loaded) are left without arrows."""
    try:
        nodes = (yaml.safe_load(recipe) or {}).get("stages") or {}
    except (yaml.YAMLError, AttributeError):
        return {}
    edges = {}
    for name, node in nodes.items():
        try:
            stage = Stage.model_validate(node)
        except (ValidationError, RopewalkError):
            continue
        edges[str(name)] = tuple(dict.fromkeys(ref.target for ref in references(stage).values() if not ref.scheme))
    return edges
