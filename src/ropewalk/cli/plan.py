"""`ropewalk plan`: what `run` would do, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from ropewalk.cli.settings import JsonOption, RecipeArgument, load_recipe, show, split


def command(
    recipe: RecipeArgument,
    arguments: Annotated[list[str] | None, typer.Argument(help="Stages and overrides path=value.", metavar="[STAGE|PATH=VALUE]…")] = None,
    json: JsonOption = False,
) -> None:
    """Show which stages would run, which are cached, and what changed since they last ran."""
    from ropewalk.pipeline.estimate import estimate, in_words

    stages, overrides = split(arguments)
    plan = load_recipe(recipe, overrides).plan(*stages)
    rows = []
    for row in plan.rows():
        found = estimate(plan.recipe, row["name"])
        rows.append({**row, "estimate": found if json else in_words(found)})
    show(rows, json, ("name", "type", "makes", "status", "reasons", "estimate"))
