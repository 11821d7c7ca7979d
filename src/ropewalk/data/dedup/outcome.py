"""What decisions mean for documents by their ids: the rows for each shard's ledger, the largest clusters, the sources that one swallows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.ledger import write_table
from ropewalk.data.dedup.cluster import Decisions, clusters
from ropewalk.data.dedup.shards import EXAMPLE_CHARACTERS, read_column

if TYPE_CHECKING:
    import pyarrow as pa

EXACT, NEAR = "exact_duplicate", "near_duplicate"
SHOWN, SMALL = 5, 20
"""Clusters that are shown; a cluster that removes fewer documents never swallows a source."""


def ids_of(places: Sequence[Path], starts: NDArray[np.int64], numbers: NDArray[np.int64]) -> pa.Array:
    """The ids of the documents with these numbers, rising, read part by part."""
    import pyarrow as pa

    found = []
    for place, (start, end) in zip(places, pairwise(starts.tolist()), strict=True):
        low, high = np.searchsorted(numbers, [start, end])
        if low < high:
            found.append(read_column(place, "id").take(pa.array(numbers[low:high] - start)).combine_chunks())
    return pa.concat_arrays(found) if found else pa.array([], pa.large_string())


def write_clustered(decisions: Decisions, places: Sequence[Path], starts: NDArray[np.int64], folder: Path, given_parts: int) -> None:
    """For each own part, `folder/NAME.parquet`: its documents that belong to a cluster or component, rising by row."""
    import pyarrow as pa

    alone = np.bincount(decisions.component, minlength=len(decisions.component)) == 1
    alone = alone[decisions.component] & decisions.kept
    named = np.unique(np.concatenate([decisions.keeper[~alone], decisions.component[~alone]]))
    ids = ids_of(places, starts, named)
    for place, start, end in list(zip(places, starts, starts[1:], strict=False))[given_parts:]:
        rows = np.flatnonzero(~alone[start:end])
        numbers = start + rows
        reasons = np.where(decisions.exact[numbers], EXACT, NEAR).astype(object)
        reasons[decisions.keeper[numbers] == numbers] = None
        columns = {
            "row": pa.array(rows),
            "id": read_column(place, "id").take(pa.array(rows)).combine_chunks().cast(pa.string()),
            "reason": pa.array(reasons, pa.string()),
            "score": pa.array(decisions.jaccard[numbers], pa.float64()),
            "witness": ids.take(pa.array(np.searchsorted(named, decisions.keeper[numbers]))).cast(pa.string()),
            "component": ids.take(pa.array(np.searchsorted(named, decisions.component[numbers]))).cast(pa.string()),
        }
        write_table(pa.table(columns), folder / f"{place.stem}.parquet")


def largest_clusters(decisions: Decisions, places: Sequence[Path], starts: NDArray[np.int64]) -> list[dict[str, Any]]:
    """The clusters that removed most: who stays, how many went, the one of them that is least like it, and how both begin."""
    found = sorted(clusters(decisions), key=lambda pair: (-len(pair[1]), pair[0]))[:SHOWN]
    least = [int(gone[np.argmin(decisions.jaccard[gone])]) for _, gone in found]
    numbers = np.unique(np.array([keeper for keeper, _ in found] + least, np.int64))
    ids = dict(zip(numbers.tolist(), ids_of(places, starts, numbers).to_pylist(), strict=True))
    texts = _beginnings(places, starts, numbers)
    return [
        {
            "keeper": ids[keeper],
            "removed": len(gone),
            "least_similar": ids[one],
            "jaccard": float(decisions.jaccard[one]),
            "texts": [texts.get(keeper, ""), texts.get(one, "")],
        }
        for (keeper, gone), one in zip(found, least, strict=True)
    ]


def _beginnings(places: Sequence[Path], starts: NDArray[np.int64], numbers: NDArray[np.int64]) -> dict[int, str]:
    """How documents begin; those of an index have no text."""
    import pyarrow.parquet as pq

    found: dict[int, str] = {}
    for place, (start, end) in zip(places, pairwise(starts.tolist()), strict=True):
        wanted = numbers[(numbers >= start) & (numbers < end)].tolist()
        if wanted and "text" in pq.read_schema(place).names:
            column = read_column(place, "text")
            found |= {number: column[number - start].as_py()[:EXAMPLE_CHARACTERS] for number in wanted}
    return found


def swallowed(decisions: Decisions, shards: Sequence[Path], starts: NDArray[np.int64], folder: Path, above: float) -> list[str]:
    """A line for each cluster that took more than that share of a source, with its least similar pair."""
    import pyarrow.parquet as pq

    totals: Counter[str] = Counter()
    lost: Counter[tuple[str, str]] = Counter()
    worst: dict[str, tuple[float, str]] = {}
    for place in shards:
        sources = read_column(place, "source")
        totals.update({row["values"]: row["counts"] for row in sources.value_counts().to_pylist()})
        gone = pq.read_table(folder / f"{place.stem}.parquet")
        gone = gone.filter(gone["reason"].is_valid())
        own = sources.take(gone["row"]).to_pylist()
        for source, row in zip(own, gone.select(["id", "score", "witness"]).to_pylist(), strict=True):
            lost[source, row["witness"]] += 1
            worst[row["witness"]] = min(worst.get(row["witness"], (2.0, "")), (row["score"], row["id"]))
    lines = []
    for (source, keeper), number in sorted(lost.items(), key=lambda pair: (-pair[1], pair[0])):
        if number >= SMALL and number > above * totals[source]:
            score, other = worst[keeper]
            share = f"{number:,} of {totals[source]:,} documents of source {source!r} ({100 * number / totals[source]:.0f}%)"
            lines.append(f"one cluster swallows {share}: {keeper!r} stays for them; least alike of them is {other!r} (Jaccard {score:.2f})")
    return lines
