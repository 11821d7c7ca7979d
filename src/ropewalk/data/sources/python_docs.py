"""The embedded corpus: the running Python's own documentation, on every machine and with nothing to download."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ropewalk.core.errors import DataError
from ropewalk.core.shards import Shard
from ropewalk.core.units import Count
from ropewalk.data.records import Document, Rejected
from ropewalk.data.sources.docstrings import collected_docs, library_fingerprint, library_root
from ropewalk.data.sources.source import Source


class PythonDocs(Source, type="python_docs"):
    """The documentation of the Python that runs: language topics and the standard library's docstrings (about 2 MB)."""

    name: str = "python_docs"
    """What the documents' `source` column says."""
    license: str = "PSF-2.0"
    """Licence of the texts."""
    limit: Count | None = None
    """Only the first so many documents, for a quick try."""

    def check(self) -> None:
        """The standard library is there as source files."""
        root = library_root()
        if not (root / "os.py").is_file():
            raise DataError(f"{root}: this Python has no standard library in source form", remedy="use a Python with its .py files")

    def fingerprint(self) -> Any:
        """Python's version with the names and sizes of its library's files."""
        return library_fingerprint()

    def shards(self) -> list[Shard]:
        """One: duplicates between modules are only seen by who has read them all (2 s)."""
        return [Shard("00000-python-docs", None)]

    def read(self, shard: Shard) -> Iterator[Document | Rejected]:
        """Topics first, then module by module; a docstring that several places share comes once."""
        for entry in collected_docs(self.limit):
            yield Document(entry.id, entry.text, self.name, self.license, {"kind": entry.kind, "signature": entry.signature})
