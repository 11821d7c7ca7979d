"""Verdicts: what a gate's checks found, for programs (JSON), people (Markdown) and CI servers (JUnit XML)."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from ropewalk.core.artifact import Artifact
from ropewalk.evaluate.gates.gate import Finding


class Verdict(Artifact, kind="Verdict"):
    """verdict.json, verdict.md and junit.xml."""

    @cached_property
    def facts(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.path / "verdict.json").read_text(encoding="utf-8"))
        return found

    @property
    def passed(self) -> bool:
        return bool(self.facts["passed"])

    @property
    def failures(self) -> list[str]:
        """The messages of the checks that failed."""
        return [finding["message"] for finding in self.facts["findings"] if not finding["passed"]]


def write_verdict(folder: Path, name: str, findings: Sequence[Finding], model_key: str = "") -> None:
    """`model_key` is the key of the model that was judged: only that one may be exported under this verdict."""
    passed = all(finding.passed for finding in findings)
    rows = [{key: _plain(value) for key, value in asdict(finding).items()} for finding in findings]
    body = {"name": name, "passed": passed, "model": model_key, "findings": rows}
    (folder / "verdict.json").write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    lines = [f"# {name}: {'passed' if passed else 'failed'}", ""]
    lines += [f"- {'pass' if finding.passed else '**FAIL**'}: {finding.message}" for finding in findings]
    (folder / "verdict.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "junit.xml").write_text(_junit(name, findings), encoding="utf-8")


def _junit(name: str, findings: Sequence[Finding]) -> str:
    cases = []
    for finding in findings:
        body = "" if finding.passed else f"<failure message={quoteattr(finding.message)}>{escape(finding.message)}</failure>"
        cases.append(f"  <testcase classname={quoteattr(name)} name={quoteattr(finding.title)}>{body}</testcase>")
    failed = sum(not finding.passed for finding in findings)
    head = f'<testsuite name={quoteattr(name)} tests="{len(findings)}" failures="{failed}">'
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + "\n".join([head, *cases, "</testsuite>"]) + "\n"


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
