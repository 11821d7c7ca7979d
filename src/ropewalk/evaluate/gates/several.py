"""Gates made of gates: all must pass, or any one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated

from pydantic import Field

from ropewalk.evaluate.gates.gate import Finding, Gate, Open
from ropewalk.evaluate.gates.manifest_facts import together
from ropewalk.evaluate.scores import Scores

Checks = Annotated[list[Gate], Field(min_length=1)]


class AllOf(Gate, type="all_of"):
    """Every check passes: a group, for use within any_of."""

    checks: Checks
    """The checks."""

    def needs_scores(self) -> bool:
        return any(check.needs_scores() for check in self.checks)

    def problems(self, known: Mapping[str, Collection[str]] | None) -> list[tuple[str, str]]:
        return within_problems(self.checks, known)

    def check(self, scores: Scores | None, open_ref: Open) -> Finding:
        parts = tuple(check.check(scores, open_ref) for check in self.checks)
        return together(parts, f"all of {len(parts)} checks", all(part.passed for part in parts))


class AnyOf(Gate, type="any_of"):
    """One of the checks at least passes."""

    checks: Checks
    """The checks."""

    def needs_scores(self) -> bool:
        return any(check.needs_scores() for check in self.checks)

    def problems(self, known: Mapping[str, Collection[str]] | None) -> list[tuple[str, str]]:
        return within_problems(self.checks, known)

    def check(self, scores: Scores | None, open_ref: Open) -> Finding:
        parts = tuple(check.check(scores, open_ref) for check in self.checks)
        passed = any(part.passed for part in parts)
        return together(parts, f"any of {len(parts)} checks", passed, "" if passed else f"none of {len(parts)} checks passes: ")


def within_problems(checks: list[Gate], known: Mapping[str, Collection[str]] | None) -> list[tuple[str, str]]:
    """The problems of several checks with their places."""
    return [(f"checks.{place}.{path}", what) for place, check in enumerate(checks) for path, what in check.problems(known)]
