"""The scores that cleaning left beside documents: found by name in the artifacts that led here, joined by id."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ropewalk.core.errors import DataError
from ropewalk.core.load import nearest

if TYPE_CHECKING:
    import pyarrow as pa

NOT_SCORES = ("id", "kept")


def score_names(folder: Path) -> list[str]:
    """The scores that an artifact holds, sorted."""
    import pyarrow.parquet as pq

    names = {name for path in sorted((folder / "scores").glob("*.parquet")) for name in pq.read_schema(path).names}
    return sorted(names.difference(NOT_SCORES))


def find_scores(names: Sequence[str], folders: Sequence[Path]) -> dict[str, Path]:
    """Score -> the nearest artifact that has it (the last of `folders`); DataError with the nearest name for one that none has."""
    known = {folder: score_names(folder) for folder in folders}
    found = {}
    for name in names:
        place = next((folder for folder in reversed(folders) if name in known[folder]), None)
        if place is None:
            choices = sorted({other for others in known.values() for other in others})
            hint = nearest(name, choices) if choices else "no stage before it leaves scores; `clean` does"
            raise DataError(f"there is no column 'score.{name}' ({hint})", remedy="`ropewalk preview` shows the scores of a stage")
        found[name] = place
    return found


def read_scores(folder: Path, name: str, shard: str, ids: pa.Array) -> pa.Array:
    """A score for each id, null where there is none. The shard of the same name is looked at first, the others while some are missing."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    files = sorted((folder / "scores").glob("*.parquet"), key=lambda path: (path.stem != shard, path.name))
    found = pa.nulls(len(ids), pa.float64())
    missing = pa.array([True] * len(ids), pa.bool_())
    for path in files:
        if name in pq.read_schema(path).names:
            table = pq.read_table(path, columns=["id", name])
            places = pc.index_in(ids, table["id"].combine_chunks())
            found = pc.if_else(missing, pc.cast(table[name].combine_chunks(), pa.float64()).take(places), found)
            missing = pc.and_(missing, pc.is_null(places))
        if not pc.any(missing).as_py():
            break
    return found
