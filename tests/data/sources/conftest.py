"""Reading a source to its end, and writing small files for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ropewalk.data.records import Document, Rejected
from ropewalk.data.sources.source import Source

Read = Callable[[Source], tuple[list[Document], list[Rejected]]]


@pytest.fixture
def read_all() -> Read:
    """Every document and every rejected record, over all shards in their order."""

    def read(source: Source) -> tuple[list[Document], list[Rejected]]:
        items = [item for shard in source.shards() for item in source.read(shard)]
        good = [item for item in items if isinstance(item, Document)]
        return good, [item for item in items if isinstance(item, Rejected)]

    return read


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, bytes | list[Any]], Path]:
    """`write("a.jsonl", [{...}])`: bytes as they are, a list as JSON lines."""

    def put(name: str, content: bytes | list[Any]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, bytes) else b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in content)
        path.write_bytes(data)
        return path

    return put
