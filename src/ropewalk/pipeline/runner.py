"""The runner: makes the stages of a plan that are not in the store, resumes unfinished ones, links the artifacts.

A gate that fails stops the stages behind it; the others go on, and GateFailed is raised at the end.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ropewalk.core.artifact import Artifact, Manifest, beside, commit, sweep
from ropewalk.core.component import references
from ropewalk.core.errors import DataError, GateFailed, typed
from ropewalk.core.events import Event, Listener
from ropewalk.core.ledger import account, read_ledger
from ropewalk.core.lock import Lock
from ropewalk.core.log import LOGGER, LogFile, Progress
from ropewalk.core.measure import Meter
from ropewalk.core.plugins import LoadPlugins
from ropewalk.core.reference import Ref
from ropewalk.core.shards import Receipt, Shard, ShardFunction, assemble, map_shards
from ropewalk.core.store import Store, open_reference
from ropewalk.core.units import show_bytes, show_seconds
from ropewalk.pipeline.environment import environment
from ropewalk.pipeline.estimate import estimate, in_words, refuse
from ropewalk.pipeline.forecast import WORTH_FLOPS, expected
from ropewalk.pipeline.plan import Plan, PlannedStage, make_plan
from ropewalk.pipeline.recipe import Recipe
from ropewalk.pipeline.rundir import RunFolder
from ropewalk.pipeline.stage import Context, Stage
from ropewalk.pipeline.unfinished import history, sort_out


@dataclass(frozen=True)
class Run:
    """A finished run: `run["sft"]` is the artifact of a stage."""

    recipe: Recipe
    plan: Plan
    folder: RunFolder

    def __getitem__(self, name: str) -> Artifact:
        """Raises KeyError for a stage that was not run."""
        planned = self.plan[name]
        return self.recipe.stages[name].makes.open(planned.place)

    @property
    def path(self) -> Path:
        return self.folder.path

    @property
    def made(self) -> list[str]:
        """The stages that did work; empty when everything was cached."""
        return [stage.name for stage in self.plan.stages if self.folder.status["stages"][stage.name]["status"] == "done"]


@dataclass(frozen=True)
class _Mapper:
    """The recipe's executor, with plugins for its processes."""

    recipe: Recipe

    def map(self, function: Callable[[Any], Any], items: list[Any], size_bytes: int) -> Iterator[tuple[int, Any]]:
        return self.recipe.executor.map(function, items, size_bytes, LoadPlugins(tuple(self.recipe.plugins)))


def run_recipe(
    recipe: Recipe,
    wanted: Sequence[str] = (),
    *,
    restart: bool = False,
    accept_changes: bool = False,
    quiet: bool = False,
    listeners: Sequence[Listener] = (),
) -> Run:
    """Make what the plan says; see core/errors.py for what it raises. Unfinished work is kept on any error."""
    plan = make_plan(recipe, wanted)
    folder = RunFolder.of(recipe)
    with ExitStack() as stack:
        stack.enter_context(Lock(folder.path / "lock", f"run {recipe.name!r} ({folder.path})"))
        stack.enter_context(LogFile(folder.path / "run.log"))
        sweep(folder.path)
        sweep(folder.path / "stages")
        sweep(folder.path / "work")
        runner = _Runner(plan, folder, restart, accept_changes, quiet, tuple(listeners))
        runner.run()
    return Run(recipe, plan, folder)


class _Runner:
    def __init__(
        self, plan: Plan, folder: RunFolder, restart: bool, accept_changes: bool, quiet: bool, listeners: tuple[Listener, ...]
    ) -> None:
        self.plan, self.folder, self.quiet, self.listeners = plan, folder, quiet, listeners
        self.restart, self.accept_changes = restart, accept_changes
        self.recipe = plan.recipe
        self.store = Store(folder.store_root)
        self.failed: list[GateFailed] = []
        self.stopped: set[str] = set()
        self.verified: set[Path] = set()

    def run(self) -> None:
        before = self.folder.read_status().get("stages", {})
        planned = {
            stage.name: {"status": "waiting", "key": stage.key, "type": stage.type, "makes": stage.makes} for stage in self.plan.stages
        }
        self.folder.save(self.recipe)
        self.folder.status = {
            "name": self.recipe.name,
            "started": time.time(),
            "status": "running",
            "environment": environment(),
            "stages": {name: planned.get(name) or before[name] for name in self.recipe.stages if name in planned or name in before},
        }
        self.folder.save_status()
        self.folder.record("run_started", name=self.recipe.name)
        try:
            for stage in self.plan.stages:
                if stage.status != "cached":
                    refuse(self.recipe, stage.name, estimate(self.recipe, stage.name), self.folder.path)
            for stage in self.plan.stages:
                self.one(stage)
            self.finish("gate failed" if self.failed else "done")
        except BaseException as error:
            self.finish(f"{type(error).__name__}: {error}")
            raise
        if self.failed:
            raise GateFailed("\n".join(error.message for error in self.failed), remedy=f"see {self.folder.path / 'report.html'}")

    def finish(self, status: str) -> None:
        self.folder.status["status"] = status
        self.folder.status["ended"] = time.time()
        self.folder.save_status()
        self.folder.record("run_ended", status=status)

    def one(self, planned: PlannedStage) -> None:
        stage = self.recipe.stages[planned.name]
        facts = self.folder.status["stages"][planned.name]
        blocked = sorted({ref.target for ref in references(stage).values() if not ref.scheme} & self.stopped)
        if blocked:
            facts["status"] = "stopped"
            self.stopped.add(planned.name)
            LOGGER.warning("%s: not made, since %s said no", planned.name, " and ".join(blocked))
            return
        try:
            artifact = self.cached(planned, stage) or self.made(planned, stage)
            self.folder.link(planned.name, artifact.path)
            stage.confirm(artifact)
        except GateFailed as error:
            facts["status"] = "gate failed"
            self.failed.append(error)
            self.stopped.add(planned.name)
            LOGGER.debug("%s: %s", planned.name, error.message)  # said once, at the end of the run
        except BaseException as error:
            facts["status"] = "failed"
            if isinstance(error, DataError) and (self.folder.work(planned.name) / "shards").is_dir():
                self.folder.drop_work(planned.name)  # the mend will change the stage or its data: nothing fits then
            self.folder.record("stage_failed", stage=planned.name, error=f"{type(error).__name__}: {error}")
            LOGGER.debug("stage %s failed", planned.name, exc_info=error)
            known = typed(error, planned.name)
            if known:
                raise known from error
            raise
        finally:
            self.folder.save_status()

    def cached(self, planned: PlannedStage, stage: Stage) -> Artifact | None:
        try:
            found = self.store.find(stage.makes, planned.key)
        except DataError as error:
            LOGGER.warning("%s: %s; making it again", planned.name, error.message)
            return None
        if found:
            self.folder.status["stages"][planned.name].update(status="cached", cost=found.manifest.notes.get("cost", {}))
            self.folder.drop_work(planned.name)
            LOGGER.debug("%s: cached (%s)", planned.name, planned.key)
        return found

    def made(self, planned: PlannedStage, stage: Stage) -> Artifact:
        name = planned.name
        sort_out(self.folder, planned, restart=self.restart, accept_changes=self.accept_changes)
        with self.store.making(stage.makes.kind, planned.key):
            if found := self.store.find_or_clear(stage.makes, planned.key):
                self.folder.status["stages"][name]["status"] = "cached"
                return found
            self.folder.status["stages"][name]["status"] = "running"
            self.folder.save_status()
            self.folder.record("stage_started", stage=name, key=planned.key, reasons=list(planned.reasons))
            LOGGER.info("%s (%s): %s", name, planned.type, planned.reasons[0] if planned.reasons else "to make")
            if foreseen := expected(self.plan, name, probe_from_flops=WORTH_FLOPS):
                self.folder.status["stages"][name]["expected"] = foreseen
                refuse(self.recipe, name, foreseen, self.folder.path)
                LOGGER.info("%s: expected: %s", name, ", ".join(in_words(foreseen)))
            manifest = self.work_on(planned, stage)
        self.folder.drop_work(name)
        cost = manifest.notes["cost"]
        self.folder.status["stages"][name].update(status="done", cost=cost)
        self.folder.record("stage_ended", stage=name, key=planned.key, counts=manifest.counts, cost=cost)
        LOGGER.info("%s: done in %s%s", name, show_seconds(cost["seconds"]), _told(manifest))
        return stage.makes.open(planned.place)

    def work_on(self, planned: PlannedStage, stage: Stage) -> Manifest:
        known: dict[str, Mapping[str, Any]] = {}
        work = self.folder.work(planned.name)
        with Meter() as meter, beside(planned.place) as out:

            def shard_map(function: ShardFunction, shards: list[Shard], unit: str) -> list[Receipt]:
                sizes = {shard.name: shard.size_bytes for shard in shards}
                with Progress(planned.name, 0, unit, total_bytes=sum(sizes.values()), quiet=self.quiet) as bar:

                    def done(receipt: Receipt, resumed: bool) -> None:
                        bar.advance(receipt.counts.get("records_in", 1), size_bytes=sizes[receipt.name], resumed=resumed)

                    receipts = map_shards(function, shards, work, _Mapper(self.recipe), done)
                known.update(assemble(receipts, work, out))
                return receipts

            context = Context(
                name=planned.name,
                seed=self.recipe.seed if stage.seeded else 0,
                out=out,
                work=work,
                log=LOGGER,
                open_ref=self.open_ref,
                shard_map=shard_map,
                start_progress=self.progress,
                upstream=self.upstream(planned.name),
                notes=self.folder.store_root / ".notes",
                listeners=(self.timed(planned.name), *self.listeners),
            )
            facts = stage.make(context)
            account(facts.counts, planned.name)
            dropped = facts.counts.get("dropped", 0)
            assert "records_in" not in facts.counts or read_ledger(out).num_rows >= dropped, f"{planned.name}: the ledger misses drops"
            parts = planned.identity.parts()
            manifest = Manifest(
                type=stage.makes.kind,
                key=planned.key,
                stage=planned.name,
                config=parts["config"],
                inputs=parts["inputs"],
                code=parts["code"],
                counts=dict(facts.counts),
                metrics=dict(facts.metrics),
                notes={
                    "identity": {"outside": parts["outside"], "seed": parts["seed"]},
                    "history": history(self.folder, planned.name),
                    "cost": meter.cost().__dict__,
                    "environment": environment(),
                },
            )
            return commit(out, planned.place, manifest, known)

    def progress(self, title: str, total: float, unit: str) -> Progress:
        return Progress(title, total, unit, quiet=self.quiet)

    def timed(self, stage: str) -> Listener:
        """Writes what the clock says of each training event to the run's log; losses are in the stage's own."""

        def heard(event: Event) -> None:
            facts = {name: value for name, value in vars(event).items() if isinstance(value, int | float | str)}
            self.folder.record(type(event).__name__, stage=stage, **{name: _plain(value) for name, value in facts.items()})

        return heard

    def upstream(self, name: str) -> tuple[Artifact, ...]:
        needed = self.recipe.behind(name) - {name}
        return tuple(self.recipe.stages[stage.name].makes.open(stage.place) for stage in self.plan.stages if stage.name in needed)

    def open_ref(self, ref: Ref[Any]) -> Artifact:
        """The artifact, every byte of it checked once a run: what is made from a damaged one would carry a clean key."""
        place = None if ref.scheme else self.plan[ref.target].place
        artifact = open_reference(ref) if place is None else self.recipe.stages[ref.target].makes.open(place)
        if artifact.path not in self.verified:
            if wrong := artifact.manifest.verify(artifact.path):
                remedy = f"delete {artifact.path} and run again: it is made anew"
                raise DataError(f"{ref.target}: damaged: {'; '.join(wrong[:3])}", remedy=remedy)
            self.verified.add(artifact.path)
        return artifact


def _plain(value: float | str) -> float | str:
    """JSON has no NaN and no infinity."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _told(manifest: Manifest) -> str:
    counts = manifest.counts
    if "records_in" not in counts:
        return ""
    parts = [f"{counts[name]:,} {name}" for name in ("kept", "dropped", "quarantined") if counts.get(name)]
    size = sum(int(facts["bytes"]) for facts in manifest.files.values())
    return f": {counts['records_in']:,} in, {', '.join(parts)} ({show_bytes(size)})"
