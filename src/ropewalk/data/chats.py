"""Chats: conversations in Parquet shards `chats/NAME.parquet`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ropewalk.core.artifact import Artifact
from ropewalk.core.ledger import write_table
from ropewalk.core.shards import Shard
from ropewalk.data.records import Chat, Message, ToolCall

if TYPE_CHECKING:
    import pyarrow as pa


class Chats(Artifact, kind="Chats"):
    """Conversations, shard by shard."""

    def shards(self) -> list[Shard]:
        files = sorted((self.path / "chats").glob("*.parquet"))
        return [Shard(path.stem, path, path.stat().st_size) for path in files]

    def chats(self) -> Iterator[Chat]:
        for shard in self.shards():
            yield from read_chats(shard.content)


def schema() -> pa.Schema:
    """id, messages (role, content, tool_calls as JSON, name, reasoning), tools as JSON, source, license."""
    import pyarrow as pa

    message = pa.struct([(name, pa.string()) for name in ("role", "content", "tool_calls", "name", "reasoning")])
    return pa.schema(
        [("id", pa.string()), ("messages", pa.list_(message)), *((name, pa.string()) for name in ("tools", "source", "license"))]
    )


def write_chats(chats: Iterable[Chat], path: Path) -> None:
    import pyarrow as pa

    write_table(pa.Table.from_pylist([_row(chat) for chat in chats], schema()), path)


def read_chats(path: Path) -> Iterator[Chat]:
    import pyarrow.parquet as pq

    for row in pq.read_table(path, schema=schema()).to_pylist():
        messages = tuple(
            Message(
                turn["role"],
                turn["content"],
                tuple(ToolCall(**call) for call in json.loads(turn["tool_calls"] or "[]")),
                turn["name"] or "",
                turn["reasoning"] or "",
            )
            for turn in row["messages"]
        )
        yield Chat(row["id"], messages, tuple(json.loads(row["tools"] or "[]")), row["source"] or "", row["license"] or "")


def _row(chat: Chat) -> dict[str, Any]:
    names = ("role", "content", "name", "reasoning")
    messages = [
        {**{name: getattr(turn, name) for name in names}, "tool_calls": _json([vars(call) for call in turn.tool_calls])}
        for turn in chat.messages
    ]
    return {"id": chat.id, "messages": messages, "tools": _json(list(chat.tools)), "source": chat.source, "license": chat.license}


def _json(items: list[Any]) -> str:
    return json.dumps(items, ensure_ascii=False, sort_keys=True) if items else ""
