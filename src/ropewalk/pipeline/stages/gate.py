"""The gate stage: every check, one verdict; a failed one stops the stages behind it (exit code 9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from ropewalk.core.artifact import Artifact
from ropewalk.core.errors import GateFailed
from ropewalk.core.reference import Ref
from ropewalk.evaluate.gates.gate import Gate
from ropewalk.evaluate.gates.several import within_problems
from ropewalk.evaluate.scores import Scores
from ropewalk.evaluate.verdict import Verdict, write_verdict
from ropewalk.pipeline.stage import Context, Facts, Stage
from ropewalk.pipeline.stages.evaluate import Evaluate


class Judge(Stage, type="gate"):
    """Holds scores, data, training and cost against what was promised."""

    makes: ClassVar[type[Artifact]] = Verdict

    scores: Ref[Scores] | None = None
    """What is judged; may be left out where every check is on data, training or cost."""
    checks: list[Gate] = Field(min_length=1)
    """All must pass."""

    def problems(self, upstream: Mapping[str, Stage | Artifact]) -> list[tuple[str, str]]:
        if self.scores is None:
            wanting = [place for place, check in enumerate(self.checks) if check.needs_scores()]
            return [(f"checks.{place}", f"{self.checks[place].tag} needs scores: name the evaluate stage") for place in wanting]
        scores = upstream.get("scores")
        known: dict[str, tuple[str, ...]] | None = None
        if isinstance(scores, Evaluate) and all(suite.metric_names() for suite in scores.suites):
            known = {f"{suite.title}/{name}": suite.baseline_names() for suite in scores.suites for name in suite.metric_names()}
        elif isinstance(scores, Scores):
            known = {name: tuple(metric.baselines) for name, metric in scores.metrics.items()}
        return within_problems(self.checks, known)

    def make(self, context: Context) -> Facts:
        scores = None if self.scores is None else context.open(self.scores)
        findings = [check.check(scores, context.open) for check in self.checks]
        write_verdict(context.out, context.name, findings, scores.manifest.inputs.get("model", "") if scores else "")
        for finding in findings:
            if finding.passed:
                context.log.info("%s: pass: %s", context.name, finding.message)
        passed = sum(finding.passed for finding in findings)
        return Facts(metrics={"passed": passed, "failed": len(findings) - passed})

    def confirm(self, artifact: Artifact) -> None:
        assert isinstance(artifact, Verdict)
        if not artifact.passed:
            raise GateFailed("\n".join(f"gate failed: {message}" for message in artifact.failures))
