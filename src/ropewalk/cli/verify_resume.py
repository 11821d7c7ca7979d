"""`ropewalk verify-resume`: prove that stopping and going on changes nothing in a training stage of one's own."""

from __future__ import annotations

from typing import Annotated

import typer

from ropewalk.cli.settings import JsonOption, RecipeArgument, load_recipe, show


def command(
    recipe: RecipeArgument,
    stage: Annotated[str, typer.Argument(help="The training stage.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="Overrides path=value.", metavar="[PATH=VALUE]…")] = None,
    steps: Annotated[int, typer.Option(help="Updates to train, each way.")] = 6,
    json: JsonOption = False,
) -> None:
    """Train a few updates whole and with stops, and compare every byte; exits with 8 when they differ."""
    from ropewalk.core.errors import CheckpointError
    from ropewalk.core.log import LOGGER
    from ropewalk.pipeline.verify_resume import verify_resume

    proof = verify_resume(load_recipe(recipe, overrides or []).plan(stage), stage, steps)
    show(proof.rows(), json, ("file", "equal", "hash"))
    if not proof.holds:
        raise CheckpointError(
            f"{stage}: {proof.steps} updates stopped after {', '.join(map(str, proof.stops))} are not what they are without a stop",
            remedy="look for state outside of TrainState: a task or optimizer of your own that keeps something between steps",
        )
    LOGGER.info("%s: %d updates, stopped after %s: every byte is the same", stage, proof.steps, ", ".join(map(str, proof.stops)))
