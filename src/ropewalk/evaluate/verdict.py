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
    rows = [_plain(asdict(finding)) for finding in findings]
    body = {"name": name, "passed": passed, "model": model_key, "findings": rows}
    (folder / "verdict.json").write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    lines = [f"# {name}: {'passed' if passed else 'failed'}", ""]
    lines += [line for finding in findings for line in _lines(finding, "")]
    (folder / "verdict.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "junit.xml").write_text(_junit(name, findings), encoding="utf-8")


def _lines(finding: Finding, indent: str) -> list[str]:
    own = f"{indent}- {'pass' if finding.passed else '**FAIL**'}: {finding.message}"
    return [own, *(line for part in finding.parts for line in _lines(part, indent + "  "))]


def _junit(name: str, findings: Sequence[Finding]) -> str:
    """A test case a check, and one for each part of a check; a part that failed within a check that passed is told as skipped."""
    cases: list[str] = []
    failed = skipped = 0

    def add(finding: Finding, prefix: str, forgiven: bool) -> None:
        nonlocal failed, skipped
        body = ""
        if not finding.passed:
            tag = "skipped" if forgiven else "failure"
            failed, skipped = failed + (not forgiven), skipped + forgiven
            text = escape(_clean(finding.message))
            body = f"<{tag} message={quoteattr(_clean(finding.message))}>{text if tag == 'failure' else ''}</{tag}>"
        cases.append(f"  <testcase classname={quoteattr(_clean(name))} name={quoteattr(_clean(prefix + finding.title))}>{body}</testcase>")
        for part in finding.parts:
            add(part, f"{prefix}{finding.title}: ", forgiven or finding.passed)

    for finding in findings:
        add(finding, "", False)
    head = f'<testsuite name={quoteattr(_clean(name))} tests="{len(cases)}" failures="{failed}" errors="0" skipped="{skipped}">'
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + "\n".join([head, *cases, "</testsuite>"]) + "\n"


def joined_junit(files: Sequence[str]) -> str:
    """Several verdicts' JUnit XML as one file."""
    suites = "\n".join(text.partition("?>")[2].strip() for text in files)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n{suites}\n</testsuites>\n'


def _clean(text: str) -> str:
    """Without the control characters that XML can't hold."""
    return "".join(letter if letter >= " " or letter in "\t\n" else "?" for letter in text)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
