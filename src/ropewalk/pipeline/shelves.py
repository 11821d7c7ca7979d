"""Where the records of a recipe's stages are: what the last run made, or what it has made so far."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ropewalk.core.artifact import MANIFEST
from ropewalk.core.component import references
from ropewalk.core.errors import ConfigError, DataError
from ropewalk.core.load import nearest
from ropewalk.core.shards import RECEIPT
from ropewalk.core.store import Store, open_outside
from ropewalk.data.chats import Chats
from ropewalk.data.corpus import Corpus
from ropewalk.data.pairs import Pairs
from ropewalk.data.shelf import Shelf
from ropewalk.data.tokens import Tokens
from ropewalk.pipeline.recipe import Recipe
from ropewalk.pipeline.rundir import RunFolder

RECORDS = (Corpus, Chats, Pairs)


class Shelves:
    """The shelves of one run."""

    def __init__(self, recipe: Recipe) -> None:
        """Raises DataError when the recipe was never run."""
        self.recipe = recipe
        self.folder = RunFolder.of(recipe)
        self.status = self.folder.read_status().get("stages", {})
        if not self.status:
            raise DataError(f"{self.folder.path}: nothing was run yet", remedy="make the stages first: ropewalk run RECIPE")

    def check(self, stage: str) -> None:
        """Raises ConfigError for a stage that is not in the recipe."""
        if stage not in self.recipe.stages:
            raise ConfigError(f"there is no stage {stage!r} ({nearest(stage, list(self.recipe.stages))})")

    def place(self, stage: str) -> Path | None:
        """Where the stage's artifact of the last run stands, if it does."""
        known = self.status.get(stage)
        place = Store(self.folder.store_root).place(known["makes"], known["key"]) if known else None
        return place if place and (place / MANIFEST).is_file() else None

    def shelf(self, stage: str) -> Shelf | None:
        """The stage's records, finished or so far; None when there are none yet."""
        place = self.place(stage)
        earlier = self.recipe.behind(stage) - {stage}
        before = tuple(found for name in self.recipe.order() if name in earlier and (found := self.place(name)))
        if place:
            return Shelf((place,), before=before)
        shards = sorted(path.parent for path in (self.folder.work(stage) / "shards").glob(f"[!.]*/{RECEIPT}"))
        return Shelf(tuple(shards), finished=False, before=before) if shards else None

    def tokens(self, stage: str) -> Tokens | None:
        place = self.place(stage)
        return Tokens.open(place) if place and self.recipe.stages[stage].makes is Tokens else None

    def inputs(self, stage: str) -> Iterator[tuple[str, Shelf]]:
        """(name, shelf) of each input that holds records."""
        for ref in references(self.recipe.stages[stage]).values():
            if ref.scheme == "path":
                if any(issubclass(kind, RECORDS) for kind in ref.kinds):
                    yield ref.target, Shelf((open_outside(ref.kinds, Path(ref.location)).path,))
            elif not ref.scheme and issubclass(self.recipe.stages[ref.target].makes, RECORDS):
                found = self.shelf(ref.target)
                if found:
                    yield ref.target, found
