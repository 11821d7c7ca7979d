"""`ropewalk why`: what became of a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ropewalk.cli.settings import JsonOption, RecipeArgument, load_recipe, show

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ropewalk.pipeline.recipe import Recipe
    from ropewalk.pipeline.why import Hop, Story

TEXT_CHARACTERS = 600
MOST_SCORES = 16


def command(
    recipe: RecipeArgument,
    id: Annotated[str | None, typer.Argument(help="The record's id, or enough of its beginning.")] = None,  # noqa: A002
    overrides: Annotated[list[str] | None, typer.Argument(help="Overrides path=value.", metavar="[PATH=VALUE]…")] = None,
    step: Annotated[int | None, typer.Option(help="Instead of a record: the documents that an update of a training saw.")] = None,
    stage: Annotated[str | None, typer.Option(help="The training of --step; the only one when left out.")] = None,
    json: JsonOption = False,
) -> None:
    """Follow a record from its source through each stage to the updates that saw it, or to the rule that dropped it."""
    from ropewalk.core.errors import ConfigError
    from ropewalk.pipeline.why import why

    words = [word for word in (id, *(overrides or ())) if word is not None]
    if step is not None:
        _print_step(load_recipe(recipe, words), step, stage, json)
        return
    if not words or "=" in words[0]:
        raise ConfigError("name a record's id, or --step N", remedy="`ropewalk preview RECIPE STAGE` shows ids")
    story = why(load_recipe(recipe, words[1:]), words[0])
    if json:
        import json as library

        body = {"id": story.id, "text": story.text, "hops": [{**vars(hop), "scores": dict(hop.scores)} for hop in story.hops]}
        typer.echo(library.dumps(body, indent=1, ensure_ascii=False))
    else:
        _print(story)


def _print_step(recipe: Recipe, step: int, stage: str | None, json: bool) -> None:
    """A row for each run of a document in the update's batch."""
    from ropewalk.core.errors import ConfigError
    from ropewalk.pipeline.stages.train import Train
    from ropewalk.pipeline.trained_on import TrainedOn

    trains = [name for name, made in recipe.stages.items() if isinstance(made, Train)]
    if stage is None and len(trains) != 1:
        raise ConfigError(f"which training: {', '.join(trains) or 'there is none'}?", remedy="name it: --stage NAME")
    rows = [vars(seen) for seen in TrainedOn(recipe, stage or trains[0]).documents(step)]
    show(rows, json, ("id", "source", "part", "sequence", "first", "positions", "trained"))


def _print(story: Story) -> None:
    from rich.console import Console
    from rich.text import Text

    from ropewalk.report.markup import visible

    console = Console(highlight=False)
    console.print(Text(visible(story.id), "bold"))
    for hop in story.hops:
        for line in _lines(hop, story.text):
            console.print(line)
    if story.text:
        console.print(Text("\n" + _cut(story.text)))


def _lines(hop: Hop, text: str) -> list[RenderableType]:
    from rich.table import Table
    from rich.text import Text

    from ropewalk.report.markup import number, visible

    good = hop.state == "kept"
    head = Text("\n").append(visible(hop.stage), "bold").append(f" ({hop.type}): ", "dim").append(hop.state, "green" if good else "red")
    if hop.reason:
        head.append(f" by {visible(hop.reason)}", "red")
    if hop.score is not None:
        head.append(f", score {number(hop.score)}")
    if hop.witness:
        head.append(f", because of {visible(hop.witness)}")
    lines: list[RenderableType] = [head, *(Text(f"  {visible(note)}") for note in hop.notes)]
    told = [(name, value) for name, value in hop.scores.items() if value]
    if told:
        shown = [f"{name} {number(value)}" for name, value in told[:MOST_SCORES]]
        more = f" and {len(told) - MOST_SCORES} more" if len(told) > MOST_SCORES else ""
        lines.append(Text("  " + ", ".join(shown) + more, "dim"))
    for before, after in hop.changes:
        lines += [Text(f"  - {visible(before)}", "red"), Text(f"  + {visible(after)}", "green")]
    if hop.witness_text:
        side = Table("this one", visible(hop.witness), box=None, header_style="bold", expand=True, padding=(0, 2, 0, 0))
        side.add_row(Text(_cut(text)), Text(_cut(hop.witness_text)))
        lines.append(side)
    return lines


def _cut(text: str) -> str:
    from ropewalk.report.markup import visible

    return visible(text if len(text) <= TEXT_CHARACTERS else text[: TEXT_CHARACTERS - 1] + "…", lines=True)
