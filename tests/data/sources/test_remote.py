"""Object stores: files by address and pattern, fetched once and told apart by version; other schemes have other sources."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from pydantic import ValidationError

from ropewalk.core.errors import DataError, MissingExtra, NetworkError
from ropewalk.data.sources.remote import Remote

ROW = b'{"id": "%s", "text": "of %s"}\n'


@pytest.fixture
def store() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    for name in ("a", "b"):
        system.pipe_file(f"/bucket/data/{name}.jsonl.gz", gzip.compress(ROW % (name.encode(), name.encode()), mtime=0))
    system.pipe_file("/bucket/data/deep/c.txt", b"text")
    yield system
    system.rm("/bucket", recursive=True)


def read(remote: Remote, work: Path, read_all: Any) -> list[str]:
    documents, rejects = read_all(remote.ready(work).source)
    assert not rejects
    return [document.id for document in documents]


@pytest.mark.parametrize(
    ("url", "ids"),
    [
        ("memory://bucket/data/*.jsonl.gz", ["a", "b"]),
        ("memory://bucket/data", ["a", "b", "c.txt"]),
        (["memory://bucket/data/deep/c.txt", "memory://bucket/data/a.jsonl.gz"], ["a", "c.txt"]),
    ],
)
def test_files_folders_and_patterns_are_fetched(store: Any, tmp_path: Path, read_all: Any, url: Any, ids: list[str]) -> None:
    assert read(Remote(url=url), tmp_path, read_all) == ids


def test_what_is_there_is_not_fetched_again_unless_it_changed(
    store: Any, tmp_path: Path, read_all: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = Remote(url="memory://bucket/data/*.gz")
    before = remote.fingerprint()
    assert read(remote, tmp_path, read_all) == ["a", "b"] and remote.fingerprint() == before
    fetched: list[str] = []
    real = type(store).get_file

    def get_file(self: Any, name: str, *rest: Any, **named: Any) -> None:
        fetched.append(name)
        real(self, name, *rest, **named)

    monkeypatch.setattr(type(store), "get_file", get_file)
    assert read(remote, tmp_path, read_all) == ["a", "b"] and not fetched
    store.pipe_file("/bucket/data/a.jsonl.gz", gzip.compress(ROW % (b"new", b"new")))
    assert remote.fingerprint() != before
    assert read(remote, tmp_path, read_all) == ["new", "b"] and fetched == ["memory://bucket/data/a.jsonl.gz"]


def test_a_store_that_fails_or_gives_too_little_is_a_network_error(store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = Remote(url="memory://bucket/data/*.gz")
    monkeypatch.setattr(type(store), "get_file", lambda self, name, part, **named: Path(part).write_bytes(b"x"))
    with pytest.raises(NetworkError, match="1 of 45 bytes came"):
        remote.ready(tmp_path)
    monkeypatch.setattr(type(store), "glob", lambda self, url: (_ for _ in ()).throw(PermissionError("no entry")))
    with pytest.raises(NetworkError, match="PermissionError: no entry"):
        remote.fingerprint()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("file:///etc/passwd", "use type: files"),
        ("local:///etc/passwd", "use type: files"),
        ("https://example.org/a", "use type: http"),
        ("simplecache::file:///etc/passwd", "one scheme"),
        ("bucket/data", "one scheme"),
        ("nosuch://bucket/data", "fsspec knows"),
    ],
)
def test_other_addresses_are_refused(url: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        Remote(url=url).check()


def test_what_leads_nowhere_is_said(store: Any) -> None:
    with pytest.raises(DataError, match="no file fits"):
        Remote(url="memory://bucket/*.csv").fingerprint()


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingExtra, match=r"ropewalk\[cloud\]") as caught:
        Remote(url="s3://bucket/a").check()
    assert caught.value.exit_code == 10


def test_secrets_are_refused_as_options() -> None:
    with pytest.raises(ValidationError, match="may be a secret"):
        Remote(url="s3://bucket/a", options={"secret": "x"})
