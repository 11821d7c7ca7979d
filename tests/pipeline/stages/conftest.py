"""What the runner does around a stage, without store and commit: a stage is tried by itself on artifacts made by hand."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ropewalk.core.artifact import Artifact, Manifest
from ropewalk.core.ledger import account, read_ledger
from ropewalk.core.log import Progress
from ropewalk.core.reference import Ref
from ropewalk.core.shards import assemble, map_shards
from ropewalk.pipeline.stage import Context, Facts, Stage

Made = tuple[Artifact, Facts]


class InProcess:
    """A mapper that runs shards here, the last one first: the order must not matter."""

    def map(self, function: Callable[[Any], Any], items: list[Any], size_bytes: int) -> Iterator[tuple[int, Any]]:
        for index, item in reversed(list(enumerate(items))):
            yield index, function(item)


@pytest.fixture
def make_stage(tmp_path: Path) -> Callable[..., Made]:
    """`make_stage(stage, {"raw": corpus}, "folder")` -> the artifact and what the stage said."""

    def make(stage: Stage, inputs: Mapping[str, Artifact] | None = None, folder: str = "made") -> Made:
        out, work = tmp_path / folder / "out", tmp_path / folder / "work"
        out.mkdir(parents=True)
        work.mkdir(exist_ok=True)

        def shard_map(function: Any, shards: Any, unit: str) -> Any:
            receipts = map_shards(function, shards, work, InProcess())
            known = assemble(receipts, work, out)
            assert set(known) == {name for receipt in receipts for name in receipt.files}
            return receipts

        context = Context(
            name=stage.tag,
            seed=0,
            out=out,
            work=work,
            log=logging.getLogger("ropewalk.test"),
            open_ref={Ref(name): artifact for name, artifact in (inputs or {}).items()}.__getitem__,
            shard_map=shard_map,
            start_progress=lambda title, total, unit: Progress(title, total, unit, quiet=True),
        )
        facts = stage.make(context)
        account(facts.counts, stage.tag)
        assert read_ledger(out).num_rows >= facts.counts["dropped"]
        return stage.makes(out, Manifest(stage.makes.kind, counts=facts.counts)), facts

    return make
