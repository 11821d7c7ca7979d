"""Which documents a step trained on, and which steps a document: worked out from the order, nothing was written down."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.tokens import Tokens

if TYPE_CHECKING:
    from ropewalk.data.loader import Loader
    from ropewalk.data.mixed_loader import MixedLoader


@dataclass(frozen=True)
class Seen:
    """A run of a document's positions in a batch."""

    id: str
    source: str
    part: str
    """The mixture's part; empty where there is one store."""
    sequence: int
    """Number of the sequence in its store."""
    first: int
    """Its first position in the document."""
    positions: int
    trained: int
    """How many of them predict a token."""


def document_rows(store: Tokens, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows of `documents` in which tokens at these offsets stand."""
    return np.searchsorted(store.documents["offset"].to_numpy(), offsets, "right") - 1


def documents_of_step(loader: Loader | MixedLoader, step: int) -> Iterator[Seen]:
    """Every document in a step's batch, in the batch's order; one that was cut may come more than once."""
    for part, store, rows in loader.parts(step):
        plan = store.sequences(loader.split)
        table = store.documents
        for sequence in rows.tolist():
            chosen = slice(int(plan.starts[sequence]), int(plan.starts[sequence + 1]))
            context = np.zeros(chosen.stop - chosen.start, np.int32) if plan.context is None else plan.context[chosen]
            places = document_rows(store, plan.segments[chosen, 0])
            for (offset, size), row, seen in zip(plan.segments[chosen].tolist(), places.tolist(), context.tolist(), strict=True):
                document = table.slice(row, 1).to_pylist()[0]
                targets = None if store.mask is None else store.mask[offset + 1 + seen : offset + 1 + size]
                trained = size - seen if targets is None else int(targets.sum())
                yield Seen(document["id"], document["source"], part, sequence, offset - document["offset"], size, trained)


def steps_of_document(loader: Loader | MixedLoader, id_: str, total_steps: int) -> list[int]:
    """The steps (from 0, before `total_steps`) whose batch held any of the document, in order; empty for one that was never seen."""
    import pyarrow.compute as pc

    found: set[int] = set()
    for part, store in loader.stores():
        plan = store.sequences(loader.split)
        for row in pc.indices_nonzero(pc.equal(store.documents["id"], id_)).to_pylist():
            document = store.documents.slice(row, 1).to_pylist()[0]
            offsets = plan.segments[:, 0]
            mine = np.flatnonzero((offsets >= document["offset"]) & (offsets < document["offset"] + document["length"]))
            for sequence in np.unique(np.searchsorted(plan.starts, mine, "right") - 1).tolist():
                found.update(loader.steps_of(part, sequence, total_steps))
    return sorted(found)
