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

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.component import Component

if TYPE_CHECKING:
    import pyarrow as pa

Texts: TypeAlias = "Sequence[str] | pa.ChunkedArray"
Counts = Sequence[int] | NDArray[np.int64]
Scores = Sequence[float] | NDArray[np.float64] | NDArray[np.int64]


def as_column(texts: Texts) -> pa.ChunkedArray | pa.Array:
    """The texts as Arrow has them."""
    import pyarrow as pa

    return texts if isinstance(texts, pa.ChunkedArray | pa.Array) else pa.array(texts, pa.large_string())


class Batch:
    """Documents of one shard as columns: an Arrow table as `corpus.schema()` has it. Never changes."""

    def __init__(self, table: pa.Table, derived: dict[Hashable, NDArray[np.int64]] | None = None) -> None:
        self.table = table
        self.derived = {} if derived is None else derived
        """What was computed of these texts so far, by what it is: arrays with a row a document, for all steps that need the same."""

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

    def replaced(self, texts: Texts) -> Batch:
        """The same documents with other texts."""
        return Batch(self.table.set_column(self.table.schema.get_field_index("text"), "text", as_column(texts)))

    def differs(self, texts: Texts) -> NDArray[np.bool_]:
        """Which texts are not as these."""
        import pyarrow.compute as pc

        found: NDArray[np.bool_] = pc.not_equal(self.table["text"], as_column(texts)).to_numpy()
        return found

    def where(self, keep: NDArray[np.bool_]) -> Batch:
        """The documents whose flag is set, with what is known of them."""
        if keep.all():
            return self
        return Batch(self.table.filter(keep), {key: values[keep] for key, values in self.derived.items()})


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

    texts: Texts | None = None
    """The new texts, where there are some; an Arrow column saves making Python strings."""
    rules: tuple[Rule, ...] = ()
    """A document stays when every rule keeps it; else the first that doesn't is the reason."""
    counts: Mapping[str, Counts] = field(default_factory=dict)
    """How often something was changed, by name: `{"email": [0, 2, 0]}`."""


def judge(*rules: Rule) -> Change:
    """Keep the documents that pass all rules."""
    return Change(rules=rules)


def rewrite(texts: Texts, **counts: Counts) -> Change:
    """Put new texts in place of the old ones; `counts` says how often what was changed."""
    return Change(texts=texts, counts=counts)


class Step(Component, family="step", folders=("ropewalk.data.clean", "ropewalk.data.filters", "ropewalk.data.pii")):
    """Changes texts or drops documents; applied twice it does no more than applied once."""

    shows_changes: ClassVar[bool] = False
    """Whether the report may quote a text before and after; never where what was replaced must not be written anywhere."""

    def apply(self, batch: Batch) -> Change:
        """Pure: the answer depends on each document alone, never on its neighbours. Runs in any process."""
        raise TypeError(f"step {self.tag!r} has no apply()")
