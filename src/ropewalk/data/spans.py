"""Spans: documents, and questions about them whose answers are passages of the document, or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ropewalk.core.artifact import Artifact
from ropewalk.core.ledger import write_table
from ropewalk.data.division import Part

Span = tuple[int, int]
"""[start, end) in characters."""


@dataclass(frozen=True)
class SpanExample:
    """A question about a document; any of `spans` answers it, none where nothing does."""

    id: str
    document: str
    group: str
    question: str
    label: str
    spans: tuple[Span, ...]
    part: Part = "train"


class Spans(Artifact, kind="Spans"):
    """texts.parquet (id, text) and examples.parquet."""

    @cached_property
    def texts(self) -> dict[str, str]:
        """Document -> its text."""
        import pyarrow.parquet as pq

        table = pq.read_table(self.path / "texts.parquet")
        return dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))

    def examples(self, part: Part | None = None) -> Iterator[SpanExample]:
        """In order; of one part or of all."""
        import pyarrow.parquet as pq

        for row in pq.read_table(self.path / "examples.parquet").to_pylist():
            if part is None or row["part"] == part:
                yield SpanExample(**{**row, "spans": tuple((span["start"], span["end"]) for span in row["spans"])})


def write_spans(folder: Path, texts: Mapping[str, str], examples: Iterable[SpanExample]) -> None:
    """Write both files."""
    import pyarrow as pa

    rows = list(examples)
    used = {row.document for row in rows}
    kept = {name: text for name, text in texts.items() if name in used}
    span = pa.struct([("start", pa.int64()), ("end", pa.int64())])
    columns = {name: pa.array([getattr(row, name) for row in rows], pa.string()) for name in TEXT_COLUMNS}
    spans = pa.array([[{"start": start, "end": end} for start, end in row.spans] for row in rows], pa.list_(span))
    write_table(pa.table({**columns, "spans": spans}), folder / "examples.parquet")
    texts_table = pa.table({"id": pa.array(list(kept), pa.string()), "text": pa.array(list(kept.values()), pa.large_string())})
    write_table(texts_table, folder / "texts.parquet")


TEXT_COLUMNS = ("id", "document", "group", "question", "label", "part")
