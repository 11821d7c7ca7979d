"""`ropewalk plan`: what `run` would do and why, and what each training will take."""

from __future__ import annotations

import math
from typing import Annotated, Any

import typer

from ropewalk.cli.settings import JsonOption, RecipeArgument, load_recipe, show, split


def command(
    recipe: RecipeArgument,
    arguments: Annotated[list[str] | None, typer.Argument(help="Stages and overrides path=value.", metavar="[STAGE|PATH=VALUE]…")] = None,
    probe: Annotated[bool, typer.Option(help="Try a few micro-batches of each training, for its time and memory.")] = True,
    json: JsonOption = False,
) -> None:
    """Show which stages would run, which are cached and what changed; what training takes, and whether it fits."""
    from ropewalk.core.errors import RopewalkError
    from ropewalk.pipeline.estimate import in_words, refuse
    from ropewalk.pipeline.forecast import expected
    from ropewalk.pipeline.rundir import RunFolder

    stages, overrides = split(arguments)
    plan = load_recipe(recipe, overrides).plan(*stages)
    runs = RunFolder.of(plan.recipe).path
    rows: list[dict[str, Any]] = []
    refusals: list[RopewalkError] = []
    for row in plan.rows():
        to_make = row["status"] != "cached"
        found = expected(plan, row["name"], probe_from_flops=0.0 if probe and to_make else math.inf)
        rows.append({**row, "estimate": found})
        try:
            if to_make:
                refuse(plan.recipe, row["name"], found, runs)
        except RopewalkError as error:
            refusals.append(error)
    show(rows, json, ("name", "type", "makes", "status", "reasons"))
    if not json:
        for row in rows:
            if row["estimate"]:
                typer.echo(f"\n{row['name']}: " + f"\n{' ' * len(row['name'])}  ".join(in_words(row["estimate"])))
    if refusals:
        raise refusals[0]
