"""`ropewalk validate`: every mistake in a recipe at once, before anything is written."""

from __future__ import annotations

from typing import Annotated

import typer

from ropewalk.cli.settings import RecipeArgument, load_recipe, split


def command(
    recipe: RecipeArgument,
    arguments: Annotated[list[str] | None, typer.Argument(help="Overrides path=value.", metavar="[PATH=VALUE]…")] = None,
) -> None:
    """Check a recipe: types, keys, references, values that can't go together."""
    words, overrides = split(arguments)
    if words:
        from ropewalk.core.errors import ConfigError

        raise ConfigError(f"{words[0]!r} is no override: write path=value")
    loaded = load_recipe(recipe, overrides)
    typer.echo(f"{recipe}: {len(loaded.stages)} stages, no mistakes found: {' -> '.join(loaded.order())}")
