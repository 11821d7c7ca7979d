"""The shard map: a pure function over shards, each committed by itself, so a killed stage redoes only those in flight.

The function gets a shard and an empty folder, writes files such as `documents/NAME.parquet` into it and returns counts.
The folder is fsynced, given a receipt and renamed to `work/shards/NAME`; `assemble` links all into the artifact.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ropewalk.core.artifact import beside, hash_file, inventory, sweep, sync, write_durably

RECEIPT = "receipt.json"


@dataclass(frozen=True)
class Shard:
    """A piece of a stage's work: its name (sorts in output order) and what the function needs to know."""

    name: str
    content: Any
    size_bytes: int = 0


@dataclass(frozen=True)
class Receipt:
    """What a finished shard wrote and counted."""

    name: str
    counts: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """What a shard function returns: counts are summed over shards, metrics stay per shard."""

    counts: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)


ShardFunction = Callable[[Shard, Path], Outcome]


class Mapper(Protocol):
    """What an executor offers: calls a function on items, anywhere, and yields (index, result) as they finish."""

    def map(self, function: Callable[[Any], Any], items: list[Any], size_bytes: int) -> Iterator[tuple[int, Any]]: ...


@dataclass(frozen=True)
class _Job:
    """Picklable: run one shard and commit its folder."""

    function: ShardFunction
    place: Path

    def __call__(self, shard: Shard) -> Receipt:
        started = time.perf_counter()
        with beside(self.place / shard.name) as folder:
            outcome = self.function(shard, folder)
            files = inventory(folder)
            for name in files:
                sync(folder / name)
            receipt = Receipt(shard.name, dict(outcome.counts), dict(outcome.metrics), files, time.perf_counter() - started)
            write_durably(folder / RECEIPT, json.dumps(receipt.__dict__, ensure_ascii=False).encode())
            if (self.place / shard.name).exists():
                shutil.rmtree(self.place / shard.name)
            os.rename(folder, self.place / shard.name)
        sync(self.place)
        return receipt


def read_receipt(folder: Path) -> Receipt | None:
    """The shard's receipt if the shard is finished and its files are as written."""
    try:
        receipt = Receipt(**json.loads((folder / RECEIPT).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    for name, facts in receipt.files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != facts["bytes"] or hash_file(path) != facts["hash"]:
            return None
    return receipt


def map_shards(
    function: ShardFunction,
    shards: list[Shard],
    work: Path,
    mapper: Mapper,
    done: Callable[[Receipt, bool], None] = lambda receipt, resumed: None,
) -> list[Receipt]:
    """Receipts in shard order; `done(receipt, resumed)` is called once a shard, as it finishes or is found finished."""
    place = work / "shards"
    place.mkdir(parents=True, exist_ok=True)
    sweep(place)
    receipts: dict[str, Receipt] = {}
    for shard in shards:
        found = read_receipt(place / shard.name)
        if found:
            receipts[shard.name] = found
            done(found, True)
    missing = [shard for shard in shards if shard.name not in receipts]
    total_bytes = sum(shard.size_bytes for shard in missing)
    for _, receipt in mapper.map(_Job(function, place), missing, total_bytes):
        receipts[receipt.name] = receipt
        done(receipt, False)
    return [receipts[shard.name] for shard in shards]


def assemble(receipts: Iterable[Receipt], work: Path, out: Path) -> dict[str, Mapping[str, Any]]:
    """Link (or copy, across file systems) every shard's files into `out`; returns what is known of their hashes."""
    known: dict[str, Mapping[str, Any]] = {}
    for receipt in receipts:
        for name, facts in receipt.files.items():
            target = out / name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(work / "shards" / receipt.name / name, target)
            except OSError:
                shutil.copyfile(work / "shards" / receipt.name / name, target)
            known[name] = facts
    return known
