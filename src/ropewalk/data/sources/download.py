"""Downloads a file so that it is whole or not there: resumed after a cut or a kill, verified, then renamed to its place."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from ropewalk.core.artifact import write_durably
from ropewalk.core.errors import DataError, NetworkError
from ropewalk.core.log import LOGGER
from ropewalk.core.units import show_bytes, show_seconds
from ropewalk.data.sources.address import shown
from ropewalk.data.sources.web import Access, Answer, Refused, TryAgain, asked

T = TypeVar("T")
MAX_WAIT_SECONDS = 60.0
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Limits:
    """How long and how much is tried."""

    retries: int
    backoff: float
    """Seconds before the second try; doubled each time."""
    max_bytes: int
    max_seconds: float


@dataclass(frozen=True)
class Pin:
    """What a file must be: its sha256 and its size, where they are known."""

    sha256: str = ""
    size: int | None = None

    def fault(self, facts: Mapping[str, Any]) -> str:
        """How a file differs, or nothing."""
        if self.size is not None and facts["bytes"] != self.size:
            return f"has {facts['bytes']:,} bytes, not the {self.size:,} that were pinned"
        if self.sha256 and facts["sha256"] != self.sha256.lower():
            return f"has the sha256 {facts['sha256']}, not the {self.sha256.lower()} that was pinned"
        return ""


def file_name(url: str) -> str:
    """What a download is called: the last part of its path, in characters that are safe anywhere."""
    last = unquote(urlsplit(url).path).rpartition("/")[2]
    return _UNSAFE.sub("-", last).strip(".-")[-150:] or "file"


def download(url: str, folder: Path, pin: Pin, access: Access, limits: Limits) -> tuple[Path, dict[str, Any]]:
    """(file, its url, bytes and sha256). Raises NetworkError after the last try, DataError for what is not what it should be."""
    place, note = folder / "file" / file_name(url), folder / "done.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    if note.is_file() and place.is_file():
        facts = json.loads(note.read_bytes())
        if facts["url"] == shown(url) and facts == {"url": shown(url), **facts_of(place)} and not pin.fault(facts):
            return place, facts
    part = folder / "part"
    if pin.size is not None and pin.size > limits.max_bytes:
        raise DataError(f"{shown(url)}: is pinned to more than max_bytes ({show_bytes(limits.max_bytes)})", remedy="raise max_bytes")
    deadline = time.monotonic() + limits.max_seconds
    insist(url, lambda: _fetch(url, part, pin, access, limits, deadline), limits, deadline)
    facts = {"url": shown(url), **facts_of(part)}
    if wrong := pin.fault(facts):
        part.unlink()
        raise DataError(f"{shown(url)}: {wrong}", remedy="see whether the file changed; if it may, pin its new sha256 and size")
    with part.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(part, place)
    (folder / "validator").unlink(missing_ok=True)
    write_durably(note, json.dumps(facts).encode())
    LOGGER.info("fetched %s: %s, sha256 %s", shown(url), show_bytes(facts["bytes"]), facts["sha256"])
    return place, facts


def insist(url: str, attempt: Callable[[], T], limits: Limits, deadline: float) -> T:
    """What the attempt gives, tried again with growing waits; the typed error with the address otherwise."""
    for tried in range(limits.retries + 1):
        try:
            return attempt()
        except Refused as error:
            raise NetworkError(f"{shown(url)}: {error}", remedy="look at the address; trying again would not help") from None
        except TryAgain as error:
            wait = min(MAX_WAIT_SECONDS, max(error.seconds, limits.backoff * 2**tried))
            late = time.monotonic() + wait > deadline
            if tried == limits.retries or late:
                what = f"more than max_seconds ({show_seconds(limits.max_seconds)})" if late else f"{tried + 1} tries"
                remedy = "the same command goes on where it stopped; raise retries or timeout for a slow server"
                raise NetworkError(f"{shown(url)}: {error} (after {what})", remedy=remedy) from None
            LOGGER.warning("%s: %s; trying again in %s", shown(url), error, show_seconds(wait))
            time.sleep(wait)
    raise AssertionError("the last try returns or raises")


def _fetch(url: str, part: Path, pin: Pin, access: Access, limits: Limits, deadline: float) -> None:
    """One try: what is missing of `part`, or all of it anew."""
    validator = part.with_name("validator")
    have = part.stat().st_size if part.is_file() else 0
    known = validator.read_text() if validator.is_file() else ""
    if have and pin.size == have:
        return
    headers = {"Range": f"bytes={have}-", "If-Range": known} if have and known else {}
    with asked(url, headers, access) as answer:
        if not headers and answer.status != 200:
            raise Refused(f"the server says {answer.status}, though all was asked for")
        begin = _begin(answer, have)
        if begin is None:
            part.unlink()
            raise TryAgain("the server has not the part that is missing; beginning anew")
        total = begin + answer.length if answer.length is not None else None
        if total is not None and total > limits.max_bytes:
            raise _too_large(url, limits)
        if not begin:
            validator.write_text(_validator(answer))
        with part.open("ab" if begin else "wb") as file:
            for block in answer.blocks():
                file.write(block)
                if file.tell() > limits.max_bytes:
                    raise _too_large(url, limits)
                if time.monotonic() > deadline:
                    raise TryAgain("not finished in time", limits.max_seconds)


def _begin(answer: Answer, have: int) -> int | None:
    """Where the answer's body begins in the file; None where that is not what was asked for."""
    if answer.status == 200:
        return 0
    match = re.fullmatch(r"bytes (\d+)-\d+/(?:\d+|\*)", answer.header("Content-Range"))
    return have if match and int(match[1]) == have else None


def _validator(answer: Answer) -> str:
    """What tells one version of a file from the next; weak tags don't."""
    tag = answer.header("ETag")
    return tag if tag and not tag.startswith("W/") else answer.header("Last-Modified")


def _too_large(url: str, limits: Limits) -> DataError:
    return DataError(f"{shown(url)}: is larger than max_bytes ({show_bytes(limits.max_bytes)})", remedy="raise max_bytes if it may be")


def facts_of(path: Path) -> dict[str, Any]:
    """A file's bytes and sha256."""
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
