"""Files and paged JSON over HTTP: several at once, tried again, resumed, verified, then read like files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from ropewalk.core.component import RUNTIME
from ropewalk.core.units import Bytes, Seconds
from ropewalk.data.sources.address import checked, shown
from ropewalk.data.sources.download import Limits, Pin, download
from ropewalk.data.sources.fetched import Fetched
from ropewalk.data.sources.files import Files
from ropewalk.data.sources.json import Json
from ropewalk.data.sources.paging import Pages, fetch_pages
from ropewalk.data.sources.source import Ready, Source
from ropewalk.data.sources.web import Access

Sha256 = Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{64}$")]


class Http(Fetched, type="http"):
    """Downloads files over http or https, or JSON page by page. Same addresses, same artifact: pin what may change by `sha256`."""

    pages: Pages | None = None
    """The addresses are of paged JSON, whose pages follow each other like this."""
    sha256: Sha256 | dict[str, Sha256] = {}
    """What the file must hash to, or address -> hash."""
    size: Bytes | dict[str, Bytes] = {}
    """How many bytes the file must have, or address -> bytes."""
    token_variable: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    """Name of an environment variable with a bearer token, which goes to the addresses' own host only and is written nowhere."""
    allow_private: Annotated[bool, RUNTIME] = False
    """Also ask addresses of this machine and of private networks."""
    retries: Annotated[int, Field(ge=0, le=100), RUNTIME] = 5
    """How often a cut, a time-out or a busy server (408, 425, 429, 5xx) is tried again."""
    backoff: Annotated[Seconds, Field(ge=0), RUNTIME] = 1.0
    """Seconds before the second try; doubled each time, up to a minute."""
    timeout: Annotated[Seconds, Field(gt=0, le=3600), RUNTIME] = 30.0
    """Seconds without an answer, or with less than 1 KiB of one, after which a try is given up."""
    max_bytes: Annotated[Bytes, Field(gt=0), RUNTIME] = 64 << 30
    """The largest file, or all of an address's pages; more is an error."""
    max_seconds: Annotated[Seconds, Field(gt=0), RUNTIME] = 86400.0
    """The longest time for one address."""

    @model_validator(mode="after")
    def _pinned_are_known(self) -> Self:
        for name, pins in (("sha256", self.sha256), ("size", self.size)):
            if pins and self.pages is not None:
                raise ValueError(f"{name} pins files, not pages")
            if not isinstance(pins, dict):
                if len(self.urls) > 1:
                    raise ValueError(f"{name} must be a mapping from address to value where there are several")
            elif unknown := [shown(url) for url in pins if url not in self.urls]:
                raise ValueError(f"{name}: {unknown[0]} is not among the addresses")
        if len(set(self.urls)) < len(self.urls):
            raise ValueError("an address is there twice")
        return self

    def check(self) -> None:
        """Raises DataError for an address that may not be asked; asks nobody."""
        for url in self.urls:
            checked(url)

    def fingerprint(self) -> Any:
        """Nothing besides the addresses and pins: what `check` does comes before any work."""
        self.check()

    def ready(self, work: Path) -> Ready:
        """Everything fetched, as a source of files."""
        access = Access(self.timeout, self.allow_private, self.token_variable or "")
        limits = Limits(self.retries, self.backoff, self.max_bytes, self.max_seconds)

        def paged(url: str, folder: Path) -> tuple[list[Path], list[dict[str, Any]]]:
            files = fetch_pages(url, folder, self.pages or Pages(), access, limits)
            return files, [{"url": shown(url), "pages": len(files), "bytes": sum(file.stat().st_size for file in files)}]

        def whole(url: str, folder: Path) -> tuple[list[Path], list[dict[str, Any]]]:
            file, facts = download(url, folder, self._pin(url), access, limits)
            return [file], [facts]

        found = self.in_parallel(paged if self.pages else whole, self.urls, work)
        paths = [path for files, _ in found for path in files]
        fetched = tuple(fact for _, facts in found for fact in facts)
        return Ready(self._reader(paths).ready(work / "unpacked").source, fetched)

    def _pin(self, url: str) -> Pin:
        sha256 = self.sha256.get(url, "") if isinstance(self.sha256, dict) else self.sha256
        return Pin(sha256, self.size.get(url) if isinstance(self.size, dict) else self.size)

    def _reader(self, paths: list[Path]) -> Source:
        shared = self.shared()
        if self.pages is None:
            return Files(path=paths, **shared)
        shared["name"] = self.name or checked(self.urls[0]).hostname
        return Json(path=paths, rows=self.pages.rows, **shared)
