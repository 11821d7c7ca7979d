"""The mixture stage: several Tokens stores become one, with weights and courses; nothing is encoded or copied again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from ropewalk.core.artifact import Artifact
from ropewalk.core.errors import DataError
from ropewalk.data.corpus import Corpus
from ropewalk.data.curriculum import Course, Difficulty, Length, Part
from ropewalk.data.mixture import Mixture as Mixed
from ropewalk.data.mixture import Rule, sequence_means, write_mixture
from ropewalk.data.tokens import Sequences, Tokens
from ropewalk.pipeline.stage import Context, Facts, Stage

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAME = re.compile(r"[A-Za-z0-9_-]+")


class Mixture(Stage, type="mixture"):
    """Reads several stores as one, in shares that may move over training; train takes it where it takes tokens."""

    makes: ClassVar[type[Artifact]] = Mixed

    parts: Annotated[dict[str, Part], Field(min_length=1)]
    """The stores by names of your choice."""
    temperature: Annotated[float, Field(gt=0)] | None = None
    """For parts without weight or tokens: shares grow with the size to the power of 1/temperature; 1 is by size, large is evenly."""
    row_length: Length | None = None
    """Short sequences first."""
    order: Difficulty | None = None
    """Easy sequences first."""

    @model_validator(mode="after")
    def _all_or_none(self) -> Self:
        odd = [name for name in self.parts if not NAME.fullmatch(name)]
        if odd:
            raise ValueError(f"a part's name is letters, digits, - and _, not {odd[0]!r}")
        told = [name for name, part in self.parts.items() if part.weight is not None or part.tokens is not None]
        if told and len(told) < len(self.parts):
            missing = next(name for name in self.parts if name not in told)
            raise ValueError(f"{missing} has neither weight nor tokens, and {told[0]} has: give all of them one, or none")
        if told and self.temperature is not None:
            raise ValueError(f"temperature is for parts without weight or tokens, and {told[0]} has one")
        for progress in (0.0, 1.0):
            if all(_weight(part, progress) == 0 for part in self.parts.values()):
                raise ValueError("all weights are 0")
        return self

    def make(self, context: Context) -> Facts:
        stores = {name: context.open(part.data) for name, part in self.parts.items()}
        rules: list[Rule] = []
        metrics: dict[str, Any] = {}
        for name, part in self.parts.items():
            plan = stores[name].sequences("train")
            if not len(plan):
                raise DataError(f"{context.name}: {name} has nothing to train on", remedy=f"look at {part.data.target}")
            rules.append(self._rule(name, part, plan))
            metrics |= {f"{name}/sequences": len(plan), f"{name}/positions": plan.positions}
        easiest = {name: self._easiest(context, store) for name, store in stores.items()} if self.order else {}
        write_mixture(context.out, stores, rules, self.row_length, self.order.spread if self.order else 1.0, easiest)
        total = sum(rule.at(0.0) for rule in rules)
        metrics |= {f"{rule.name}/share": rule.at(0.0) / total for rule in rules if total}
        return Facts(metrics=metrics)

    def _rule(self, name: str, part: Part, plan: Sequences) -> Rule:
        limits = [round(part.max_epochs * len(plan))] if part.max_epochs is not None else []
        limits += [round(part.tokens * len(plan) / plan.positions)] if part.tokens is not None else []
        most = max(1, min(limits)) if limits else None
        if part.weight is None:
            return Rule(name, float(part.tokens or plan.positions ** (1 / (self.temperature or 1.0))), most)
        return Rule(name, part.weight.model_dump() if isinstance(part.weight, Course) else part.weight, most)

    def _easiest(self, context: Context, store: Tokens) -> NDArray[np.int64]:
        """The store's training sequences from easy to hard; equal ones stay in their order."""
        assert self.order is not None
        if self.order.by == "length":
            values = store.documents["length"].to_numpy().astype(np.float64)
        else:
            assert self.order.scores is not None
            values = _scores(context.open(self.order.scores), self.order.score, store, context.name)
        means = sequence_means(store, values)
        return np.argsort(-means if self.order.hardest_first else means, kind="stable")


def _weight(part: Part, progress: float) -> float:
    """1 where the recipe leaves it out: then it is above 0."""
    return part.weight.at(progress) if isinstance(part.weight, Course) else 1.0 if part.weight is None else part.weight


def _scores(corpus: Corpus, name: str, store: Tokens, stage: str) -> NDArray[np.float64]:
    """The score of each of the store's documents; raises DataError where there is none."""
    import pyarrow.parquet as pq

    known: Mapping[str, float] = {}
    names: set[str] = set()
    for path in sorted((corpus.path / "scores").glob("*.parquet")):
        table = pq.read_table(path)
        names.update(column for column in table.column_names if column != "id")
        if name in table.column_names:
            known = {**known, **dict(zip(table["id"].to_pylist(), table[name].to_pylist(), strict=True))}
    if not known:
        raise DataError(f"{stage}: {corpus.path.name} has no score {name!r}", remedy=f"it has {', '.join(sorted(names)) or 'none'}")
    found = [known.get(id_) for id_ in store.documents["id"].to_pylist()]
    lacking = sum(value is None for value in found)
    if lacking:
        remedy = "give the corpus that the documents come from"
        raise DataError(f"{stage}: {lacking} of {len(found)} documents have no score {name!r}", remedy=remedy)
    return np.array(found, np.float64)
