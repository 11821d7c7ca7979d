"""Opening: packed or not by first bytes; cut, damaged and foreign files are told apart from whole ones."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.data.sources import opener, packed
from ropewalk.data.sources.damage import CorruptFile
from ropewalk.data.sources.opener import is_text, opened

PACK = {"gz": lambda data: gzip.compress(data, mtime=0), "zst": zstandard.ZstdCompressor(write_checksum=True).compress}
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
    assert len(got) > (part - 0.25) * len(whole)


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
        ("a.jsonl", bz2.compress(b"x"), "is a bzip2 file"),
        ("a.jsonl", lzma.compress(b"x"), "is a xz file"),
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


def test_text_is_told_from_bytes() -> None:
    assert is_text(b"plain") and is_text("caf\u00e9".encode()[:-1]) and is_text("\u20ac".encode()[:2])
    assert not is_text(b"") and not is_text(b"a\0b") and not is_text(b"caf\xe9 au lait")
