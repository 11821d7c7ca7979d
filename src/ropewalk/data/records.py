"""The records that travel through the data floor: frozen, plain, the same in memory and on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Document:
    """A text with where it comes from; ids and texts are never reinterpreted."""

    id: str
    text: str
    source: str = ""
    license: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ToolCall:
    """A call of a tool; `arguments` is parsed JSON."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Message:
    """One turn: role is system, user, assistant or tool."""

    role: str
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    name: str = ""
    reasoning: str = ""
    """What led to the content, where the data keep it apart."""


@dataclass(frozen=True)
class Chat:
    """A conversation; `tools` are JSON schemas of the functions it may call."""

    id: str
    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    source: str = ""
    license: str = ""


@dataclass(frozen=True)
class Rejected:
    """A record that could not become a Document or Chat: why, where (`file:line`), and its raw bytes for quarantine."""

    reason: str
    witness: str
    raw: bytes = b""
