"""Which documents a training step saw, and which steps saw a document: worked out from the order and the training's own log."""

from __future__ import annotations

import json
from pathlib import Path

from ropewalk.core.errors import ConfigError, DataError
from ropewalk.core.load import nearest
from ropewalk.core.seed import derive
from ropewalk.core.store import Store, open_outside
from ropewalk.data.lineage import Seen, documents_of_step, steps_of_document
from ropewalk.data.mixed_loader import open_loader
from ropewalk.data.mixture import Mixture
from ropewalk.data.rows import RowLoader
from ropewalk.data.tokens import Tokens
from ropewalk.pipeline.answers import answers_in
from ropewalk.pipeline.recipe import Recipe
from ropewalk.pipeline.rundir import RunFolder
from ropewalk.pipeline.stages.train import LOG_FILE, Train


class TrainedOn:
    """One train stage of a run, finished or under way."""

    def __init__(self, recipe: Recipe, name: str) -> None:
        """ConfigError for a stage that doesn't train, DataError when it has not begun."""
        stage = recipe.stages.get(name)
        if not isinstance(stage, Train):
            trains = [other for other, made in recipe.stages.items() if isinstance(made, Train)]
            hint = nearest(name, trains) if trains else "there is none"
            raise ConfigError(f"{name!r} is no training stage ({hint})")
        self.stage, self.name = stage, name
        folder = RunFolder.of(recipe)
        self.log = next(
            (log for place in (folder.artifact(name), folder.work(name)) if place and (log := place / LOG_FILE).is_file()), None
        )
        if self.log is None:
            raise DataError(f"{name}: not trained yet", remedy=f"ropewalk run RECIPE {name}")
        self.batches = _batches(self.log)
        tokens = _data(recipe, stage, folder)
        sequences = stage.batch.num_sequences(tokens.length * answers_in(tokens))
        loader = open_loader(tokens, "train", sequences, derive(recipe.seed, "order"), drop_last=stage.loading.drop_last)
        if isinstance(loader, RowLoader):
            raise DataError(f"{name}: it learns from rows, which have no documents")
        self.loader = loader.over(stage.budget.total_steps(loader.steps_per_epoch, loader.tokens_per_epoch))

    def documents(self, step: int) -> list[Seen]:
        """What update `step` (from 1) was made from; DataError for one that was not made."""
        if step not in self.batches:
            raise DataError(f"{self.name}: there is no update {step}: it has made {len(self.batches)}")
        return list(documents_of_step(self.loader, self.batches[step]))

    def steps(self, id_: str) -> list[int]:
        """The updates (from 1) that saw any of a document."""
        updates = {batch: step for step, batch in self.batches.items()}
        last = max(updates, default=-1) + 1
        return [updates[batch] for batch in steps_of_document(self.loader, id_, last) if batch in updates]


def _batches(log: Path) -> dict[int, int]:
    """Update -> number of its batch; batches that were left out have no update."""
    found = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue  # the last line of a run that was killed
        if row.get("event") == "step":
            found[int(row["step"])] = int(row["batch"])
    return found


def _data(recipe: Recipe, stage: Train, folder: RunFolder) -> Tokens | Mixture:
    ref = stage.data
    if ref.scheme:
        return open_outside(ref.kinds, Path(ref.location))  # type: ignore[return-value]
    makes = recipe.stages[ref.target].makes
    key = folder.read_status().get("stages", {}).get(ref.target, {}).get("key", "")
    found = Store(folder.store_root).find(makes, key) if key else None
    if found is None:
        raise DataError(f"{ref.target}: not made yet", remedy=f"ropewalk run RECIPE {ref.target}")
    return found  # type: ignore[return-value]
