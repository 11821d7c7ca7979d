"""The sample stage: a number or a share of the documents, drawn by a hash of id and seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from ropewalk.core.artifact import Artifact
from ropewalk.core.errors import DataError
from ropewalk.core.ledger import Entry
from ropewalk.core.reference import Ref
from ropewalk.core.shards import Outcome, Shard
from ropewalk.core.units import Count
from ropewalk.data.corpus import Corpus, read_documents
from ropewalk.data.selection import draws, selected_facts, write_selected
from ropewalk.pipeline.stage import Context, Facts, Stage

NOT_DRAWN = "not_drawn"
DRAWS = "draws"


class Sample(Stage, type="sample"):
    """Draws documents. A larger sample with the same seed holds all of a smaller one; the order stays as it was."""

    makes: ClassVar[type[Artifact]] = Corpus
    seeded: ClassVar[bool] = True

    input: Ref[Corpus]
    """The documents."""
    n: Annotated[Count, Field(gt=0)] | None = None
    """How many are drawn; all when there are no more."""
    fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    """Which share is drawn, instead of `n`; rounded to whole documents."""
    stratify: bool = False
    """Draw from each source in proportion to its documents, so that small ones are neither lost nor swollen by chance."""

    def problems(self, upstream: Mapping[str, Stage | Artifact]) -> list[tuple[str, str]]:
        return [] if (self.n is None) != (self.fraction is None) else [("n", "set either n or fraction")]

    def make(self, context: Context) -> Facts:
        shards = context.open(self.input).shards()
        names = [Shard(f"draws-{shard.name}", shard.content, shard.size_bytes) for shard in shards]
        drawn = context.map(_Draw(context.seed), names)
        strata: dict[str, list[np.ndarray[Any, Any]]] = {}
        for receipt in drawn:
            place = context.out / DRAWS / f"{receipt.name}.npz"
            with np.load(place, allow_pickle=False) as file:
                for number, source in enumerate(receipt.metrics["sources"]):
                    mine = file["draws"][file["sources"] == number]
                    strata.setdefault(source if self.stratify else "", []).append(mine)
            place.unlink()
        if (context.out / DRAWS).is_dir():
            (context.out / DRAWS).rmdir()
        values = {source: np.sort(np.concatenate(parts)) for source, parts in sorted(strata.items())}
        total = sum(map(len, values.values()))
        if not total:
            raise DataError(f"{context.name}: there are no documents to draw from")
        wanted = min(self.n, total) if self.n is not None else round((self.fraction or 0) * total)
        if not wanted:
            raise DataError(
                f"{context.name}: {self.fraction} of {total} documents is none", remedy=f"set a fraction from {1 / total:.2g} on, or n"
            )
        shares = allotted(wanted, {source: len(found) for source, found in values.items()})
        limits = {source: float(found[shares[source] - 1]) if shares[source] else -1.0 for source, found in values.items()}
        counts, metrics = selected_facts(context.map(_Take(self.tag, context.seed, self.stratify, tuple(sorted(limits.items()))), shards))
        return Facts(counts, {**metrics, **({"drawn": shares} if self.stratify else {})})


def allotted(wanted: int, sizes: Mapping[str, int]) -> dict[str, int]:
    """`wanted` divided in proportion to sizes: whole parts first, the rest to the largest remainders (then by name)."""
    total = sum(sizes.values())
    shares = {name: wanted * size // total for name, size in sizes.items()}
    rests = sorted(sizes, key=lambda name: (-(wanted * sizes[name] % total), name))
    for name in rests[: wanted - sum(shares.values())]:
        shares[name] += 1
    return shares


@dataclass(frozen=True)
class _Draw:
    """Shard function: the number and the source of each document, in `draws/NAME.npz`."""

    seed: int

    def __call__(self, shard: Shard, folder: Path) -> Outcome:
        import pyarrow.parquet as pq

        table = pq.read_table(shard.content, columns=["id", "source"], memory_map=True)
        coded = table["source"].combine_chunks().dictionary_encode()
        (folder / DRAWS).mkdir()
        numbers = coded.indices.to_numpy(zero_copy_only=False).astype(np.int32)
        values = draws(table["id"].to_pylist(), self.seed, "sample")
        np.savez(folder / DRAWS / f"{shard.name}.npz", draws=values, sources=numbers)
        return Outcome({"records_in": table.num_rows}, {"sources": coded.dictionary.to_pylist()})


@dataclass(frozen=True)
class _Take:
    """Shard function: keeps the documents whose number is not above their source's limit."""

    stage: str
    seed: int
    stratify: bool
    limits: tuple[tuple[str, float], ...]

    def __call__(self, shard: Shard, folder: Path) -> Outcome:
        table = read_documents(shard.content)
        values = draws(table["id"].to_pylist(), self.seed, "sample")
        limits = dict(self.limits)
        most = np.array([limits[source] for source in table["source"].to_pylist()]) if self.stratify else np.full(len(values), limits[""])

        def entry(row: int, id_: str) -> Entry:
            return Entry(id_, NOT_DRAWN, float(values[row]), f"drawn up to {most[row]:.6f}")

        return write_selected(self.stage, table, values <= most, entry, folder, shard.name)
