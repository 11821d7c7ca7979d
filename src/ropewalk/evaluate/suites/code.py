"""Code: a function is written and its tests are run (HumanEval)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from ropewalk.core.errors import ConfigError
from ropewalk.core.reference import Ref
from ropewalk.core.units import Bytes
from ropewalk.evaluate.prompted import Prompted
from ropewalk.evaluate.rows import Row
from ropewalk.evaluate.sandbox import run_program
from ropewalk.evaluate.scores import Measure, SuiteResult
from ropewalk.evaluate.scoring import Subject

_END = re.compile(r"\n(?=\S)")  # the function ends where a line begins at the margin
WARNING = "this runs programs that a model wrote: set run_code: true to allow it"


class Code(Prompted, type="code"):
    """The share of functions that pass their tests, each run in a process of its own with limits. Off unless `run_code` is set.

    The process is kept from memory, time and (where the kernel allows) network; against code that means harm use a container.
    """

    measures: ClassVar[tuple[str, ...]] = ("pass_at_1",)

    run_code: bool = False
    """Whether what the model wrote may be run at all."""
    test: str = "{test}\n\ncheck({entry_point})\n"
    """What is run behind prompt and answer; it must raise where the answer is wrong."""
    seconds: float = Field(default=5.0, gt=0, le=60)
    """CPU time of one program; two more seconds of wall clock."""
    memory: Annotated[Bytes, Field(gt=0)] = 512_000_000
    """Address space of one program."""

    def understood(self, row: Row) -> tuple[str, str]:
        return row.filled(self.prompt), row.filled(self.test)

    def problems(self, upstream: Mapping[str, Any]) -> list[tuple[str, str]]:
        return super().problems(upstream) if self.run_code else [("run_code", WARNING)]

    def run(self, subject: Subject, open_ref: Callable[[Ref[Any]], Any], advance: Callable[[int], None]) -> SuiteResult:
        if not self.run_code:
            raise ConfigError(f"{self.title}: {WARNING}")
        rows, _, texts, counts = self.written(subject, advance)
        right, details, networks, failed = [], [], set(), 0
        for row, text in zip(rows, texts, strict=True):
            prompt, test = self.understood(row)
            body = _END.split(text.text, maxsplit=1)[0] if prompt.endswith("\n") else text.text
            outcome = run_program(f"{prompt}{body}\n\n{test}", self.seconds, self.memory)
            networks.add(outcome.network)
            failed += outcome.ended == "timed_out"
            right.append(float(outcome.ended == "passed"))
            details.append({"asked": prompt[-400:], "answered": body, "ended": outcome.ended, "said": outcome.said[-300:]})
        ids, clusters = self.named(rows)
        measure = Measure("pass_at_1", "share", np.array(right), np.ones(len(right)), higher_is_better=True, scale="proportion")
        facts = {"network": "cut" if networks == {"cut"} else "open"}
        return SuiteResult(ids, clusters, [measure], {**counts, "failed": failed}, details, facts)
