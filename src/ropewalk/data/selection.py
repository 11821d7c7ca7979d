"""Writing a shard without the documents that a stage leaves out, each of them in the ledger: what sample, filter and split share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.ledger import Entry, Ledger, add_counts, tally
from ropewalk.core.seed import derive
from ropewalk.core.shards import Outcome, Receipt
from ropewalk.data.corpus import write_documents
from ropewalk.data.examples import Examples, first_examples

if TYPE_CHECKING:
    import pyarrow as pa


def write_selected(
    stage: str, table: pa.Table, kept: NDArray[np.bool_], entry_of: Callable[[int, str], Entry], folder: Path, name: str
) -> Outcome:
    """`documents/NAME.parquet` with the rows that are kept (no file when none is) and the ledger's entry of each other row."""
    import pyarrow as pa

    ledger, examples = Ledger(stage), Examples()
    gone = np.flatnonzero(~kept)
    ids = table["id"].take(pa.array(gone)).to_pylist()
    for row, id_ in zip(gone.tolist(), ids, strict=True):
        entry = entry_of(row, id_)
        ledger.entries.append(entry)
        if len(examples.shown.get(entry.reason, ())) < 5:
            examples.add(entry.reason, id_, table["text"][row].as_py(), entry.score, entry.witness)
    if kept.any():
        table = table if kept.all() else table.filter(pa.array(kept))
        write_documents(table, folder / "documents" / f"{name}.parquet")
    ledger.write(folder / "ledger" / f"{name}.parquet")
    sizes = {"text_bytes": _text_bytes(table)} if kept.any() else {"text_bytes": 0}
    return Outcome(tally(len(kept), int(kept.sum()), ledger.reasons()), {"examples": examples.shown, **sizes})


def selected_facts(receipts: Sequence[Receipt]) -> tuple[dict[str, int], dict[str, Any]]:
    """(counts, metrics) of the stage from its shards'."""
    counts = add_counts([tally(0, 0, {}), *(receipt.counts for receipt in receipts)])
    examples = first_examples(receipt.metrics["examples"] for receipt in receipts)
    text_bytes = sum(receipt.metrics["text_bytes"] for receipt in receipts)
    return counts, {"documents": counts["kept"], "text_bytes": text_bytes, "examples": examples}


def draws(ids: Sequence[str], seed: int, purpose: str) -> NDArray[np.float64]:
    """A number in [0, 1) for each id: the same wherever the document stands, and another for each purpose."""
    return np.array([derive(seed, purpose, id_) >> 10 for id_ in ids], np.float64) / 2.0**53


def _text_bytes(table: pa.Table) -> int:
    import pyarrow.compute as pc

    return int(pc.sum(pc.binary_length(table["text"])).as_py() or 0)
