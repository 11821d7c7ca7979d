"""All families and their members, for `list`, `explain`, docs and schema."""

from __future__ import annotations

import inspect
from typing import Any

from ropewalk.core.component import FAMILIES, RUNTIME, Component, is_marked, lookup
from ropewalk.core.errors import ConfigError
from ropewalk.core.load import nearest
from ropewalk.pipeline.executors.executor import Executor
from ropewalk.pipeline.stage import Stage


def all_families() -> dict[str, type[Component]]:
    """Every family, with every member imported."""
    lookup(Stage)
    lookup(Executor)
    known = 0
    while known != len(FAMILIES):
        known = len(FAMILIES)
        for family in list(FAMILIES.values()):
            lookup(family)
    return FAMILIES


def summary(member: type[Component]) -> str:
    """The first sentence of a component's docstring."""
    return inspect.cleandoc(member.__doc__ or "").split("\n\n")[0].replace("\n", " ")


def field_rows(member: type[Component]) -> list[dict[str, Any]]:
    """Each field with default and what it means."""
    rows = []
    for name, field in member.model_fields.items():
        default = "required" if field.is_required() else str(field.get_default(call_default_factory=True))
        note = " (runtime only)" if is_marked(field, RUNTIME) else ""
        rows.append({"field": name, "default": default, "what": (field.description or "").strip() + note})
    return rows


def explain(key: str) -> tuple[type[Component], str | None]:
    """The component and field that a key names; raises ConfigError with the nearest one."""
    found: dict[str, type[Component]] = {}
    for family in all_families().values():
        for tag, member in family.members.items():
            found[f"{family.family}.{tag}"] = member
            found.setdefault(tag, member)
    parts = key.split(".")
    for length in range(len(parts), 0, -1):
        member = found.get(".".join(parts[:length]))  # type: ignore[assignment]
        rest = parts[length:]
        if member is not None and (not rest or (len(rest) == 1 and rest[0] in member.model_fields)):
            return member, rest[0] if rest else None
        if member is not None:
            raise ConfigError(f"{member.tag} has no field {rest[0]!r} ({nearest(rest[0], list(member.model_fields))})")
    raise ConfigError(f"nothing is called {key!r} ({nearest(key, sorted(found))})")
