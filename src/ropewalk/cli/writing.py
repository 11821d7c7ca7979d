"""What generate, chat and serve share: the options of how tokens are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ropewalk.models.sampling import Sampling

ModelArgument = Annotated[
    str, typer.Argument(help="RUN:STAGE, a model's folder, a GGUF file, or hf:OWNER/NAME.", metavar="MODEL", show_default=False)
]
MaxTokensOption = Annotated[int, typer.Option("--max-tokens", min=1, help="Most new tokens.")]
TemperatureOption = Annotated[float, typer.Option("--temperature", min=0, help="0 takes the likeliest token each time.")]
TopPOption = Annotated[float, typer.Option("--top-p", min=0, max=1, help="Draw from the likeliest tokens that hold this share.")]
TopKOption = Annotated[int, typer.Option("--top-k", min=0, help="Draw from this many of the likeliest tokens; 0 from all.")]
StopOption = Annotated[list[str] | None, typer.Option("--stop", help="A text that ends the answer; may be given several times.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Names the draws; equal seeds write equal texts.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]


def sampling_of(max_tokens: int, temperature: float, top_p: float, top_k: int, seed: int, stop: list[str] | None) -> Sampling:
    """Raises ConfigError for values that can't be."""
    from ropewalk.core.errors import ConfigError, Problem
    from ropewalk.models.sampling import Sampling

    found = Sampling(max_tokens, temperature, top_p, top_k, seed, tuple(stop or ()))
    if faults := found.faults():
        raise ConfigError([Problem(f"--{name.replace('_', '-')}", what) for name, what in faults])
    return found
