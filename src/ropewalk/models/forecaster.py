"""What all forecasters share: windows in, quantiles of the horizon out; a body reads the past, a head says how sure it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from ropewalk.models.architecture import Architecture

if TYPE_CHECKING:
    from ropewalk.models.forecaster_module import ForecastModule

Levels = Annotated[list[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=1)]
LEVELS = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95]


@dataclass(frozen=True)
class WindowShape:
    """The sizes of a window, which the data give."""

    context: int
    horizon: int
    channels: int
    """Numbers a row of the past: the path, the steps, and the features."""
    known: int
    """Features a row of the horizon that are known ahead."""


@dataclass(frozen=True)
class ForecastShape:
    """Everything that `forecaster_module.ForecastModule` needs to know."""

    body: Literal["lstm", "transformer"]
    head: Literal["quantile", "gaussian", "diffusion"]
    width: int
    depth: int
    window: WindowShape
    levels: tuple[float, ...]
    heads: int = 1
    patch: int = 1
    dropout: float = 0.0
    highway: bool = True
    sampling_steps: int = 8
    samples: int = 64


class Forecaster(Architecture):
    """A model of windows; it is trained with task forecast."""

    width: int = Field(default=64, ge=2)
    """Size of the hidden states."""
    depth: int = Field(default=2, ge=1)
    """Layers."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """On what each layer gives."""
    highway: bool = True
    """A linear forecast of the past values beside the network, as in LSTNet and DLinear: the network learns what it misses."""
    levels: Levels = LEVELS
    """The quantiles that are learned, and those that a forecast gives."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.levels != sorted(set(self.levels)):
            raise ValueError("levels must rise")
        return self

    def forecast_shape(self, window: WindowShape) -> ForecastShape:
        """The resolved dimensions for windows of a size; raises ValueError where they don't fit."""
        raise TypeError(f"model {self.tag!r} has no forecast_shape()")

    def build(self, window: WindowShape, seed: int) -> ForecastModule:  # type: ignore[override]  # made for windows, not a vocabulary
        """A freshly initialised module on the CPU in fp32; equal seeds give equal weights."""
        raise TypeError(f"model {self.tag!r} has no build()")
