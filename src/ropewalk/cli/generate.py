"""`ropewalk generate`: a model goes on with texts."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ropewalk.cli.settings import JsonOption
from ropewalk.cli.writing import (
    DeviceOption,
    MaxTokensOption,
    ModelArgument,
    SeedOption,
    StopOption,
    TemperatureOption,
    TopKOption,
    TopPOption,
    sampling_of,
)

if TYPE_CHECKING:
    from ropewalk.evaluate.writer import Piece


def command(
    model: ModelArgument,
    prompts: Annotated[
        list[str] | None, typer.Argument(help="Beginnings of texts; standard input when left out.", metavar="PROMPT…")
    ] = None,
    max_tokens: MaxTokensOption = 256,
    temperature: TemperatureOption = 0.0,
    top_p: TopPOption = 1.0,
    top_k: TopKOption = 0,
    stop: StopOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    batch: Annotated[int, typer.Option("--batch", min=1, help="Prompts written together; the texts don't depend on it.")] = 16,
    json: JsonOption = False,
) -> None:
    """Go on with one text or several. One prompt's text appears as it is written."""
    from dataclasses import replace

    from ropewalk.data.chat_prompt import prompt_ids
    from ropewalk.pipeline.open_model import open_model

    sampling = sampling_of(max_tokens, temperature, top_p, top_k, seed, stop)
    given = list(prompts) if prompts else [sys.stdin.read()]
    opened = open_model(model, device, batch)
    asked = [(prompt_ids(opened.vocabulary, text), replace(sampling, seed=seed + number)) for number, text in enumerate(given)]
    if json:
        import json as library

        written = opened.writer.write(asked)
        typer.echo(library.dumps([_told(text, piece) for text, piece in zip(given, written, strict=True)], indent=1, ensure_ascii=False))
    elif len(given) == 1:
        for piece in opened.writer.stream(asked):
            typer.echo(piece.text, nl=False)
            sys.stdout.flush()
        typer.echo()
    else:
        for text, piece in zip(given, opened.writer.write(asked), strict=True):
            typer.echo(f"> {text}\n{piece.text}\n")


def _told(prompt: str, piece: Piece) -> dict[str, Any]:
    return {"prompt": prompt, "text": piece.text, "finish": piece.finish, "tokens": piece.tokens}
