"""`ropewalk run`: make what a recipe says; what stands already is not made again."""

from __future__ import annotations

from typing import Annotated

import typer

from ropewalk.cli.settings import SETTINGS, RecipeArgument, load_recipe, split


def command(
    recipe: RecipeArgument,
    arguments: Annotated[
        list[str] | None, typer.Argument(help="Stages to make (all by default) and overrides path=value.", metavar="[STAGE|PATH=VALUE]…")
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Begin unfinished stages again.")] = False,
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="Go on with unfinished work although the recipe or code changed.")
    ] = False,
) -> None:
    """Run a recipe, resuming where an earlier run stopped."""
    from ropewalk.core.errors import RopewalkError
    from ropewalk.core.log import LOGGER
    from ropewalk.pipeline.rundir import RunFolder
    from ropewalk.report.html import write_report

    stages, overrides = split(arguments)
    loaded = load_recipe(recipe, overrides)
    folder = RunFolder.of(loaded)
    failure: RopewalkError | None = None
    try:
        run = loaded.run(*stages, restart=restart, accept_changes=accept_changes, quiet=SETTINGS.quiet)
    except RopewalkError as error:
        failure = error
    if failure is None and not run.made:
        LOGGER.info("nothing to do: all %d stages stand in the store", len(run.plan.stages))
    if (folder.path / "run.json").is_file() and (failure is None or failure.exit_code != 7):
        LOGGER.info("report: %s", write_report(folder.path))
    if failure is not None:
        raise failure
