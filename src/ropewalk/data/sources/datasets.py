"""Datasets of the Hugging Face hub, fetched by their own library and read as the Arrow files that it leaves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field

from ropewalk.core.artifact import beside
from ropewalk.core.errors import DataError, MissingExtra, NetworkError
from ropewalk.core.shards import Shard
from ropewalk.data.records import Document, Rejected
from ropewalk.data.sources.arrow import Arrow
from ropewalk.data.sources.source import Ready, Source


class Datasets(Source, type="datasets"):
    """A dataset of the Hugging Face hub, by `owner/name`. Needs the extra `hf`; code that a dataset brings is never run."""

    dataset: Annotated[str, Field(min_length=1)]
    """Its name on the hub, or a folder that the library loads."""
    subset: str | None = None
    """Its configuration, for a dataset that has several."""
    split: str = "train"
    """Which split."""
    revision: str | None = None
    """Commit of the dataset: without one, a dataset that changes is not noticed until the stage is made again."""
    text: str = "text"
    """The field that holds the text."""
    id: str | None = None
    """The field that holds the id; else `id`, else the text's hash."""

    def check(self) -> None:
        """The library is here."""
        from importlib.util import find_spec

        if find_spec("datasets") is None:
            raise MissingExtra("source datasets: the package datasets is not installed", remedy="pip install 'ropewalk[hf]'")

    def ready(self, work: Path) -> Ready:
        """Fetched and saved once, as a source of Arrow files."""
        place = work / "saved"
        if not place.is_dir():
            self.check()
            from datasets import load_dataset

            try:
                found = load_dataset(self.dataset, self.subset, split=self.split, revision=self.revision)
            except ConnectionError as error:
                raise NetworkError(f"{self.dataset}: {error}", remedy="look at the network; the same command tries again") from None
            except (ValueError, FileNotFoundError) as error:
                raise DataError(f"{self.dataset}: {error}", remedy="look at dataset, subset, split and revision") from None
            with beside(place) as folder:
                found.save_to_disk(str(folder))
                os.rename(folder, place)
        policies = ("license", "on_bad_record", "max_bad_fraction", "text", "id")
        shared = {policy: getattr(self, policy) for policy in policies}
        return Ready(Arrow(path=place, name=self.name or self.dataset.rpartition("/")[2], **shared))

    def read(self, shard: Shard) -> Iterator[Document | Rejected]:
        """Only what `ready` made is read."""
        raise DataError("datasets: nothing is fetched yet", remedy="call ready(folder) and read the source that it gives")
