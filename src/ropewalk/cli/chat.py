"""`ropewalk chat`: a conversation with a model, by its own chat template."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

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
    from ropewalk.models.sampling import Sampling
    from ropewalk.pipeline.open_model import OpenModel


def command(
    model: ModelArgument,
    system: Annotated[str, typer.Option("--system", help="What the model is told before the conversation.")] = "",
    max_tokens: MaxTokensOption = 512,
    temperature: TemperatureOption = 0.0,
    top_p: TopPOption = 1.0,
    top_k: TopKOption = 0,
    stop: StopOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """Talk with a model: each line is a turn, the end of input (Ctrl-D) ends it. A pipe's whole text is one turn."""
    from ropewalk.core.errors import Interrupted
    from ropewalk.pipeline.open_model import open_model

    sampling = sampling_of(max_tokens, temperature, top_p, top_k, seed, stop)
    opened = open_model(model, device)
    messages = [{"role": "system", "content": system}] if system else []
    try:
        for said in _turns(quiet=json):
            messages.append({"role": "user", "content": said})
            answer = _answer(opened, messages, sampling, quiet=json)
            messages.append({"role": "assistant", "content": answer})
    except Interrupted:
        typer.echo()
    if json:
        import json as library

        typer.echo(library.dumps(messages, indent=1, ensure_ascii=False))


def _turns(*, quiet: bool) -> Iterator[str]:
    if not sys.stdin.isatty():
        text = sys.stdin.read().strip()
        if text:
            yield text
        return
    while True:
        try:
            line = input("" if quiet else "> ").strip()
        except EOFError:
            typer.echo()
            return
        if line:
            yield line


def _answer(opened: OpenModel, messages: list[dict[str, str]], sampling: Sampling, *, quiet: bool) -> str:
    parts = []
    for piece in opened.writer.stream([(opened.chat.ids(messages), sampling)]):
        parts.append(piece.text)
        if not quiet:
            typer.echo(piece.text, nl=False)
            sys.stdout.flush()
    if not quiet:
        typer.echo()
    return "".join(parts)
