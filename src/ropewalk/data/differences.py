"""Where two texts differ, in few words: the places around each change."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from ropewalk.data.examples import SHOWN, Shown

MOST_CHANGES = 6
MOST_LINES = 4000
AROUND = 40


def changed(before: str, after: str) -> Iterator[tuple[str, str]]:
    """(before, after) around the first few places where two texts differ."""
    if before == after:
        return
    old, new = before.split("\n"), after.split("\n")
    same = 0
    while same < min(len(old), len(new)) and old[same] == new[same]:
        same += 1
    tail = 0
    while tail < min(len(old), len(new)) - same and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    old, new = old[same : len(old) - tail], new[same : len(new) - tail]
    if len(old) + len(new) > MOST_LINES:
        yield _cropped("\n".join(old), "\n".join(new))
        return
    shown = 0
    for tag, i, j, k, m in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal" and shown < MOST_CHANGES:
            pairs = (
                zip(old[i:j], new[k:m], strict=True)
                if j - i == m - k
                else [("".join(f"{line}\n" for line in part) for part in (old[i:j], new[k:m]))]
            )
            for pair in pairs:
                if shown < MOST_CHANGES:
                    yield _cropped(*pair)
                    shown += 1


def _cropped(before: str, after: str) -> tuple[str, str]:
    """Both around their first difference."""
    start = next((place for place, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after)))
    first = max(start - AROUND, 0)
    return tuple(  # type: ignore[return-value]
        f"{'…' if first else ''}{text[first : start + 2 * AROUND]}{'…' if len(text) > start + 2 * AROUND else ''}"
        for text in (before, after)
    )


class Changes:
    """The first few changes of a shard by step, for the report: step -> up to five of {id, before, after}."""

    def __init__(self) -> None:
        self.shown: Shown = {}

    def wants(self, step: str) -> bool:
        """Whether one more would be kept."""
        return len(self.shown.get(step, ())) < SHOWN

    def add(self, step: str, id: str, before: str, after: str) -> None:  # noqa: A002
        """Remember the first place that differs."""
        places = next(changed(before, after), None)
        if places and self.wants(step):
            self.shown.setdefault(step, []).append({"id": id, "before": places[0], "after": places[1]})
