"""Zip and tar archives as folders of files: unpacked once into the unfinished work, under names of our own.

A member's name never becomes a path on disk, so it can't lead anywhere; links and devices are left out. Sizes are limited as the
stream is read, whatever the archive says of itself.
"""

from __future__ import annotations

import io
import json
import os
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from ropewalk.core.artifact import beside, write_durably
from ropewalk.core.errors import DataError
from ropewalk.core.log import LOGGER
from ropewalk.data.sources.damage import CorruptFile
from ropewalk.data.sources.found import FoundFile, fault, stem
from ropewalk.data.sources.opener import plain_stream
from ropewalk.data.sources.packed import Growth, unsuffixed
from ropewalk.data.sources.tar import Kind, Member, tar_members

NAMES = (".zip", ".tar", ".tgz", ".tbz2", ".txz", ".tzst")
MAX_MEMBERS = 100_000
MAX_DIRECTORY_BYTES = 16 << 20  # of a zip's list of members, which is read whole
BLOCK_BYTES = 1 << 20
LISTED = "members.json"
_SUFFIXES = re.compile(r"(\.[A-Za-z0-9]{1,8}){1,3}$")


class UnsafeName(Exception):
    """A member's name that leads out of the archive, or is none on some system."""


def is_archive(file: FoundFile) -> bool:
    """By its name: many a format is a zip inside."""
    return unsuffixed(file.name.lower()).endswith(NAMES) and not fault(file.path)


def unpack(archive: FoundFile, place: Path, suffixes: tuple[str, ...], max_unpacked: int | None, *, skip: bool) -> list[FoundFile]:
    """The archive's files, with `ARCHIVE/MEMBER` as names; done once and kept. An unsafe or damaged one raises DataError.

    With `skip` the members before the damage are kept, and the archive itself stands behind them with what is wrong.
    """
    if not (place / LISTED).is_file():
        with beside(place) as folder:
            names, damage = _written(archive, folder, suffixes, Growth(max_unpacked))
            if damage and not skip:
                raise DataError(
                    f"{archive.path}: {damage}", remedy="get the archive again, or set on_corrupt: skip to keep what could be read"
                )
            write_durably(folder / LISTED, json.dumps({"names": names, "damage": damage}).encode())
            os.rename(folder, place)
    listed = json.loads((place / LISTED).read_bytes())
    found = [
        FoundFile(f"{archive.name}/{name}", place / own, name.rpartition("/")[0].rpartition("/")[2] or stem(archive.name))
        for own, name in listed["names"].items()
    ]
    found.sort()
    return [*found, FoundFile(archive.name, archive.path, damage=listed["damage"])] if listed["damage"] else found


def _written(archive: FoundFile, folder: Path, suffixes: tuple[str, ...], growth: Growth) -> tuple[dict[str, str], str]:
    """(own name on disk -> member's name, what is wrong with the archive) with the wanted members written to a folder."""
    names: dict[str, str] = {}
    seen: set[str] = set()
    left_out = 0
    try:
        for number, member in enumerate(_members(archive.path, growth)):
            if number >= MAX_MEMBERS:
                raise CorruptFile(f"holds more than {MAX_MEMBERS:,} members")
            name = safe_name(member.name)
            if member.kind == "other":
                left_out += 1
            if member.kind != "file" or any(part.startswith(".") for part in name.split("/")):
                continue
            if suffixes and not unsuffixed(name).endswith(suffixes):
                continue
            twin = unicodedata.normalize("NFC", name).casefold()
            if twin in seen:
                raise UnsafeName(f"{name!r} is there twice, or differs in case or accents' spelling only")
            seen.add(twin)
            ending = _SUFFIXES.search(name)
            own = f"{number:06d}{ending[0] if ending else ''}"
            with (folder / own).open("xb") as file:
                try:
                    for block in member.blocks:
                        file.write(block)
                except CorruptFile:
                    (folder / own).unlink()
                    raise
            names[own] = name
    except UnsafeName as error:
        raise DataError(f"{archive.path}: {error}", remedy="make the archive anew; nothing of it is read") from None
    except CorruptFile as error:
        return names, f"truncated after {len(names):,} files: {error}" if names else str(error)
    if left_out:
        LOGGER.warning("%s: %d links and devices left out", archive.name, left_out)
    return names, ""


def safe_name(name: str) -> str:
    """A member's name with `/` between its parts. Raises UnsafeName for one that leads elsewhere."""
    said = name[:100].encode("unicode_escape").decode()
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or re.match("[A-Za-z]:", name):
        raise UnsafeName(f"the member {said} has an absolute path")
    if ".." in parts:
        raise UnsafeName(f"the member {said} leads out of the archive")
    if "\\" in name or any(ord(character) < 32 or 0xD800 <= ord(character) < 0xE000 for character in name):
        raise UnsafeName(f"the member {said} has a backslash or control character in its name")
    if any(len(part.encode()) > 255 for part in parts) or len(name) > 4096:
        raise UnsafeName(f"the member {said}… has too long a name")
    if any(re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?", part) for part in parts):
        raise UnsafeName(f"the member {said} is called like a device")
    return "/".join(parts)


def _members(path: Path, growth: Growth) -> Iterator[Member]:
    with path.open("rb") as raw:
        if raw.peek(4)[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
            yield from _zip_members(path, raw, growth)
        else:
            yield from tar_members(plain_stream(path, raw, growth))


def _zip_members(path: Path, raw: io.BufferedReader, growth: Growth) -> Iterator[Member]:
    if _directory_bytes(raw) > MAX_DIRECTORY_BYTES:
        raise CorruptFile(f"lists more than {MAX_MEMBERS:,} members")
    try:
        with zipfile.ZipFile(raw) as opened:
            for info in opened.infolist():
                # Unix keeps a file's kind in these bits; 0 where another system made the archive.
                kind: Kind = "folder" if info.is_dir() else "file" if info.external_attr >> 28 in (0, 8) else "other"
                # zipfile cuts a name at its first NUL; the list has it whole.
                yield Member(info.orig_filename, kind, _zip_blocks(opened, info, growth, path.stat().st_size))
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise CorruptFile(f"damaged zip archive: {error}") from None


def _directory_bytes(raw: io.BufferedReader) -> int:
    """The size of a zip's list of members, as its end says and as it will be read."""
    raw.seek(0, io.SEEK_END)
    raw.seek(max(0, raw.tell() - (1 << 16) - 76))
    end = raw.read()
    raw.seek(0)
    place, large = end.rfind(b"PK\x05\x06"), end.rfind(b"PK\x06\x06")
    size = int.from_bytes(end[place + 12 : place + 16], "little") if place >= 0 else 0
    return max(size if size < 0xFFFFFFFF else 0, int.from_bytes(end[large + 40 : large + 48], "little") if large >= 0 else 0)


def _zip_blocks(opened: zipfile.ZipFile, info: zipfile.ZipInfo, growth: Growth, packed_bytes: int) -> Iterator[bytes]:
    if info.flag_bits & 1:
        raise CorruptFile(f"the member {info.filename!r} is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise CorruptFile(f"the member {info.filename!r} is packed in a way that is not read here (stored and deflate are)")
    try:
        with opened.open(info) as member:
            while block := member.read(BLOCK_BYTES):
                growth.add(len(block), packed_bytes)
                yield block
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise CorruptFile(f"the member {info.filename!r} is damaged: {error}") from None
