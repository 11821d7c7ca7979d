"""`ropewalk explain`: what a component does and each of its fields."""

from __future__ import annotations

from typing import Annotated

import typer

from ropewalk.cli.settings import JsonOption, show


def command(
    key: Annotated[str, typer.Argument(help="FAMILY.TYPE, TYPE, or TYPE.FIELD, such as `optimizer.muon` or `train.budget`.")],
    json: JsonOption = False,
) -> None:
    """Explain a component or one of its fields."""
    from ropewalk.pipeline.families import explain, field_rows

    member, field = explain(key)
    rows = [row for row in field_rows(member) if field in (None, row["field"])]
    if not json:
        typer.echo(f"{member.family} `{member.tag}`: {(member.__doc__ or '').strip()}\n")
    show(rows, json, ("field", "default", "what"))
