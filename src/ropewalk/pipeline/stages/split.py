"""The split stage: one named part of a corpus, drawn by a hash; the parts of one division never share a document and miss none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from ropewalk.core.artifact import Artifact
from ropewalk.core.errors import DataError
from ropewalk.core.ledger import Entry
from ropewalk.core.load import nearest
from ropewalk.core.reference import Ref
from ropewalk.core.shards import Outcome, Shard
from ropewalk.data.corpus import Corpus, read_documents
from ropewalk.data.selection import draws, selected_facts, write_selected
from ropewalk.pipeline.stage import Context, Facts, Stage


class Split(Stage, type="split"):
    """One part of a corpus. A stage a part: `train: {type: split, input: clean, parts: {train: 0.9, test: 0.1}, part: train}`."""

    makes: ClassVar[type[Artifact]] = Corpus
    seeded: ClassVar[bool] = True

    input: Ref[Corpus]
    """The documents."""
    parts: Annotated[dict[str, Annotated[float, Field(gt=0, lt=1)]], Field(min_length=2)]
    """Part -> its share; they add up to 1. Say the same in every stage of one division (`parts: &parts {…}`, then `parts: *parts`)."""
    part: str
    """Which part this stage makes."""
    by: Literal["id", "text", "source"] = "id"
    """What decides: the id; the text, so that equal texts stay together; or the source, so that each source is in one part."""

    def problems(self, upstream: Mapping[str, Stage | Artifact]) -> list[tuple[str, str]]:
        found = []
        if abs(sum(self.parts.values()) - 1) > 1e-6:
            found.append(("parts", f"the shares add up to {sum(self.parts.values()):g}, not to 1"))
        if self.part not in self.parts:
            found.append(("part", f"there is no part {self.part!r} ({nearest(self.part, sorted(self.parts))})"))
        return found

    def make(self, context: Context) -> Facts:
        receipts = context.map(_Part(self.tag, context.seed, ends(self.parts), self.part, self.by), context.open(self.input).shards())
        counts, metrics = selected_facts(receipts)
        if not counts["kept"]:
            raise DataError(
                f"{context.name}: none of {counts['records_in']:,} documents fell into part {self.part!r} ({self.parts[self.part]:g})",
                remedy="bring more documents or give the part a larger share",
            )
        return Facts(counts, metrics)


def ends(parts: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    """Where each part ends in [0, 1), by name, since the order in a recipe is in no key."""
    names = sorted(parts)
    sums = np.cumsum([parts[name] for name in names])
    return tuple(zip(names, [*map(float, sums[:-1]), 1.0], strict=True))


@dataclass(frozen=True)
class _Part:
    """Shard function: keeps the documents of one part."""

    stage: str
    seed: int
    ends: tuple[tuple[str, float], ...]
    part: str
    by: str

    def __call__(self, shard: Shard, folder: Path) -> Outcome:
        table = read_documents(shard.content)
        values = draws(table[self.by].to_pylist(), self.seed, f"split by {self.by}")
        names = [name for name, _ in self.ends]
        places = np.searchsorted([end for _, end in self.ends[:-1]], values, side="right")

        def entry(row: int, id_: str) -> Entry:
            return Entry(id_, f"in_part.{names[places[row]]}", float(values[row]))

        return write_selected(self.stage, table, places == names.index(self.part), entry, folder, shard.name)
