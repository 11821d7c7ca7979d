"""Held-out preferences: the loss of a task on answers, how often the chosen one is ahead, and by how much."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ropewalk.core.component import references
from ropewalk.core.errors import DataError
from ropewalk.core.reference import Ref
from ropewalk.data.loader import Loader
from ropewalk.data.tokens import Split, Tokens
from ropewalk.evaluate.scores import Measure, SuiteResult
from ropewalk.evaluate.scoring import Subject
from ropewalk.evaluate.suites.suite import Suite
from ropewalk.tasks.task import Task

GROUPS_AT_ONCE = 16


class Preference(Suite, type="preference"):
    """Loss (nats a pair), accuracy and margin on rendered pairs; DPO's loss is ln 2 where nothing was learned.

    Pairs with one prompt are one cluster. A model that comes from an adapter needs a reference too: by now it is a plain model.
    """

    measures: ClassVar[tuple[str, ...]] = ("loss", "accuracy", "margin")

    data: Ref[Tokens]
    """Tokens from render_pairs, with a held-out part."""
    task: Task
    """What the answers are judged by, such as {type: dpo, reference: refs}."""
    split: Split = "holdout"
    """Which part is measured."""

    def run(self, subject: Subject, open_ref: Callable[[Ref[Any]], Any], advance: Callable[[int], None]) -> SuiteResult:
        import torch

        from ropewalk.tasks.torch_batch import to_torch

        tokens: Tokens = open_ref(self.data)
        subject.check(tokens)
        number = tokens.num_sequences(self.split)
        if tokens.facts.packing != self.task.reads:
            raise DataError(f"{self.tag}: {tokens.path} does not hold what the task {self.task.tag} reads ({self.task.reads})")
        if not number:
            raise DataError(f"{self.tag}: {tokens.path} has no pair in {self.split!r}", remedy="set holdout in the render_pairs stage")
        columns = {name: open_ref(ref).column(tokens, self.split) for name, ref in references(self.task).items()}
        loader, plan = Loader(tokens, self.split, number, 0, columns=columns), tokens.sequences(self.split)
        found: dict[str, list[Any]] = {}
        for start in range(0, number, GROUPS_AT_ONCE):
            rows = np.arange(start, min(start + GROUPS_AT_ONCE, number))
            batch = loader.gather(rows)
            with torch.no_grad():
                judged = self.task.judge(subject.module, to_torch(batch, subject.device))
            for name, numbers in {"loss": judged.losses, **judged.measures}.items():
                found.setdefault(name, []).append(numbers.double().cpu().numpy())
            advance(int((batch.documents != 0).sum()))
        one = np.ones(number)
        values = {name: np.concatenate(parts) for name, parts in found.items()}
        units = {"loss": "nats/pair", "accuracy": "share", "margin": "nats"}
        measures = [
            Measure(name, unit, values[name], one, higher_is_better=name != "loss") for name, unit in units.items() if name in values
        ]
        ids = tokens.documents["id"].to_pylist()
        starts = tokens.documents["offset"].to_numpy()
        firsts = np.searchsorted(starts, plan.segments[plan.starts[:-1], 0], "right") - 1
        items = [f"{ids[row]}#{place}" for place, row in enumerate(firsts)]
        return SuiteResult(items, [_prompt(tokens, plan, place) for place in range(number)], measures)


def _prompt(tokens: Tokens, plan: Any, sequence: int) -> str:
    """A name for the tokens before the first scored one."""
    assert tokens.mask is not None, "answers always say which tokens are scored"
    segments = plan.segments[plan.starts[sequence] : plan.starts[sequence + 1]]
    offset, size = segments[segments[:, 1] > 0][0]
    asked = int(np.argmax(tokens.mask[offset : offset + size + 1]))
    return hashlib.sha256(np.asarray(tokens.tokens[offset : offset + asked]).tobytes()).hexdigest()[:16]
