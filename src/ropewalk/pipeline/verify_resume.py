"""Proof for the user's own recipe that stopping changes nothing: a training stage run whole, and run with stops in between."""

from __future__ import annotations

import logging
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ropewalk.core.artifact import Artifact, hash_file
from ropewalk.core.errors import ConfigError, DataError, Interrupted
from ropewalk.core.events import Event, StepEnded, StopRequest
from ropewalk.core.log import Progress
from ropewalk.core.reference import Ref
from ropewalk.core.store import open_reference
from ropewalk.pipeline.plan import Plan
from ropewalk.pipeline.stage import Context
from ropewalk.pipeline.stages.train import Train
from ropewalk.train.settings import Budget, Saving


@dataclass(frozen=True)
class Proof:
    """What both ways left behind, file by file; equal hashes are equal bits."""

    steps: int
    stops: tuple[int, ...]
    whole: dict[str, str]
    stopped: dict[str, str]

    @property
    def holds(self) -> bool:
        return self.whole == self.stopped

    def rows(self) -> list[dict[str, Any]]:
        """A row a file."""
        names = sorted({*self.whole, *self.stopped})
        return [{"file": name, "equal": self.whole.get(name) == self.stopped.get(name), "hash": self.whole.get(name)} for name in names]


def verify_resume(plan: Plan, name: str, steps: int = 6) -> Proof:
    """Train `steps` updates whole, then again stopped after the first, the middle and the last but one, and compare all files.

    What the stage reads must stand in the store. Nothing is written into the store or the run. ConfigError for a stage that
    doesn't train, DataError when an input is missing.
    """
    stage = plan.recipe.stages.get(name)
    if not isinstance(stage, Train):
        trains = [other for other, made in plan.recipe.stages.items() if isinstance(made, Train)]
        raise ConfigError(f"{name!r} is no training stage", remedy=f"name one of: {', '.join(trains)}" if trains else "")
    if steps < 3:
        raise ConfigError(f"{steps} updates are too few to stop in between", remedy="give at least 3")
    short = stage.model_copy(update={"budget": Budget(steps=steps), "save": Saving(every=1, keep=steps)})
    stops = tuple(sorted({1, steps // 2, steps - 1}))
    with tempfile.TemporaryDirectory(prefix="ropewalk-verify-") as folder:
        whole = _made(plan, name, short, Path(folder) / "whole", ())
        stopped = _made(plan, name, short, Path(folder) / "stopped", stops)
    return Proof(steps, stops, whole, stopped)


def _made(plan: Plan, name: str, stage: Train, folder: Path, stops: tuple[int, ...]) -> dict[str, str]:
    for stop in (*stops, 0):
        out = folder / "out"
        out.mkdir(parents=True, exist_ok=True)
        context = Context(
            name=name,
            seed=plan.recipe.seed,
            out=out,
            work=folder / "work",
            log=logging.getLogger("ropewalk.verify"),
            open_ref=lambda ref: _open(plan, ref),
            shard_map=lambda function, shards, unit: [],
            start_progress=lambda title, total, unit: Progress(title, total, unit, quiet=True),
            listeners=(_stopper(stop),),
        )
        with suppress(Interrupted):
            stage.make(context)
    last = max((folder / "work" / "checkpoints").iterdir())
    files = [path for path in sorted([*out.iterdir(), *last.glob("*.safetensors")]) if path.is_file()]
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in files}


def _stopper(at: int) -> Any:
    def heard(event: Event) -> StopRequest | None:
        return StopRequest("verify-resume") if isinstance(event, StepEnded) and event.step == at else None

    return heard


def _open(plan: Plan, ref: Ref[Any]) -> Artifact:
    if ref.scheme:
        return open_reference(ref)
    planned = plan[ref.target]
    if planned.status != "cached":
        raise DataError(f"{ref.target} is not made yet", remedy=f"ropewalk run RECIPE {ref.target}")
    return plan.recipe.stages[ref.target].makes.open(planned.place)
