"""`ropewalk init`: a commented recipe to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    template: Annotated[
        str,
        typer.Argument(
            help="quickstart (the text of your Python), own_text (files of yours), finetune (a model on chats) or forecast (series)."
        ),
    ] = "quickstart",
    path: Annotated[Path, typer.Option("--path", "-p", help="Where to write it.")] = Path("recipe.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite.")] = False,
) -> None:
    """Write a recipe from a template."""
    from ropewalk.cli.templates import read_template
    from ropewalk.core.artifact import write_durably
    from ropewalk.core.errors import ConfigError

    text = read_template(template)
    if path.exists() and not force:
        raise ConfigError(f"{path} is there already", remedy="--force overwrites it, --path names another file")
    if path.parent != Path() and not path.parent.is_dir():
        raise ConfigError(f"{path.parent}: no such folder", remedy=f"mkdir -p {path.parent}")
    write_durably(path, text.encode())
    typer.echo(f"wrote {path}; next: ropewalk plan {path}")
