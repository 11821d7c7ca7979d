"""`ropewalk rollback`: an alias leads to the model before again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    alias: Annotated[str, typer.Argument(help="The alias of an export stage.")],
    store: Annotated[Path | None, typer.Option(help="The store; $ROPEWALK_STORE or .ropewalk/store when left out.")] = None,
) -> None:
    """Let an alias lead to the model that was released before the last one."""
    from ropewalk.core.alias import roll_back
    from ropewalk.core.store import default_root

    place = roll_back(store or default_root(), alias)
    typer.echo(f"{alias} is now {place.name}; models/{alias} leads there")
