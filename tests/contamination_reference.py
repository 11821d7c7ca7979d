"""Contamination in plain Python, from the written rules alone: sets of word tuples, no hashes."""

from __future__ import annotations

import re
from collections.abc import Sequence

WORD = re.compile(r"(?:[0-9A-Za-z_]|[^\x00-\xbf\u2000-\u206f\u3000-\u303f])+")
ASCII_LOWER = str.maketrans({chr(code): chr(code + 32) for code in range(65, 91)})
Run = tuple[str, ...]


def words(text: str) -> list[str]:
    return [word.translate(ASCII_LOWER) for word in WORD.findall(text)]


def runs(text: str, size: int) -> set[Run]:
    found = words(text)
    return {tuple(found[start : start + size]) for start in range(len(found) - size + 1)}


def tells(run: Run) -> bool:
    lettered = sum(not re.fullmatch("[0-9]+", word) for word in run)
    return 2 * lettered >= len(run) and 3 * len(set(run)) >= len(run)


def contamination(
    items: Sequence[Sequence[str]], texts: Sequence[str], ngram: int, least: int, common: int, allow: Sequence[str] = ()
) -> dict[tuple[int, int], tuple[int, int]]:
    """(text, item) -> (runs found, runs known) of the item's fullest part."""
    known: list[list[set[Run]]] = []
    for parts in items:
        whole = [{tuple(words(part))} if least <= len(words(part)) < ngram else runs(part, ngram) for part in parts]
        known.append([{run for run in found if tells(run)} for found in whole])
    for size in {len(run) for parts in known for part in parts for run in part}:
        allowed = {run for passage in allow for run in runs(passage, size)}
        holders: dict[Run, set[int]] = {}
        for number, parts in enumerate(known):
            for run in {run for part in parts for run in part if len(run) == size}:
                holders.setdefault(run, set()).add(number)
        often = {run for run, numbers in holders.items() if len(numbers) > common}
        known = [[part - often - allowed for part in parts] for parts in known]
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for row, text in enumerate(texts):
        there = {size: runs(text, size) for size in range(least, ngram + 1)}
        for number, parts in enumerate(known):
            for part in parts:
                hits = sum(run in there[len(run)] for run in part)
                old = found.get((row, number), (0, 1))
                if hits and (hits / len(part), hits) > (old[0] / old[1], old[0]):
                    found[row, number] = (hits, len(part))
    return found
