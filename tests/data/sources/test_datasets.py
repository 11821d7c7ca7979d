"""Datasets of the hub: fetched once by their library, read as Arrow; a stand-in plays the library, which asks a network."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest

from ropewalk.core.errors import DataError, MissingExtra, NetworkError
from ropewalk.data.sources import datasets as module
from ropewalk.data.sources.datasets import Datasets


class Saved:
    """What load_dataset gives, as far as it is used."""

    def save_to_disk(self, folder: str) -> None:
        table = pa.table({"body": ["one", "two"]})
        with pa.OSFile(f"{folder}/data-00000-of-00001.arrow", "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    found = ModuleType("datasets")
    found.__spec__ = module.__spec__  # find_spec asks for one
    found.asked = []

    def load_dataset(*names: Any, **named: Any) -> Saved:
        found.asked.append((names, named))
        return Saved()

    found.load_dataset = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", found)
    return found


def test_a_dataset_is_fetched_once_and_read(library: Any, tmp_path: Path, read_all: Any) -> None:
    source = Datasets(dataset="some/news", subset="en", revision="abc", text="body", license="CC0-1.0")
    for _ in range(2):
        documents, rejects = read_all(source.ready(tmp_path).source)
        assert [document.text for document in documents] == ["one", "two"] and not rejects
    assert {(document.source, document.license) for document in documents} == {("news", "CC0-1.0")}
    assert library.asked == [(("some/news", "en"), {"split": "train", "revision": "abc"})]
    with pytest.raises(DataError, match="nothing is fetched yet"):
        list(source.read(source.shards()[0]))


@pytest.mark.parametrize(("error", "typed"), [(ConnectionError("gone"), NetworkError), (ValueError("unknown split"), DataError)])
def test_what_goes_wrong_is_typed(library: Any, tmp_path: Path, error: Exception, typed: type[Exception]) -> None:
    def fail(*names: Any, **named: Any) -> None:
        raise error

    library.load_dataset = fail
    with pytest.raises(typed, match=str(error)):
        Datasets(dataset="some/news").ready(tmp_path)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"ropewalk\[hf\]"):
        Datasets(dataset="some/news").check()
