"""Questions and answers about the running Python, made from its own documentation: a small set to fine-tune on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ropewalk.core.shards import Shard
from ropewalk.core.units import Count
from ropewalk.data.records import Document, Rejected
from ropewalk.data.sources.docstrings import collected_docs, library_fingerprint
from ropewalk.data.sources.questions import conversation
from ropewalk.data.sources.source import Record, Source


class PythonDocsQuestions(Source, type="python_docs_questions"):
    """Short chats such as "What does `os.path.join` do?", answered by the first sentence of the docstring.

    A chat's id is its document's in `python_docs`, so that what is held out of one is held out of the other.
    """

    name: str = "python_docs_questions"
    """What the `source` column says."""
    license: str = "PSF-2.0"
    """Licence of the texts."""
    limit: Count | None = None
    """Only from the first so many documents of `python_docs`, for a quick try."""

    def fingerprint(self) -> Any:
        """As for `python_docs`."""
        return library_fingerprint()

    def shards(self) -> list[Shard]:
        """One, as for `python_docs`."""
        return [Shard("00000-python-docs-questions", None)]

    def records(self, shard: Shard) -> Iterator[Record | Rejected]:
        """`{"id": ..., "messages": [{"role": ..., "content": ...}, ...]}`; each answer comes once."""
        answers: set[str] = set()
        for entry in collected_docs(self.limit):
            messages = conversation(entry)
            if messages and messages[1]["content"] not in answers:
                answers.add(messages[1]["content"])
                yield {"id": entry.id, "messages": messages}

    def read(self, shard: Shard) -> Iterator[Document | Rejected]:
        """The chats as plain text, a paragraph a turn."""
        for record in self.records(shard):
            if isinstance(record, Rejected):
                yield record
            else:
                text = "\n\n".join(message["content"] for message in record["messages"])
                yield Document(record["id"], text, self.name, self.license)
