"""Opening: packed or not by first bytes; cut, damaged and foreign files are told apart from whole ones."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import zlib
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.data.sources import opener, packed
from ropewalk.data.sources.damage import CorruptFile
from ropewalk.data.sources.opener import is_text, opened

PACK = {
    "gz": lambda data: gzip.compress(data, mtime=0),
    "zst": zstandard.ZstdCompressor(write_checksum=True).compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}
TEXT = random.Random(0).randbytes(3000) * 3


def read(path: Path) -> bytes:
    with opened(path) as file:
        return file.read()


@pytest.mark.parametrize("kind", PACK)
@given(parts=st.lists(st.binary(max_size=300), min_size=1, max_size=4), step=st.integers(1, 64), padded=st.booleans())
def test_members_follow_each_other_whatever_the_step(
    tmp_path_factory: pytest.TempPathFactory, kind: str, parts: list[bytes], step: int, padded: bool
) -> None:
    path = tmp_path_factory.mktemp("packed") / "file"
    path.write_bytes(b"".join(map(PACK[kind], parts)) + b"\0" * 5 * padded)
    whole = b"".join(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed, "STEP_BYTES", step)
        if not whole.startswith(opener.UTF_16):
            assert read(path) == whole.removeprefix(opener.BYTE_ORDER_MARK)


def pour(path: Path, into: bytearray) -> None:
    with opened(path) as file:
        while block := file.read1(1000):
            into += block


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("part", [0.01, 0.5, 0.999])
def test_a_cut_file_gives_what_it_holds_and_then_fails(tmp_path: Path, kind: str, part: float) -> None:
    whole = random.Random(1).randbytes(600_000)
    data = PACK[kind](whole)
    (tmp_path / "file").write_bytes(data[: int(len(data) * part)])
    got = bytearray()
    with pytest.raises(CorruptFile, match="ends early") as caught:
        pour(tmp_path / "file", got)
    assert whole.startswith(got) and caught.value.offset == (tmp_path / "file").stat().st_size
    block = {"bz2": 1.5, "xz": 1}.get(kind, 0.25)  # bz2 gives whole blocks of 900 kB
    assert len(got) > (part - block) * len(whole)


@pytest.mark.parametrize("kind", PACK)
def test_no_flipped_byte_goes_unseen(tmp_path: Path, kind: str) -> None:
    data = PACK[kind](TEXT)
    for place in range(20, len(data), 97):
        (tmp_path / "file").write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        with pytest.raises(CorruptFile):
            read(tmp_path / "file")


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.jsonl", b"PK\x03\x04rest", "is a zip file"),
        ("a.jsonl", "text".encode("utf-16"), "is UTF-16"),
        ("a.jsonl.gz", b"\x89PNG\0", "named .gz but does not begin like one"),
        ("a.jsonl.zst", b"", "named .zst but does not begin like one"),
    ],
)
def test_a_foreign_file_is_named(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(CorruptFile, match=said):
        read(tmp_path / name)


def test_zeros_that_grow_a_thousandfold_take_no_memory_at_once(tmp_path: Path) -> None:
    import tracemalloc

    (tmp_path / "a.zst").write_bytes(PACK["zst"](bytes(300 << 20)))
    tracemalloc.start()
    with opened(tmp_path / "a.zst") as file:
        total = sum(iter(lambda: len(file.read(1 << 20)), 0))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == 300 << 20 and peak < 160 << 20


@pytest.mark.parametrize("kind", ["gz", "zst", "bz2", "xz"])
def test_what_grows_beyond_all_measure_is_stopped_and_what_grows_a_hundredfold_is_not(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "BOMB_BYTES", 4 << 20)
    (tmp_path / "bomb").write_bytes(PACK[kind](bytes(64 << 20)))
    got = bytearray()
    with pytest.raises(CorruptFile, match=r"grows [\d,]+-fold, beyond .*taken for a bomb"):
        pour(tmp_path / "bomb", got)
    assert 4 << 20 <= len(got) <= 40 << 20 and not any(got)
    noise = random.Random(0).randbytes(1 << 16)
    legitimate = b"".join(noise[place : place + 656] + bytes(65536 - 656) for place in range(0, len(noise), 656))
    (tmp_path / "fine").write_bytes(PACK[kind](legitimate))
    assert len(legitimate) > packed.BOMB_BYTES and 60 < len(legitimate) / (tmp_path / "fine").stat().st_size < 200
    assert read(tmp_path / "fine") == legitimate


def test_a_limit_that_was_set_holds_for_members_together_and_whatever_the_ratio(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(TEXT) * 3)
    with pytest.raises(CorruptFile, match="grows beyond max_unpacked"), opened(path, 2 * len(TEXT)) as file:
        file.read()
    with opened(path, 3 * len(TEXT)) as file:
        assert file.read() == TEXT * 3


def test_a_file_that_asks_for_gigabytes_to_be_unpacked_is_refused(tmp_path: Path) -> None:
    greedy = bytearray(lzma.compress(b"x", filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 4096}]))
    header = greedy[12:24]  # xz's block header: its last filter byte is the dictionary's size, then a CRC
    header[4] = 36
    header[8:12] = zlib.crc32(bytes(header[:8])).to_bytes(4, "little")
    greedy[12:24] = header
    (tmp_path / "a.xz").write_bytes(bytes(greedy))
    with pytest.raises(CorruptFile, match="damaged: Memory usage limit"):
        read(tmp_path / "a.xz")


def test_text_is_told_from_bytes() -> None:
    assert is_text(b"plain") and is_text("caf\u00e9".encode()[:-1]) and is_text("\u20ac".encode()[:2])
    assert not is_text(b"") and not is_text(b"a\0b") and not is_text(b"caf\xe9 au lait")
