"""From pydantic's findings to problems that say place, path, value and the nearest right word."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from ropewalk.core.errors import Problem
from ropewalk.core.load import Trail, Tree, child, nearest, short

_SAID: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda error: "is required",
    "unknown_key": lambda error: "unknown key",
    "path_type": lambda error: f"expected a path, got {error['input']!r}",
    "float_parsing": lambda error: f"expected a number, got {error['input']!r}",
    "int_parsing": lambda error: f"expected a whole number, got {error['input']!r}",
    "int_from_float": lambda error: f"expected a whole number, got {error['input']!r}",
    "bool_parsing": lambda error: f"expected true or false, got {error['input']!r}",
    "string_type": lambda error: f"expected text, got {error['input']!r}: put it in quotes",
    "unknown_type": lambda error: f"unknown {error['ctx']['family']} {error['ctx']['tag']!r}",
    "value_error": lambda error: str(error.get("ctx", {}).get("error", error["msg"])),
}


def problems_of(error: ValidationError, tree: Tree, above: Trail = ()) -> list[Problem]:
    """Pydantic's findings as problems with place, path, value and the nearest right word; one a path."""
    found: dict[Trail, Problem] = {}
    for item in error.errors():
        trail = _in_tree(tree.value, (*above, *item["loc"]), above)
        choices = [str(choice) for choice in item.get("ctx", {}).get("choices", [])]
        message = _SAID[item["type"]](item) if item["type"] in _SAID else _told(item)
        word = str(item.get("ctx", {}).get("tag", trail[-1] if trail else ""))
        hint = nearest(word, choices) if choices else _explained(tree.value, trail) if item["type"] == "missing" else ""
        problem = Problem(short(trail), message, tree.place(trail), hint)
        if trail not in found or item["type"] not in ("literal_error", "none_required"):
            found.setdefault(trail, problem)
    return list(found.values())


def _explained(value: Any, trail: Trail) -> str:
    """How to read about a field that is missing, where the mapping that lacks it names its type."""
    for part in trail[:-1]:
        value = child(value, part)
    tag = value if isinstance(value, str) else value.get("type") if isinstance(value, dict) else None
    return f"see ropewalk explain {tag}.{trail[-1]}" if tag and trail else ""


def _told(item: Mapping[str, Any]) -> str:
    message = str(item["msg"]).replace("Input should be", "expected")
    value = item["input"]
    return f"{message}, got {value!r}" if isinstance(value, str | int | float | bool) else message


def _in_tree(value: Any, trail: Trail, above: Trail) -> Trail:
    """The trail without the names that pydantic adds for unions and validators."""
    kept: list[str | int] = []
    for index, part in enumerate(trail):
        below = child(value, part) if isinstance(value, dict | list) else None
        is_last = index == len(trail) - 1
        if below is not None or index < len(above) or (isinstance(value, dict) and (part in value or (is_last and "[" not in str(part)))):
            kept.append(part)
            value = below
    return tuple(kept)
