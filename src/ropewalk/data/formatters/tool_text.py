"""Tools and their calls as texts have them: JSON, JSON in a string, Python's way of writing a dict."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from typing import Any

from ropewalk.data.records import ToolCall

_SINGLE_QUOTED = re.compile(r"""\A\s*\{\s*"name"\s*:\s*"([^"]*)"\s*,\s*"arguments"\s*:\s*'(.*)'\s*\}\s*\Z""", re.DOTALL)
LONGEST = 1 << 20


def literal(text: str) -> Any:
    """The value that a text writes in JSON or Python; raises ValueError when it writes none."""
    try:
        return json.loads(text, strict=False)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError:
        pass
    try:
        if len(text) > LONGEST:
            raise ValueError("too long")
        return ast.literal_eval(text.strip())
    except (SyntaxError, RecursionError, MemoryError, TypeError):
        raise ValueError("neither JSON nor Python") from None


def call_of(value: Any) -> ToolCall | None:
    """`{function: {name, arguments}}` or `{name, arguments}`; arguments may be an object or its text."""
    body = value.get("function", value) if isinstance(value, Mapping) else None
    if not isinstance(body, Mapping) or not isinstance(body.get("name"), str) or not body["name"].strip():
        return None
    arguments = body.get("arguments", body.get("parameters", {}))
    if isinstance(arguments, str):
        try:
            arguments = literal(arguments) if arguments.strip() else {}
        except ValueError:
            return None
    if arguments is None:
        arguments = {}
    return ToolCall(body["name"], arguments) if isinstance(arguments, dict) and is_plain(arguments) else None


def call_in(text: str) -> ToolCall | None:
    """The call that a text writes, arguments in single quotes too: `{"name": "f", "arguments": '{"a": 1}'}`."""
    found = _SINGLE_QUOTED.match(text)
    if found:
        return call_of({"name": found[1], "arguments": found[2]}) or call_of({"name": found[1], "arguments": found[2].replace("\\'", "'")})
    try:
        return call_of(literal(text))
    except ValueError:
        return None


def tools_of(value: Any) -> list[Mapping[str, Any]] | None:
    """Schemas of functions, given as a list, one of them, or the text of either; None when they are no such thing."""
    if isinstance(value, str):
        if not value.strip():
            return []
        try:
            value = literal(value)
        except ValueError:
            return None
    found = [value] if isinstance(value, Mapping) else value
    if not isinstance(found, list) or not all(isinstance(tool, dict) and is_plain(tool) for tool in found):
        return None
    schemas = [tool["function"] if isinstance(tool.get("function"), dict) else tool for tool in found]
    return schemas if all(isinstance(schema.get("name"), str) for schema in schemas) else None


def objects_in(text: str) -> list[Mapping[str, Any]] | None:
    """The JSON objects that follow one another in a text; None when something else stands between them."""
    decoder, found, place = json.JSONDecoder(strict=False), list[Mapping[str, Any]](), 0
    while place < len(text):
        if text[place].isspace() or text[place] == ",":
            place += 1
            continue
        try:
            value, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            return None
        if not isinstance(value, dict):
            return None
        found.append(value)
    return found


def is_plain(value: Any) -> bool:
    """Whether JSON can write it: Python's literals know sets and bytes too."""
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
