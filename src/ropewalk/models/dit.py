"""The diffusion forecaster: a small DiT over the horizon (Peebles and Xie 2023), whose samples are whole courses of the future."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from ropewalk.models.forecaster import Forecaster, ForecastShape, WindowShape

if TYPE_CHECKING:
    from ropewalk.models.forecaster_module import ForecastModule


class DiT(Forecaster, type="dit"):
    """Denoises the horizon, with the window as adaLN conditioning."""

    heads: int = Field(default=4, ge=1)
    """Attention heads; they share the width evenly."""
    patch: int = Field(default=6, ge=1)
    """Rows of the window in a patch."""
    sampling_steps: int = Field(default=10, ge=1)
    """Steps from noise to a sample."""
    samples: int = Field(default=64, ge=2)
    """Courses that a forecast's quantiles are taken from."""

    @model_validator(mode="after")
    def _shared(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} can't be shared by {self.heads} heads")
        return self

    def forecast_shape(self, window: WindowShape) -> ForecastShape:
        sizes = (self.width, self.depth, window, tuple(self.levels), self.heads, self.patch)
        return ForecastShape("transformer", "diffusion", *sizes, self.dropout, self.highway, self.sampling_steps, self.samples)

    def build(self, window: WindowShape, seed: int) -> ForecastModule:  # type: ignore[override]
        from ropewalk.models.forecaster_module import ForecastModule

        return ForecastModule(self.forecast_shape(window), seed)
