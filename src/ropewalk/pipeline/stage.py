"""The stage family: a stage reads artifacts and makes one. `make` does the work; the runner does all the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from logging import Logger
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from ropewalk.core.artifact import Artifact
from ropewalk.core.component import Component, relocated
from ropewalk.core.events import Event, Listener, StopRequest
from ropewalk.core.log import Progress
from ropewalk.core.reference import Ref
from ropewalk.core.shards import Receipt, Shard, ShardFunction

A = TypeVar("A", bound=Artifact)
C = TypeVar("C", bound=Component)


@dataclass(frozen=True)
class Facts:
    """What a stage says of its result: sums for the ledger's identity, metrics for report and gates."""

    counts: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Context:
    """What the runner hands to a stage that makes its artifact."""

    name: str
    """The stage's name in the recipe."""
    seed: int
    out: Path
    """Empty folder for the finished artifact's files; committed by the runner."""
    work: Path
    """Unfinished work of this stage (checkpoints, shards); survives a kill, removed after the commit."""
    log: Logger
    open_ref: Callable[[Ref[Any]], Artifact]
    shard_map: Callable[[ShardFunction, list[Shard], str], list[Receipt]]
    start_progress: Callable[[str, float, str], Progress]
    upstream: tuple[Artifact, ...] = ()
    """All artifacts that led here, directly or not, in the order of the recipe."""
    notes: Path | None = None
    """A folder of the store for what this machine should remember, such as a micro-batch that fits; None to remember nothing."""
    listeners: tuple[Listener, ...] = ()
    """Hear the training events; the first ones write the run's event log."""

    def open(self, ref: Ref[A]) -> A:
        """The finished artifact behind a reference."""
        return self.open_ref(ref)  # type: ignore[return-value]

    def placed(self, component: C) -> C:
        """The component with each reference as the folder of a finished artifact: what a shard's process can open."""
        found: C = relocated(component, lambda ref: Ref(f"path:{self.open_ref(ref).path}", ref.kinds))
        return found

    def find(self, kind: type[A]) -> list[A]:
        """The artifacts of a kind among all that led here."""
        return [artifact for artifact in self.upstream if isinstance(artifact, kind)]

    def map(self, function: ShardFunction, shards: list[Shard], unit: str = "documents") -> list[Receipt]:
        """Run a pure, picklable function over shards and place their files in `out`; finished shards are not redone."""
        return self.shard_map(function, shards, unit)

    def progress(self, title: str, total: float, unit: str) -> Progress:
        """A bar with rate and time left, as a context manager: `with context.progress(...) as bar: bar.advance(n)`."""
        return self.start_progress(title, total, unit)

    def tell(self, event: Event) -> StopRequest | None:
        """Tell every listener; the first stop request wins."""
        answers = [listener(event) for listener in self.listeners]
        return next((answer for answer in answers if answer is not None), None)


class Stage(Component, family="stage", folders=("ropewalk.pipeline.stages",)):
    """One step of a recipe."""

    makes: ClassVar[type[Artifact]]
    seeded: ClassVar[bool] = False
    """Whether the recipe's seed shapes the result; others get seed 0 and don't re-run when it changes."""

    def make(self, context: Context) -> Facts:
        """Read inputs, write the artifact's files into `context.out`, say what was counted."""
        raise TypeError(f"stage {self.tag!r} has no make()")

    def run(
        self, *, name: str = "stage", store: Path | None = None, runs: Path | None = None, seed: int = 0, quiet: bool = False, **inputs: Any
    ) -> Artifact:
        """Make this stage alone, without a recipe: `Train(data="packed", …).run(data=artifact, store=…)`.

        `inputs` are artifacts (or their folders) by the name of the field that refers to them.
        """
        from ropewalk.pipeline.recipe import Recipe

        given = {field: f"path:{getattr(value, 'path', value)}" for field, value in inputs.items()}
        fields = {field: value for field, value in self if field not in given}
        stage = type(self)(**fields, **given)
        return Recipe(name=name, seed=seed, store=store, runs=runs, stages={name: stage}).run(quiet=quiet)[name]

    def settled(self, stages: Mapping[str, Stage]) -> Stage:
        """This stage with what it takes from the configs of others, in either direction of the graph; most take nothing."""
        return self

    def problems(self, upstream: Mapping[str, Stage | Artifact]) -> list[tuple[str, str]]:
        """What is wrong before any work: (field path, message); `upstream` holds what each reference path names."""
        return []

    def confirm(self, artifact: Artifact) -> None:
        """Called when the artifact stands, also when it was cached; a gate raises GateFailed here."""
