"""Archives: read like folders, from sizes and names that are never believed; nothing is written outside, whatever a member is called."""

from __future__ import annotations

import gzip
import io
import logging
import random
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from ropewalk.core.errors import DataError
from ropewalk.data.sources import archive, packed
from ropewalk.data.sources.file_source import CORRUPT
from ropewalk.data.sources.files import Files
from ropewalk.data.sources.jsonl import Jsonl

Members = list[tuple[str, bytes]]


def row(name: str) -> bytes:
    return b'{"id": "%s", "text": "of %s"}\n' % (name.encode(), name.encode())


def zipped(members: Members, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        for name, data in members:
            info = zipfile.ZipInfo("x")
            info.filename = info.orig_filename = name
            info.compress_type = method
            made.writestr(info, data)
    return out.getvalue()


def tarred(members: Members, form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as made:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    return out.getvalue()


KINDS: dict[str, Callable[[Members], bytes]] = {
    "a.zip": zipped,
    "a.tar": tarred,
    "a.tar.gz": lambda members: gzip.compress(tarred(members)),
    "a.tgz": lambda members: gzip.compress(tarred(members, tarfile.GNU_FORMAT)),
    "a.tar.zst": lambda members: zstandard.ZstdCompressor().compress(tarred(members, tarfile.USTAR_FORMAT)),
}
GOOD: Members = [
    ("b.jsonl", row("b")),
    ("deep/er/a.jsonl.gz", gzip.compress(row("a"))),
    ("deep/c.txt", b"a text"),
    ("deep/.hidden", b"x"),
    ("__MACOSX/._b.jsonl", b"x"),
]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / "work" / "fetched"


def read(source: Any, work: Path, read_all: Any) -> Any:
    return read_all(source.ready(work).source)


@pytest.mark.parametrize("name", KINDS)
def test_an_archive_is_read_like_the_folder_it_was_made_of(write: Any, work: Path, read_all: Any, name: str) -> None:
    path = write(f"in/{name}", KINDS[name](GOOD))
    documents, rejects = read(Files(path=path), work, read_all)
    assert [(document.id, document.source) for document in documents] == [("b", "a"), (f"{name}/deep/c.txt", "deep"), ("a", "er")]
    assert not rejects
    assert len(read(Files(path=path.parent), work.parent / "again", read_all)[0]) == 3
    only, _ = read(Jsonl(path=path), work.parent / "jsonl", read_all)
    assert [document.id for document in only] == ["b", "a"]


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_names_longer_than_a_tar_header_are_read(write: Any, work: Path, read_all: Any, form: int) -> None:
    name = "/".join(["ä" * 60] * 3) + ".jsonl"
    documents, _ = read(Files(path=write("a.tar", tarred([(name, row("x"))], form))), work, read_all)
    assert [document.id for document in documents] == ["x"]


def test_unpacking_is_done_once_and_begun_anew_after_a_kill(write: Any, work: Path, read_all: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Files(path=write("a.zip", zipped(GOOD)))
    with monkeypatch.context() as patch:
        patch.setattr(archive, "write_durably", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            source.ready(work)
    assert not (work / "00000").exists()
    assert len(read(source, work, read_all)[0]) == 3
    monkeypatch.setattr(archive, "_written", lambda *arguments: pytest.fail("unpacked again"))
    assert len(read(source, work, read_all)[0]) == 3


EVIL = ["../x", "/etc/x", "a/../../x", "..\\x", "a\0b", "CON", "aux.jsonl", "C:/x", "x" * 300, "a\nb"]


def everything(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*")}


@pytest.mark.parametrize("name", EVIL)
@pytest.mark.parametrize("make", [zipped, tarred])
def test_a_member_that_leads_elsewhere_is_named_and_nothing_is_written(
    write: Any, work: Path, tmp_path: Path, make: Any, name: str
) -> None:
    if make is tarred and "\0" in name:
        return  # a tar header ends a name there
    path = write("a.zip" if make is zipped else "a.tar", make([("good.jsonl", row("a")), (name, row("b"))]))
    before = everything(tmp_path)
    for policy in ("error", "skip"):
        with pytest.raises(DataError, match=r"a\.(zip|tar): the member "):
            Files(path=path, on_corrupt=policy).ready(work)
    assert everything(tmp_path) - before <= {"work", "work/fetched"}


@pytest.mark.parametrize("twin", ["A.jsonl", "a.jsonl"])
def test_names_that_are_one_on_some_systems_are_refused(write: Any, work: Path, twin: str) -> None:
    with pytest.raises(DataError, match="is there twice"):
        Files(path=write("a.tar", tarred([("a.jsonl", row("a")), (twin, row("b"))]))).ready(work)
    with pytest.raises(DataError, match="is there twice"):
        Files(path=write("b.tar", tarred([("\u00e9.txt", b"a"), ("e\u0301.txt", b"b")]))).ready(work)


def test_links_and_devices_are_left_out_and_said(
    write: Any, work: Path, tmp_path: Path, read_all: Any, caplog: pytest.LogCaptureFixture
) -> None:
    write("secret.jsonl", row("secret"))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        for number, kind in enumerate((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)):
            info = tarfile.TarInfo(f"{number}.jsonl")
            info.type, info.linkname = kind, str(tmp_path / "secret.jsonl")
            made.addfile(info)
        info = tarfile.TarInfo("good.jsonl")
        info.size = len(row("good"))
        made.addfile(info, io.BytesIO(row("good")))
    link = zipfile.ZipInfo("link.jsonl")
    link.external_attr, link.create_system = 0o120777 << 16, 3
    packed_link = io.BytesIO()
    with zipfile.ZipFile(packed_link, "w") as zip_made:
        zip_made.writestr(link, str(tmp_path / "secret.jsonl"))
        zip_made.writestr("fine.jsonl", row("fine"))
    paths = [write("in/a.tar", out.getvalue()), write("in/b.zip", packed_link.getvalue())]
    with caplog.at_level(logging.WARNING, "ropewalk"):
        documents, _ = read(Files(path=paths), work, read_all)
    assert [document.id for document in documents] == ["good", "fine"]
    assert "a.tar: 4 links and devices left out" in caplog.text and "b.zip: 1 links" in caplog.text
    assert not any(path.is_symlink() for path in work.rglob("*"))


MANY: Members = [
    (f"{number:02d}.jsonl", row(f"d{number}").replace(b"of", b"of %s" % random.Random(number).randbytes(20_000).hex().encode()))
    for number in range(20)
]


@pytest.mark.parametrize("name", [name for name in KINDS if name != "a.zip"])
@pytest.mark.parametrize("part", [0.3, 0.7])
def test_a_cut_archive_stops_or_keeps_what_came_before_and_is_listed(write: Any, work: Path, read_all: Any, name: str, part: float) -> None:
    data = KINDS[name](MANY)
    path = write(name, data[: int(len(data) * part)])
    with pytest.raises(DataError, match=rf"{name}: truncated after \d+ files"):
        Files(path=path).ready(work)
    documents, rejects = read(Files(path=path, on_corrupt="skip"), work, read_all)
    assert 20 * part - 6 < len(documents) <= 20 * part + 1
    assert [document.id for document in documents] == [f"d{number}" for number in range(len(documents))]
    corrupt = [reject for reject in rejects if reject.reason == CORRUPT]
    assert len(corrupt) == 1 and corrupt[0].witness.startswith(f"{name}: truncated after {len(documents)} files")


def test_a_tar_that_ends_between_two_members_is_not_whole(write: Any, work: Path) -> None:
    data = tarred([("a.jsonl", row("a"))])
    with pytest.raises(DataError, match="truncated after 1 files: ends without its end mark"):
        Files(path=write("a.tar", data[:1024])).ready(work)


def test_a_cut_or_changed_zip_is_damage(write: Any, work: Path, read_all: Any) -> None:
    data = zipped(MANY, zipfile.ZIP_STORED)
    with pytest.raises(DataError, match="damaged zip archive"):
        Files(path=write("cut.zip", data[: len(data) // 2])).ready(work)
    place = data.index(b'"d7"') + 40
    path = write("flip.zip", data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    documents, rejects = read(Files(path=path, on_corrupt="skip"), work, read_all)
    assert len(documents) == 7 and "'07.jsonl' is damaged: Bad CRC-32" in rejects[-1].witness


def lying(data: bytes) -> bytes:
    """A zip whose list says that its members are small."""
    place = data.index(b"PK\x01\x02")
    return data[: place + 24] + struct.pack("<I", 100) + data[place + 28 :]


@pytest.mark.parametrize(
    ("name", "make"), [("a.zip", zipped), ("a.zip", lambda members: lying(zipped(members))), ("a.tar.gz", KINDS["a.tar.gz"])]
)
def test_bombs_stop_by_what_comes_not_by_what_is_said(
    write: Any, work: Path, monkeypatch: pytest.MonkeyPatch, name: str, make: Any
) -> None:
    monkeypatch.setattr(packed, "BOMB_BYTES", 4 << 20)
    path = write(name, make([("a.jsonl", bytes(16 << 20))]))
    with pytest.raises(DataError, match=r"taken for a bomb|is damaged"):
        Files(path=path).ready(work)
    assert not [file for file in work.rglob("*") if file.is_file()]
    with pytest.raises(DataError, match=r"grows beyond max_unpacked|is damaged"):
        Files(path=path, max_unpacked="1MiB").ready(work)


def test_members_are_limited_in_number(write: Any, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_MEMBERS", 5)
    for name in ("a.zip", "a.tar"):
        with pytest.raises(DataError, match="holds more than 5 members"):
            Files(path=write(name, KINDS[name](MANY))).ready(work)
    monkeypatch.setattr(archive, "MAX_DIRECTORY_BYTES", 100)
    with pytest.raises(DataError, match="lists more than"):
        Files(path=write("b.zip", zipped(MANY))).ready(work)


def test_what_is_not_read_is_named(write: Any, work: Path) -> None:
    with pytest.raises(DataError, match="packed in a way that is not read"):
        Files(path=write("a.zip", zipped(GOOD, zipfile.ZIP_BZIP2))).ready(work)
    data = bytearray(zipped([("a.jsonl", row("a"))]))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(DataError, match="is encrypted"):
        Files(path=write("b.zip", bytes(data))).ready(work)
    with pytest.raises(DataError, match="is no tar archive"):
        Files(path=write("c.tar", b"plain text" * 100)).ready(work)


def test_a_note_in_a_tar_that_would_fill_memory_is_refused(write: Any, work: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = b"x", 1 << 30
    with pytest.raises(DataError, match="longer than 1 MiB"):
        Files(path=write("a.tar", info.tobuf(tarfile.USTAR_FORMAT) + bytes(1024))).ready(work)
