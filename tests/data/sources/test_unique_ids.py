"""Ids become unique: the first keeps its own, and no made-up id meets one that is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.data.corpus import from_documents, write_documents
from ropewalk.data.records import Document
from ropewalk.data.sources.unique_ids import repeated_ids


def written(folder: Path, shards: list[list[str]]) -> list[Path]:
    paths = [folder / f"{index}.parquet" for index in range(len(shards))]
    for path, ids in zip(paths, shards, strict=True):
        write_documents(from_documents([Document(name, "x") for name in ids]), path)
    return paths


@given(st.lists(st.lists(st.sampled_from(["a", "b", "a#2", "a#3", "a#2#2", "é"]), max_size=5), min_size=1, max_size=4))
def test_all_ids_differ_and_first_ones_stay(tmp_path_factory: pytest.TempPathFactory, shards: list[list[str]]) -> None:
    paths = written(tmp_path_factory.mktemp("ids"), shards)
    renames = repeated_ids(paths)
    renamed = [renames.get(path, {}).get(row, name) for path, ids in zip(paths, shards, strict=True) for row, name in enumerate(ids)]
    given_ids = [name for ids in shards for name in ids]
    assert len(set(renamed)) == len(renamed)
    for place, name in enumerate(given_ids):
        assert (renamed[place] == name) == (name not in given_ids[:place]), "only a repeated id changes"
        assert renamed[place].startswith(name)


def test_names_count_up(tmp_path: Path) -> None:
    paths = written(tmp_path, [["a", "a", "b"], ["a", "a#2"]])
    assert repeated_ids(paths) == {paths[0]: {1: "a#3"}, paths[1]: {0: "a#4"}}
    assert repeated_ids(written(tmp_path, [["a"], ["b"]])) == {}
