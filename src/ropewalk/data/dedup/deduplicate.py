"""Deduplicate texts in memory; the stage does the same shard by shard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ropewalk.data.dedup.near import Near
from ropewalk.data.dedup.sketch import sketch

if TYPE_CHECKING:
    import pyarrow as pa

    from ropewalk.data.dedup.cluster import Decisions

    Texts: TypeAlias = Sequence[str] | pa.ChunkedArray | pa.LargeStringArray


def deduplicate(
    texts: Texts,
    *,
    exact: bool = True,
    near: Near | None = None,
    against: Texts | None = None,
    scores: Sequence[float] | None = None,
    device: str = "cpu",
) -> Decisions:
    """What becomes of each text: exact copies (when `exact`), and near-duplicates when `near` says what they are.

    Texts that repeat one of `against` go too; those have the first numbers in the answer and all stay. `scores` are for
    `keep: best_score`, one a text.
    """
    import pyarrow as pa

    from ropewalk.data.dedup.cluster import Part, decide
    from ropewalk.data.dedup.shingles import TextSets

    rules = near or Near()
    columns = [
        given if isinstance(given, pa.ChunkedArray | pa.LargeStringArray) else pa.array(given, pa.large_string())
        for given in (against, texts)
        if given is not None
    ]
    parts = [
        Part(sketch(column, near, device), TextSets(lambda column=column: column, rules))  # type: ignore[misc]
        for column in columns
    ]
    given = len(columns[0]) if against is not None else 0
    values = None if scores is None else np.concatenate([np.zeros(given), np.asarray(scores, np.float64)])
    return decide(parts, near, exact=exact, given=given, scores=values if rules.keep == "best_score" else None)
