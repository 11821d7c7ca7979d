"""`ropewalk list`: the families of components, or the members of one."""

from __future__ import annotations

from typing import Annotated

import typer

from ropewalk.cli.settings import JsonOption, show


def command(
    family: Annotated[str | None, typer.Argument(help="A family such as stage, source, step or optimizer.")] = None,
    json: JsonOption = False,
) -> None:
    """List what a recipe can name."""
    from ropewalk.core.errors import ConfigError
    from ropewalk.core.load import nearest
    from ropewalk.pipeline.families import all_families, summary

    families = all_families()
    if family is None:
        rows = [{"family": name, "members": ", ".join(sorted(found.members))} for name, found in sorted(families.items())]
        show(rows, json, ("family", "members"))
        return
    if family not in families:
        raise ConfigError(f"there is no family {family!r} ({nearest(family, sorted(families))})")
    rows = [{"type": tag, "what": summary(member)} for tag, member in sorted(families[family].members.items())]
    show(rows, json, ("type", "what"))
