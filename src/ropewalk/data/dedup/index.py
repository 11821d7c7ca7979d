"""Index: the sketches, shingle sets and ids of a corpus, so that later ones are compared with it without reading its texts again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ropewalk.core.artifact import Artifact
from ropewalk.core.component import as_tree
from ropewalk.core.errors import DataError
from ropewalk.data.dedup.near import Near

if TYPE_CHECKING:
    from ropewalk.data.dedup.cluster import Part

SHAPING = ("unit", "fold", "ngram", "values", "bands", "rows")
FACTS = "index.json"


@dataclass(frozen=True)
class IndexPart:
    """One shard of an index."""

    folder: Path
    name: str
    size: int

    def part(self) -> Part:
        from ropewalk.data.dedup.cluster import Part
        from ropewalk.data.dedup.shingles import StoredSets
        from ropewalk.data.dedup.sketch import SketchFiles

        place = self.folder / "sketches"
        return Part(SketchFiles(place, self.name, self.size), StoredSets(place, self.name))

    def ids(self) -> Path:
        """The file that holds the ids."""
        return self.folder / "ids" / f"{self.name}.parquet"


class Index(Artifact, kind="Index"):
    """What deduplication knows of a corpus: `sketches/`, `ids/`, and in `index.json` by which rules and of how many documents."""

    def facts(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.path / FACTS).read_bytes())
        return found

    def parts(self) -> list[IndexPart]:
        return [IndexPart(self.path, name, size) for name, size in self.facts()["parts"].items()]

    def check(self, near: Near | None) -> None:
        """Raises DataError when it was made by other rules than documents are now sketched by."""
        there = self.facts()["rules"]
        mine = rules(near) if near else {}
        differ = [f"{name} {there.get(name)} there, {value} here" for name, value in mine.items() if there.get(name) != value]
        if differ:
            raise DataError(
                f"{self.path}: the index was made by other rules: {', '.join(differ)}",
                remedy="give `near` the rules of the index, or make it anew (bands and rows follow from the threshold if not given)",
            )


def rules(near: Near) -> dict[str, Any]:
    """What shapes a sketch: two are comparable when these agree."""
    bands = near.banding()
    return {name: value for name, value in {**as_tree(near), "bands": bands.count, "rows": bands.rows}.items() if name in SHAPING}


def write_facts(folder: Path, near: Near, parts: Mapping[str, int]) -> None:
    (folder / FACTS).write_text(json.dumps({"rules": rules(near), "parts": dict(parts)}, indent=1), encoding="utf-8")
