"""`ropewalk preview`: a page of records of a stage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ropewalk.cli.settings import JsonOption, RecipeArgument, load_recipe

if TYPE_CHECKING:
    from rich.text import Text

    from ropewalk.pipeline.preview import Page, Seen

TEXT_CHARACTERS = 400
MOST_SCORES = 12


def command(
    recipe: RecipeArgument,
    stage: Annotated[str, typer.Argument(help="The stage whose records are shown.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="Overrides path=value.", metavar="[PATH=VALUE]…")] = None,
    show: Annotated[Literal["all", "kept", "dropped"], typer.Option("--show", help="Which records.")] = "all",
    reason: Annotated[str, typer.Option("--reason", help="Dropped ones with this reason; `gopher` stands for all of gopher's.")] = "",
    where: Annotated[
        str, typer.Option("--where", help="Those for which a condition is true, such as 'source == \"web\" and length(text) < 100'.")
    ] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many kept and how many dropped ones.")] = 5,
    seed: Annotated[int | None, typer.Option("--seed", help="Draw them instead of showing the first ones.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page instead.")] = None,
    json: JsonOption = False,
) -> None:
    """Look at a stage's records: kept ones with scores, dropped ones with the reason; tokens coloured by what is trained."""
    from ropewalk.pipeline.preview import preview

    loaded = load_recipe(recipe, overrides or ())
    page = preview(loaded, stage, show=show, reason=reason, where=where, limit=limit, seed=seed)
    if html is not None:
        from ropewalk.report.records import write_records

        typer.echo(str(write_records(page, loaded.name, html)))
    elif json:
        _print_json(page)
    else:
        _print(page)


def _print_json(page: Page) -> None:
    import json

    tokens = [
        {
            "id": one.id,
            "source": one.source,
            "tokens": one.tokens.tolist(),
            "trained": None if one.mask is None else one.mask.astype(int).tolist(),
        }
        for one in page.tokens
    ]
    body: dict[str, Any] = {"stage": page.stage, "type": page.type, "finished": page.finished, "reasons": page.reasons}
    body |= {"records": [vars(one) for one in page.records], "tokens": tokens}
    typer.echo(json.dumps(body, indent=1, ensure_ascii=False))


def _print(page: Page) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    state = "" if page.finished else " (not finished: what its finished shards hold)"
    console.print(f"[bold]{page.stage}[/] ({page.type}){state}")
    for one in page.records:
        console.print()
        for line in _lines(one):
            console.print(line)
    if page.vocabulary is not None:
        _print_tokens(page, console)
    if page.reasons:
        console.print("\nnot kept: " + ", ".join(f"{number:,} {name}" for name, number in page.reasons.items()), markup=False)


def _lines(one: Seen) -> Iterator[Text]:
    from rich.text import Text

    from ropewalk.report.markup import number, visible

    head = Text()
    head.append(visible(one.id), "bold").append(f"  {one.state}", "green" if one.state == "kept" else "red")
    if one.reason:
        head.append(f" by {visible(one.reason)}", "red")
    if one.score is not None:
        head.append(f", score {number(one.score)}")
    if one.witness:
        head.append(f", because of {visible(one.witness)}")
    if one.source:
        head.append(f"  {visible(one.source)}", "dim")
    yield head
    cut = one.text if len(one.text) <= TEXT_CHARACTERS else one.text[: TEXT_CHARACTERS - 1] + "…"
    yield Text("\n".join(f"  {line}" for line in visible(cut, lines=True).split("\n")))
    told = [(name, value) for name, value in one.scores.items() if value]
    if told:
        shown = told[:MOST_SCORES]
        more = f" and {len(told) - MOST_SCORES} more" if len(told) > MOST_SCORES else ""
        yield Text("  " + ", ".join(f"{name} {number(value)}" for name, value in shown) + more, "dim")


def _print_tokens(page: Page, console: Any) -> None:
    from rich.text import Text

    from ropewalk.report.markup import visible
    from ropewalk.report.preview import pieces

    assert page.vocabulary is not None
    console.print("[green]trained[/] [dim]read only[/] [magenta]control[/]; ⏎ is a line break, · parts tokens")
    for one in page.tokens:
        line = Text(f"\n{visible(one.id)}\n", "bold")
        shown = list(pieces(one, page.vocabulary))
        for piece, trained, control in shown:
            style = ("magenta" if control else "green" if trained else "dim") + (" underline" if trained and control else "")
            line.append(visible(piece.replace("\n", "⏎")), style).append("·" + ("\n" if "\n" in piece else ""), "dim")
        console.print(line)
