"""Artifacts exist whole or not at all; any change to their bytes is found."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ropewalk.core.artifact import MANIFEST, Artifact, Manifest, beside, commit, digest, hash_file, inventory, sweep, write_durably
from ropewalk.core.errors import DataError, DiskError
from ropewalk.core.store import Store, open_outside


class Crumb(Artifact, kind="TestCrumb"):
    """An artifact for these tests."""

    adopts = ("crumb.txt",)


def made(place: Path, text: str = "hello") -> Manifest:
    with beside(place) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "a.txt").write_text(text)
        (folder / "b.bin").write_bytes(bytes(range(256)))
        return commit(folder, place, Manifest("TestCrumb", key=place.name, counts={"kept": 1}))


def test_commit_leaves_a_whole_folder_and_no_traces(tmp_path: Path) -> None:
    manifest = made(tmp_path / "k")
    assert Crumb.open(tmp_path / "k").manifest == manifest == Manifest.read(tmp_path / "k")
    assert set(manifest.files) == {"deep/a.txt", "b.bin"} and manifest.verify(tmp_path / "k") == []
    assert os.listdir(tmp_path) == ["k"]


def test_an_error_while_making_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with beside(tmp_path / "k") as folder:
            (folder / "half").write_text("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert os.listdir(tmp_path) == []


def test_the_loser_of_a_race_keeps_what_stands(tmp_path: Path) -> None:
    first = made(tmp_path / "k", "first")
    assert made(tmp_path / "k", "second") == first
    assert (tmp_path / "k" / "deep" / "a.txt").read_text() == "first" and os.listdir(tmp_path) == ["k"]


def test_every_kind_of_damage_is_found(tmp_path: Path) -> None:
    manifest = made(tmp_path / "k")
    place = tmp_path / "k" / "b.bin"
    good = place.read_bytes()
    for bit in (0, 1000, 2047):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << (bit % 8)
        place.write_bytes(bad)
        assert manifest.verify(tmp_path / "k") == ["b.bin: damaged (hash does not fit)"]
    place.write_bytes(good[:-1])
    assert "255 bytes, should be 256" in manifest.verify(tmp_path / "k")[0]
    place.unlink()
    assert manifest.verify(tmp_path / "k") == ["b.bin: missing"]


def test_every_flipped_bit_of_a_manifest_is_found(tmp_path: Path) -> None:
    made(tmp_path / "k")
    place = tmp_path / "k" / MANIFEST
    good = place.read_bytes()
    for index in range(len(good)):
        bad = bytearray(good)
        bad[index] ^= 1
        place.write_bytes(bad)
        try:
            same = Manifest.read(tmp_path / "k")
        except DataError:
            continue
        assert chr(good[index]).isspace(), f"byte {index} may change unseen: {same}"


def test_missing_newer_and_foreign_manifests(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a finished artifact"):
        Crumb.open(tmp_path)
    Manifest("TestCrumb", format=99).write(tmp_path)
    with pytest.raises(DataError, match="newer"):
        Crumb.open(tmp_path)
    Manifest("Corpus").write(tmp_path)
    with pytest.raises(DataError, match="holds Corpus, not TestCrumb"):
        Crumb.open(tmp_path)


def test_receipts_spare_hashing_only_while_sizes_fit(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("abc")
    known = {"a": {"bytes": 3, "hash": "xxh3:known"}}
    assert inventory(tmp_path, known)["a"]["hash"] == "xxh3:known"
    (tmp_path / "a").write_text("abcd")
    assert inventory(tmp_path, known)["a"]["hash"] == hash_file(tmp_path / "a")


def test_digest_ignores_order_of_keys_only() -> None:
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 1.5}) and digest([1, 2]) != digest([2, 1])


def test_durable_writes_replace_whole_files(tmp_path: Path) -> None:
    write_durably(tmp_path / "f", b"one")
    write_durably(tmp_path / "f", b"two")
    assert (tmp_path / "f").read_bytes() == b"two" and os.listdir(tmp_path) == ["f"]
    with pytest.raises(DiskError):
        write_durably(tmp_path / "no" / "f", b"x")


def test_sweep_takes_temporary_things_only(tmp_path: Path) -> None:
    (tmp_path / ".tmp-a").mkdir()
    (tmp_path / ".tmp-b").write_text("x")
    (tmp_path / "keep").write_text("x")
    sweep(tmp_path, names=".tmp-other-*")
    assert len(os.listdir(tmp_path)) == 3
    sweep(tmp_path)
    assert os.listdir(tmp_path) == ["keep"]


def test_store_finds_what_was_committed(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert store.find(Crumb, "k") is None
    with store.making("TestCrumb", "k"):
        made(store.place("TestCrumb", "k"))
    found = store.find(Crumb, "k")
    assert found and found.key == "k" and "TestCrumb" in repr(found)
    assert list(store.places()) == [found.path]


def test_a_path_reference_opens_artifacts_and_adopts_folders(tmp_path: Path) -> None:
    made(tmp_path / "k")
    assert open_outside((Crumb,), tmp_path / "k").key == "k"
    (tmp_path / "foreign").mkdir()
    with pytest.raises(DataError, match=r"has no manifest\.json"):
        open_outside((Crumb,), tmp_path / "foreign")
    (tmp_path / "foreign" / "crumb.txt").write_text("x")
    first = open_outside((Crumb,), tmp_path / "foreign").key
    (tmp_path / "foreign" / "crumb.txt").write_text("y")
    assert open_outside((Crumb,), tmp_path / "foreign").key != first
    with pytest.raises(DataError, match="no such folder"):
        open_outside((Crumb,), tmp_path / "nowhere")
    Manifest("Corpus").write(tmp_path / "foreign")
    with pytest.raises(DataError, match="holds Corpus, needs TestCrumb"):
        open_outside((Crumb,), tmp_path / "foreign")


def test_manifest_is_readable_json(tmp_path: Path) -> None:
    made(tmp_path / "k")
    body = json.loads((tmp_path / "k" / MANIFEST).read_text())
    assert body["type"] == "TestCrumb" and body["files"]["b.bin"]["bytes"] == 256
