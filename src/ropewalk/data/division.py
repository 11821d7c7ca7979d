"""Which groups are learnt from, validated on and tested on: whole groups, by the hash of their name."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from ropewalk.core.component import Component
from ropewalk.core.errors import DataError

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")


class Division(Component):
    """How groups (posts, authors, prompts) are dealt to train, validation and test; a group is never in two of them."""

    test_every: Annotated[int, Field(ge=2)] = 5
    """One group in so many is tested."""
    test_fold: Annotated[int, Field(ge=0)] = 0
    """Which of them: without `stratify` those whose name's sha1 modulo test_every is this."""
    validation_every: Annotated[int, Field(ge=2)] = 8
    """One in so many of the others is for choosing thresholds, temperatures and the best step."""
    stratify: bool = True
    """Deal the groups in the order of their hashes to the part that is most behind its share of the group's labels; without it
    the hash alone decides, so that a group's part never depends on the others."""

    def parts(self, groups: Sequence[str], labels: Sequence[str]) -> list[Part]:
        """The part of each row, given its group and label; DataError where a part would be empty."""
        if self.test_fold >= self.test_every:
            raise DataError(f"test_fold {self.test_fold} is not below test_every {self.test_every}")
        rows: dict[str, Counter[str]] = {}
        for group, label in zip(groups, labels, strict=True):
            rows.setdefault(group, Counter())[label] += 1
        if len(rows) < len(PARTS):
            raise DataError(
                f"{len(rows)} group(s) can't be divided into {', '.join(PARTS)}: a group is never in two of them",
                remedy="bring more groups, or group by something finer",
            )
        dealt = self._stratified(rows) if self.stratify else {name: self._by_hash(name) for name in rows}
        missing = [part for part in PARTS if part not in dealt.values()]
        if missing:
            raise DataError(
                f"none of {len(rows)} groups fell into {' or '.join(missing)}",
                remedy="set stratify: true, which fills every part, or lower test_every or validation_every",
            )
        return [dealt[group] for group in groups]

    def _by_hash(self, name: str) -> Part:
        number = _hash(name)
        if number % self.test_every == self.test_fold:
            return "test"
        return "validation" if number // self.test_every % self.validation_every == 0 else "train"

    def _stratified(self, rows: dict[str, Counter[str]]) -> dict[str, Part]:
        test = 1 / self.test_every
        validation = (1 - test) / self.validation_every
        shares: dict[Part, float] = {"train": 1 - test - validation, "validation": validation, "test": test}
        totals: Counter[str] = sum(rows.values(), Counter())
        have: dict[Part, Counter[str]] = {part: Counter() for part in PARTS}
        order = sorted(rows, key=lambda name: (_hash(name) + self.test_fold * (1 << 160) // self.test_every) % (1 << 160))
        dealt: dict[str, Part] = {}
        for place, name in enumerate(order):
            empty = [part for part in PARTS if not have[part]]
            among = empty if len(order) - place <= len(empty) else PARTS
            dealt[name] = max(among, key=lambda part: _behind(rows[name], have[part], totals, shares[part]))
            have[dealt[name]].update(rows[name])
        return dealt


def lonely(labels: Sequence[str]) -> list[str]:
    """Labels of one row only: they are in one part, whatever the division."""
    return sorted(label for label, number in Counter(labels).items() if number == 1)


def _behind(group: Counter[str], have: Counter[str], totals: Counter[str], share: float) -> float:
    """How much of its share of the group's labels a part still lacks, the group's rows as weights."""
    return sum(number * (1 - have[label] / (share * totals[label])) for label, number in group.items())


def _hash(name: str) -> int:
    return int(hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest(), 16)
