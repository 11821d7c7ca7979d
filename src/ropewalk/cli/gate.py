"""`ropewalk gate`: a recipe's gates alone, on what its run has made, also against another run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ropewalk.cli.settings import SETTINGS, RecipeArgument, load_recipe, split


def command(
    recipe: RecipeArgument,
    arguments: Annotated[
        list[str] | None, typer.Argument(help="Gates to ask (all by default) and overrides path=value.", metavar="[GATE|PATH=VALUE]…")
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option("--baseline", help="A run's folder, or one of scores: no task may be worse than there.")
    ] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write the verdict as JUnit XML to this file.")] = None,
) -> None:
    """Judge what a run has made; exits with 9 when a check fails."""
    import shutil

    from ropewalk.core.errors import GateFailed
    from ropewalk.evaluate.verdict import Verdict, joined_junit
    from ropewalk.pipeline.asking import gates_of
    from ropewalk.pipeline.rundir import RunFolder

    stages, overrides = split(arguments)
    gates = gates_of(load_recipe(recipe, overrides), stages, baseline)
    failure: GateFailed | None = None
    try:
        gates.run(quiet=SETTINGS.quiet)
    except GateFailed as error:
        failure = GateFailed(error.message)
    folder = RunFolder.of(gates)
    places = [place for name in gates.stages if (place := folder.artifact(name))]
    for verdict in map(Verdict.open, places):
        for finding in verdict.facts["findings"]:
            typer.echo(f"{'pass' if finding['passed'] else 'FAIL'}  {finding['message']}")
    if junit is not None:
        junit.parent.mkdir(parents=True, exist_ok=True)
        if len(places) == 1:
            shutil.copyfile(places[0] / "junit.xml", junit)
        else:
            junit.write_text(joined_junit([(place / "junit.xml").read_text(encoding="utf-8") for place in places]), encoding="utf-8")
    if failure is not None:
        raise failure
