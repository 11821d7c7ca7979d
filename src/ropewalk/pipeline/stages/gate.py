"""The gate stage: every check on the scores, one verdict; a failed one stops the stages behind it (exit code 9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from ropewalk.core.artifact import Artifact
from ropewalk.core.errors import GateFailed
from ropewalk.core.load import nearest
from ropewalk.core.reference import Ref
from ropewalk.evaluate.gates.gate import Gate
from ropewalk.evaluate.scores import Scores
from ropewalk.evaluate.verdict import Verdict, write_verdict
from ropewalk.pipeline.stage import Context, Facts, Stage
from ropewalk.pipeline.stages.evaluate import Evaluate


class Judge(Stage, type="gate"):
    """Holds scores against what was promised."""

    makes: ClassVar[type[Artifact]] = Verdict

    scores: Ref[Scores]
    """What is judged."""
    checks: list[Gate] = Field(min_length=1)
    """All must pass."""

    def problems(self, upstream: Mapping[str, Stage | Artifact]) -> list[tuple[str, str]]:
        scores = upstream.get("scores")
        if not isinstance(scores, Evaluate):
            return []
        known = sorted(f"{suite.name or suite.tag}/{name}" for suite in scores.suites for name in suite.measures)
        named = {f"checks.{place}.metric": check.metric for place, check in enumerate(self.checks)}
        return [
            (path, f"there is no metric {name!r} in those scores ({nearest(name, known)})")
            for path, name in named.items()
            if name not in known and all(suite.measures for suite in scores.suites)
        ]

    def make(self, context: Context) -> Facts:
        scores = context.open(self.scores)
        findings = [check.check(scores, context.open) for check in self.checks]
        write_verdict(context.out, self.tag, findings, scores.manifest.inputs.get("model", ""))
        for finding in findings:
            context.log.info("%s: %s: %s", context.name, "pass" if finding.passed else "FAIL", finding.message)
        passed = sum(finding.passed for finding in findings)
        return Facts(metrics={"passed": passed, "failed": len(findings) - passed})

    def confirm(self, artifact: Artifact) -> None:
        assert isinstance(artifact, Verdict)
        if not artifact.passed:
            raise GateFailed("\n".join(f"gate failed: {message}" for message in artifact.failures))
