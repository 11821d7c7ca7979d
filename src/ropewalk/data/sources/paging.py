"""Paged JSON: page after page is saved as it comes, and a fetch that was stopped goes on behind the last page that stands."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field

from ropewalk.core.artifact import write_durably
from ropewalk.core.errors import DataError, NetworkError
from ropewalk.data.sources.address import shown
from ropewalk.data.sources.download import Limits, insist
from ropewalk.data.sources.fields import value_at
from ropewalk.data.sources.web import Access, TryAgain, asked

MAX_PAGE_BYTES = 64 << 20


class Pages(BaseModel):
    """How an address's pages follow each other."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    by: Literal["next", "page", "offset", "cursor"] = "next"
    """`next`: each page names the address of the next one; `page` and `offset`: a number in the address counts pages or records;
    `cursor`: each page holds a word that goes into the next one's address."""
    rows: str = ""
    """Dotted path of the records' list in a page; left out where the page is the list."""
    at: str = ""
    """Dotted path of the next address or of the cursor; without one, `next` takes the `Link` header."""
    parameter: str = ""
    """The address's parameter that is set; by default `page`, `offset` or `cursor`, as `by` is."""
    start: Annotated[int, Field(ge=0)] | None = None
    """The first page's number, by default 1, or the first offset, by default 0."""
    max_pages: Annotated[int, Field(gt=0)] = 100_000
    """Stop with an error beyond so many: a server may go on for ever."""


def fetch_pages(url: str, folder: Path, pages: Pages, access: Access, limits: Limits) -> list[Path]:
    """The pages' files in order, `page-000001.json` and so on. Raises as `download` does."""
    folder.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + limits.max_seconds
    found: list[Path] = []
    seen: set[str] = set()
    total = 0
    following: str | None = _first(url, pages)
    while following is not None:
        if following in seen:
            raise DataError(f"{shown(url)}: the pages go in a ring: page {len(found)} leads back", remedy="look at pages.at and pages.by")
        if len(found) >= pages.max_pages:
            raise DataError(f"{shown(url)}: more than {pages.max_pages:,} pages", remedy="raise pages.max_pages if there may be more")
        seen.add(following)
        place = folder / f"page-{len(found) + 1:06d}.json"
        after = place.with_suffix(".next")
        if not after.is_file():
            asking = following
            body, link = insist(asking, lambda: _page(asking, access), limits, deadline)  # noqa: B023
            write_durably(place, body)
            state = json.dumps({"url": following, "next": _next(body, link, following, pages)})
            write_durably(after, state.encode())
        state = json.loads(after.read_bytes())
        if state["url"] != following:
            raise DataError(f"{shown(url)}: page {len(found) + 1} was asked for otherwise before", remedy="--restart begins anew")
        total += place.stat().st_size
        if total > limits.max_bytes:
            raise DataError(f"{shown(url)}: the pages are larger than max_bytes together", remedy="raise max_bytes if they may be")
        if time.monotonic() > deadline:
            raise NetworkError(f"{shown(url)}: not finished within max_seconds", remedy="the same command goes on where it stopped")
        found.append(place)
        following = state["next"]
    return found


def _first(url: str, pages: Pages) -> str:
    if pages.by == "page":
        return _with(url, pages.parameter or "page", 1 if pages.start is None else pages.start)
    return _with(url, pages.parameter or "offset", pages.start or 0) if pages.by == "offset" else url


def _page(url: str, access: Access) -> tuple[bytes, str]:
    """(body, address that its Link header calls next)."""
    with asked(url, {"Accept": "application/json"}, access) as answer:
        body = bytearray()
        for block in answer.blocks():
            body += block
            if len(body) > MAX_PAGE_BYTES:
                raise DataError(f"{shown(url)}: a page of more than 64 MiB", remedy="ask for smaller pages")
        try:
            json.loads(body)
        except (ValueError, RecursionError) as error:
            raise TryAgain(f"the page is not JSON: {error}") from None
        return bytes(body), next((part for part in _links(answer.header("Link"))), "")


def _links(header: str) -> Iterator[str]:
    """The addresses that a Link header calls next."""
    for part in header.split(","):
        target, *notes = part.split(";")
        if any(note.strip().replace('"', "") == "rel=next" for note in notes):
            yield target.strip().strip("<>")


def _next(body: bytes, link: str, url: str, pages: Pages) -> str | None:
    """The address behind this page; None at the end."""
    page = json.loads(body)
    rows = value_at(page, pages.rows) if pages.rows else page
    if not isinstance(rows, list):
        raise DataError(f"{shown(url)}: holds no list{f' at {pages.rows}' if pages.rows else ''}", remedy="name it: pages: {rows: PATH}")
    if pages.by in ("page", "offset"):
        name = pages.parameter or pages.by
        number = int(dict(parse_qsl(urlsplit(url).query))[name])
        return _with(url, name, number + (1 if pages.by == "page" else len(rows))) if rows else None
    found: Any = value_at(page, pages.at) if pages.at else link
    if not isinstance(found, str | int) or isinstance(found, bool) or found == "":
        return None
    return urljoin(url, str(found)) if pages.by == "next" else _with(url, pages.parameter or "cursor", found)


def _with(url: str, name: str, value: object) -> str:
    parts = urlsplit(url)
    query = [(key, text) for key, text in parse_qsl(parts.query, keep_blank_values=True) if key != name]
    return urlunsplit(parts._replace(query=urlencode([*query, (name, str(value))])))
