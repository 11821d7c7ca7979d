"""Mixture: several Tokens stores read as one. Its folder holds links to theirs, so nothing is copied or encoded anew."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.artifact import Artifact
from ropewalk.core.errors import DataError
from ropewalk.data.curriculum import Course, Length
from ropewalk.data.tokens import Split, TokenFacts, Tokens

PARTS, EASIEST = "parts", "easiest"


@dataclass(frozen=True)
class Rule:
    """How one part is drawn: `weight` (a number, or a course's fields), and the most sequences that are drawn from it."""

    name: str
    weight: float | Mapping[str, float]
    most: int | None

    def at(self, progress: float) -> float:
        return self.weight if isinstance(self.weight, int | float) else Course(**self.weight).at(progress)

    @property
    def moves(self) -> bool:
        return not isinstance(self.weight, int | float)


class Mixture(Artifact, kind="Mixture"):
    """Parts with their weights; `mixture.json` holds the rules, `easiest/PART.npy` a part's sequences from easy to hard."""

    @cached_property
    def _body(self) -> Any:
        return json.loads((self.path / "mixture.json").read_text(encoding="utf-8"))

    @cached_property
    def rules(self) -> list[Rule]:
        return [Rule(**rule) for rule in self._body["parts"]]

    @cached_property
    def row_length(self) -> Length | None:
        """The course of the sequences' length."""
        return Length(**self._body["length"]) if self._body["length"] else None

    @property
    def spread(self) -> float:
        """Share of a part within which its order by difficulty is shuffled."""
        return float(self._body["spread"])

    @cached_property
    def parts(self) -> list[Tokens]:
        return [Tokens.open(self.path / PARTS / rule.name) for rule in self.rules]

    def easiest(self, part: int) -> NDArray[np.int64] | None:
        path = self.path / EASIEST / f"{self.rules[part].name}.npy"
        return np.load(path, mmap_mode="r") if path.is_file() else None

    @cached_property
    def facts(self) -> TokenFacts:
        """As of one store: the longest part's, which all others agree with but for the length."""
        return max((part.facts for part in self.parts), key=lambda facts: facts.length)

    @property
    def length(self) -> int:
        """Positions of the longest full sequence."""
        return self.facts.length

    @property
    def tokenizer_path(self) -> Path:
        return self.parts[0].tokenizer_path

    def num_sequences(self, split: Split) -> int:
        return sum(part.num_sequences(split) for part in self.parts)


def write_mixture(
    out: Path,
    parts: Mapping[str, Tokens],
    rules: list[Rule],
    length: Length | None,
    spread: float,
    easiest: Mapping[str, NDArray[np.int64]],
) -> None:
    """Raises DataError where the parts were encoded by different tokenizers or are read in different ways."""
    first_name, first = next(iter(parts.items()))
    for name, part in parts.items():
        if part.facts.tokenizer_key != first.facts.tokenizer_key:
            raise DataError(f"{name} was encoded by another tokenizer than {first_name}", remedy="pack both with one tokenizer")
        if replace(part.facts, length=0, packing="pad") != replace(first.facts, length=0, packing="pad"):
            raise DataError(f"{name} and {first_name} differ in more than length and packing", remedy="pack both with the same attend")
        _link(part.path, out / PARTS / name)
    body = {"parts": [asdict(rule) for rule in rules], "length": length.model_dump() if length else None, "spread": spread}
    (out / "mixture.json").write_text(json.dumps(body, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    for name, order in easiest.items():
        (out / EASIEST).mkdir(exist_ok=True)
        np.save(out / EASIEST / f"{name}.npy", order, allow_pickle=False)


def _link(source: Path, target: Path) -> None:
    """A folder of links to another's files, or of copies across file systems."""
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir(parents=True, exist_ok=True)
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, place)
        except OSError:
            shutil.copyfile(path, place)


def sequence_means(store: Tokens, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each training sequence the mean of its documents' values, by their positions; `values` in the order of documents."""
    from ropewalk.data.lineage import document_rows

    plan = store.sequences("train")
    sizes = plan.segments[:, 1]
    weighted = np.concatenate([[0.0], np.cumsum(values[document_rows(store, plan.segments[:, 0])] * sizes)])
    counted = np.concatenate([[0], np.cumsum(sizes)])
    found: NDArray[np.float64] = np.diff(weighted[plan.starts]) / np.diff(counted[plan.starts])
    return found
