"""Files in object stores and other places that fsspec knows (`s3://`, `gs://`), fetched and then read like files here."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import field_validator

from ropewalk.core.artifact import digest, write_durably
from ropewalk.core.component import RUNTIME
from ropewalk.core.errors import DataError, MissingExtra, NetworkError, RopewalkError
from ropewalk.data.sources.download import facts_of, file_name
from ropewalk.data.sources.fetched import Fetched
from ropewalk.data.sources.files import Files
from ropewalk.data.sources.source import Ready

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

ELSEWHERE = {
    "file": "files with path:",
    "local": "files with path:",
    "http": "http",
    "https": "http",
}
"""Schemes that another source reads, under its own rules."""
SECRET = re.compile(r"(?i)secret|token|password|key")


class Remote(Fetched, type="remote"):
    """Files, folders and patterns of an object store: `s3://bucket/data/*.jsonl.gz`. Needs the extra `cloud` for s3 and gs."""

    options: Annotated[dict[str, str | int | bool], RUNTIME] = {}
    """What fsspec's file system takes, such as `anon: true` or `endpoint_url`; no secrets, which it finds in the environment."""

    @field_validator("options")
    @classmethod
    def _no_secrets(cls, options: dict[str, str | int | bool]) -> dict[str, str | int | bool]:
        found = [name for name in options if SECRET.search(name)]
        if found:
            raise ValueError(f"{found[0]} may be a secret: put it where the store's own tools look for it, such as the environment")
        return options

    def check(self) -> None:
        """Raises DataError or MissingExtra for an address that can't be asked; asks nobody."""
        for url in self.urls:
            self._system(url)

    def fingerprint(self) -> Any:
        """Names of the files and what the store says to tell their versions apart."""
        self.check()
        facts = [[url, version] for url, version in self._found()]
        return {"files": len(facts), "hash": digest(facts)}

    def ready(self, work: Path) -> Ready:
        """Everything fetched, as a source of files."""
        found = dict(self._found())

        def fetch(url: str, folder: Path) -> tuple[Path, dict[str, Any]]:
            return self._fetched(url, found[url], folder)

        files = self.in_parallel(fetch, list(found), work)
        reader = Files(path=[path for path, _ in files], **self.shared())
        return Ready(reader.ready(work / "unpacked").source, tuple(facts for _, facts in files))

    def _system(self, url: str) -> AbstractFileSystem:
        import fsspec

        scheme, separator, _ = url.partition("://")
        if not separator or "::" in url:
            raise DataError(f"{url}: not an address such as s3://bucket/data/*.jsonl", remedy="one scheme, without `::`")
        if scheme in ELSEWHERE:
            raise DataError(f"{url}: is not for this source", remedy=f"use type: {ELSEWHERE[scheme]}")
        try:
            return fsspec.filesystem(scheme, **self.options)
        except ImportError as error:
            remedy = "pip install 'ropewalk[cloud]' (s3, gs), or the package that is named"
            raise MissingExtra(f"{url}: {error}", remedy=remedy) from None
        except ValueError as error:
            raise DataError(f"{url}: {error}", remedy="schemes are s3, gs and others that fsspec knows") from None

    def _found(self) -> list[tuple[str, str]]:
        """(address, what tells its version) of every file, sorted; NetworkError when the store doesn't answer."""
        found: dict[str, str] = {}
        for url in self.urls:
            system, scheme = self._system(url), url.partition("://")[0]
            try:
                names = system.glob(url) if re.search(r"[*?\[]", url) else system.find(url)
                kept = [name for name in names if system.isfile(name)]
                found |= {f"{scheme}://{str(name).removeprefix(f'{scheme}://').lstrip('/')}": _version(system, name) for name in kept}
            except RopewalkError:
                raise
            except Exception as error:  # each store has errors of its own
                raise NetworkError(f"{url}: {type(error).__name__}: {error}", remedy="look at the address and at your access") from None
            if not kept:
                raise DataError(f"{url}: no file fits", remedy="look at the address or pattern")
        return sorted(found.items())

    def _fetched(self, url: str, version: str, folder: Path) -> tuple[Path, dict[str, Any]]:
        place, note = folder / "file" / file_name(url), folder / "done.json"
        if note.is_file() and place.is_file():
            before = json.loads(note.read_bytes())
            if before["version"] == version and before["facts"] == {"url": url, **facts_of(place)}:
                return place, before["facts"]
        place.parent.mkdir(parents=True, exist_ok=True)
        system, part = self._system(url), folder / "part"
        try:
            size = system.size(url)
            system.get_file(url, str(part))
        except Exception as error:
            raise NetworkError(f"{url}: {type(error).__name__}: {error}", remedy="the same command fetches what is missing") from None
        facts = {"url": url, **facts_of(part)}
        if size is not None and facts["bytes"] != size:
            raise NetworkError(f"{url}: {facts['bytes']:,} of {size:,} bytes came", remedy="the same command fetches it again")
        os.replace(part, place)
        write_durably(note, json.dumps({"version": version, "facts": facts}).encode())
        return place, facts


def _version(system: AbstractFileSystem, name: str) -> str:
    """The store's own hash of a file where it has one, else its size and time."""
    facts = system.info(name)
    known = [str(facts[field]) for field in ("ETag", "etag", "md5Hash", "crc32c", "content_md5") if facts.get(field)]
    return known[0] if known else digest([facts.get("size"), *(str(facts.get(field)) for field in ("mtime", "LastModified", "created"))])
