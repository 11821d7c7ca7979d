"""Tasks of lm-evaluation-harness (extra `eval`), asked by it and answered by our scorer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from ropewalk.core.artifact import digest
from ropewalk.core.errors import DataError
from ropewalk.core.extras import extra_version
from ropewalk.core.reference import Ref
from ropewalk.evaluate.scores import Measure, SuiteResult
from ropewalk.evaluate.scoring import Subject
from ropewalk.evaluate.suites.suite import Suite


class LmEval(Suite, type="lm_eval"):
    """A task of lm-evaluation-harness: its rows, prompts and metrics; numbers that aren't one an item are left out.

    Its own tasks are downloaded by it; a folder of tasks over local rows needs no network.
    """

    task: Annotated[str, Field(min_length=1)]
    """The task's name there."""
    include: Path | None = None
    """A folder with task files of your own."""
    limit: int | None = Field(default=None, ge=1)
    """Only the first so many items."""
    shots: int | None = Field(default=None, ge=0)
    """Examples before each item; as the task says when left out."""
    bos: bool = False
    """Whether BOS stands first; the harness leaves it out for GPT-2."""

    def fingerprint(self) -> Any:
        """The harness's version and what is in the task files."""
        files = sorted(self.include.rglob("*.yaml")) if self.include else []
        version = extra_version("lm_eval", "eval", "suite lm_eval")
        return {"lm_eval": version, "files": digest([path.read_text(encoding="utf-8") for path in files])}

    def run(self, subject: Subject, open_ref: Callable[[Ref[Any]], Any], advance: Callable[[int], None]) -> SuiteResult:
        extra_version("lm_eval", "eval", "suite lm_eval")
        from ropewalk.evaluate.lm_eval_bridge import harness_results, per_item

        found = harness_results(subject, [self.task], self.include, self.limit, self.shots, self.bos, advance)
        if self.task not in found["samples"]:
            raise DataError(f"{self.title}: {self.task} is a group of tasks: name one of {', '.join(sorted(found['samples']))}")
        filters = list(dict.fromkeys(sample.get("filter", "none") for sample in found["samples"][self.task]))
        higher = found.get("higher_is_better", {}).get(self.task, {})
        samples = sorted(found["samples"][self.task], key=lambda sample: int(sample["doc_id"]))
        measures: list[Measure] = []
        items: list[str] = []
        for place, name in enumerate(filters):
            own = [sample for sample in samples if sample.get("filter", "none") == name]
            items = items or [f"{sample['doc_id']} {str(sample['doc_hash'])[:12]}" for sample in own]
            for metric, values in per_item(own, self.task).items():
                numbers, shares = np.array(values), set(values) <= {0.0, 1.0}
                title = metric if place == 0 else f"{metric}_{name.replace('-', '_')}"
                better = bool(higher.get(metric, True))
                scale = "proportion" if shares else "ratio"
                measures.append(Measure(title, "share" if shares else "value", numbers, np.ones(len(numbers)), better, scale))  # type: ignore[arg-type]
        details = [{"asked": str(sample["arguments"])[:400], "right": str(sample.get("target"))} for sample in samples[: len(items)]]
        return SuiteResult(items, items, measures, {"failed": 0}, details, {"harness": found["config"].get("model", "")})
