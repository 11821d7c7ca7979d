"""Deduplicate texts in memory; the stage does the same shard by shard."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from ropewalk.data.dedup.near import Near
from ropewalk.data.dedup.sketch import sketch

if TYPE_CHECKING:
    import pyarrow as pa

    from ropewalk.data.dedup.cluster import Decisions


def deduplicate(texts: Sequence[str] | pa.ChunkedArray | pa.LargeStringArray, *, exact: bool = True, near: Near | None = None) -> Decisions:
    """What becomes of each text: exact copies (when `exact`), and near-duplicates when `near` says what they are."""
    import pyarrow as pa

    from ropewalk.data.dedup.cluster import decide
    from ropewalk.data.dedup.shingles import collect_shingles

    column = texts if isinstance(texts, pa.ChunkedArray | pa.LargeStringArray) else pa.array(texts, pa.large_string())
    rules = near or Near()
    found = sketch(column, rules.ngram, rules.values, rules.banding() if near else None)
    return decide(
        found,
        partial(collect_shingles, [column], ngram=rules.ngram),
        exact=exact,
        threshold=rules.threshold,
        keep=rules.keep,
        verify=rules.verify,
    )
