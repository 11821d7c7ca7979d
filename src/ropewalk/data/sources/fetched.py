"""What sources share that fetch files from elsewhere and then read them like files here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from ropewalk.core.component import RUNTIME
from ropewalk.core.errors import DataError
from ropewalk.core.shards import Shard
from ropewalk.data.records import Document, Rejected
from ropewalk.data.sources.source import Source

T = TypeVar("T")


class Fetched(Source):
    """Fetches into the stage's unfinished work, several files at once; what is there already is not fetched again."""

    url: Annotated[str, Field(min_length=1)] | Annotated[list[str], Field(min_length=1)]
    """The address, or several; of each file, format and compression are told by name and first bytes, and archives are unpacked."""
    text: str = "text"
    """The field that holds the text."""
    id: str | None = None
    """The field that holds the id; else `id`, else the text's hash."""
    on_corrupt: Literal["error", "skip"] = "error"
    """A file that is damaged though it came whole: stop, or keep what could be read and list it."""
    bad_characters: Literal["reject", "replace"] = "reject"
    """Bytes that are not UTF-8: the record is bad, or U+FFFD stands in their place."""
    parallel: Annotated[int, Field(ge=1, le=64), RUNTIME] = 4
    """Downloads at once."""

    @property
    def urls(self) -> list[str]:
        """The addresses as a list."""
        return [self.url] if isinstance(self.url, str) else self.url

    def read(self, shard: Shard) -> Iterator[Document | Rejected]:
        """Only what `ready` made is read."""
        raise DataError(f"{self.tag}: nothing is fetched yet", remedy="call ready(folder) and read the source that it gives")

    def shared(self) -> dict[str, Any]:
        """The policies that the reader of the fetched files gets."""
        names = ("name", "license", "on_bad_record", "max_bad_fraction", "text", "id", "on_corrupt", "bad_characters")
        return {name: getattr(self, name) for name in names}

    def in_parallel(self, fetch: Callable[[str, Path], T], names: Sequence[str], work: Path) -> list[T]:
        """Each name fetched into a folder of its own, in their order; the first error stops what has not begun."""
        with ThreadPoolExecutor(min(self.parallel, len(names))) as pool:
            waiting = [pool.submit(fetch, name, work / f"{number:05d}") for number, name in enumerate(names)]
            try:
                return [future.result() for future in waiting]
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
