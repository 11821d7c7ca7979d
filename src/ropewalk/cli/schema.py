"""`ropewalk schema`: the JSON schema of recipes, for editors."""

from __future__ import annotations

import json

import typer


def command() -> None:
    """Print the JSON schema of recipes with every installed component."""
    from ropewalk.pipeline.recipe import schema

    typer.echo(json.dumps(schema(), indent=1, ensure_ascii=False))
