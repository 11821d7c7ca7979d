"""What the verbs share: options given before the verb, arguments split into stages and overrides, tables or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ropewalk.pipeline.recipe import Recipe

RecipeArgument = Annotated[Path, typer.Argument(help="The recipe file.", metavar="RECIPE")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@dataclass
class Settings:
    """Options before the verb."""

    quiet: bool = False
    plugins: bool = True


SETTINGS = Settings()


def split(arguments: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """(stage names, overrides `path=value`)."""
    given = list(arguments or ())
    return [word for word in given if "=" not in word], [word for word in given if "=" in word]


def load_recipe(path: Path, overrides: Sequence[str]) -> Recipe:
    from ropewalk.pipeline.recipe import load

    return load(path, overrides, plugins=SETTINGS.plugins)


def show(rows: Iterable[Mapping[str, Any]], as_json: bool, columns: Sequence[str]) -> None:
    """A table on the terminal, or JSON lines' worth of rows as one array."""
    rows = list(rows)
    if as_json:
        typer.echo(json.dumps(rows, indent=1, ensure_ascii=False, default=str))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    Console(soft_wrap=False).print(table)


def _cell(value: Any) -> str:
    from rich.markup import escape

    if isinstance(value, list | tuple):
        return escape("\n".join(str(item) for item in value))
    return escape("" if value is None else str(value))
