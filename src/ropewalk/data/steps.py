"""The step family: what `clean` does to documents. A step looks at a batch and says what to change and what to drop.

A filter of your own is a class with one method:

    class Shouting(Step, type="shouting"):
        '''Drops texts in capitals.'''

        max_capitals: float = 0.3
        '''Largest share of capital letters.'''

        def apply(self, batch: Batch) -> Change:
            shares = [sum(map(str.isupper, text)) / max(len(text), 1) for text in batch.texts]
            return judge(Rule("max_capitals", shares, at_most=self.max_capitals))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.component import Component

if TYPE_CHECKING:
    import pyarrow as pa

Scores = Sequence[float] | NDArray[np.float64] | NDArray[np.int64]


class Batch:
    """Documents of one shard as columns: an Arrow table as `corpus.schema()` has it. Never changes."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @cached_property
    def ids(self) -> list[str]:
        """The documents' ids."""
        found: list[str] = self.table["id"].to_pylist()
        return found

    @cached_property
    def texts(self) -> list[str]:
        """The texts as Python strings, made when first asked for."""
        found: list[str] = self.table["text"].to_pylist()
        return found

    def replaced(self, texts: Sequence[str]) -> Batch:
        """The same documents with other texts."""
        import pyarrow as pa

        place = self.table.schema.get_field_index("text")
        return Batch(self.table.set_column(place, "text", pa.array(texts, pa.large_string())))

    def where(self, keep: NDArray[np.bool_]) -> Batch:
        """The documents whose flag is set."""
        return self if keep.all() else Batch(self.table.filter(keep))


@dataclass(frozen=True)
class Rule:
    """One score a document and the range that keeps it; without a range the score is only recorded."""

    name: str
    """The reason that a dropped document gets; best the name of the field that holds the threshold."""
    scores: Scores
    at_least: float | None = None
    at_most: float | None = None

    @cached_property
    def values(self) -> NDArray[np.float64]:
        return np.asarray(self.scores, np.float64)

    @cached_property
    def keeps(self) -> NDArray[np.bool_]:
        """Which documents pass; a score that is NaN is in no range."""
        passed = np.ones(len(self.values), np.bool_)
        if self.at_least is not None:
            passed &= self.values >= self.at_least
        if self.at_most is not None:
            passed &= self.values <= self.at_most
        return passed


@dataclass(frozen=True)
class Change:
    """What a step says of a batch; every list has one entry a document."""

    texts: Sequence[str] | None = None
    """The new texts, where there are some."""
    rules: tuple[Rule, ...] = ()
    """A document stays when every rule keeps it; else the first that doesn't is the reason."""
    counts: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """How often something was changed, by name: `{"email": [0, 2, 0]}`."""


def judge(*rules: Rule) -> Change:
    """Keep the documents that pass all rules."""
    return Change(rules=rules)


def rewrite(texts: Sequence[str], **counts: Sequence[int]) -> Change:
    """Put new texts in place of the old ones; `counts` says how often what was changed."""
    return Change(texts=texts, counts=counts)


class Step(Component, family="step", folders=("ropewalk.data.clean", "ropewalk.data.filters", "ropewalk.data.pii")):
    """Changes texts or drops documents; applied twice it does no more than applied once."""

    shows_changes: ClassVar[bool] = False
    """Whether the report may quote a text before and after; never where what was replaced must not be written anywhere."""

    def apply(self, batch: Batch) -> Change:
        """Pure: the answer depends on each document alone, never on its neighbours. Runs in any process."""
        raise TypeError(f"step {self.tag!r} has no apply()")
