"""The transformer forecaster: attention over patches of the window, as in PatchTST (Nie et al. 2023), with features as channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from ropewalk.models.forecaster import Forecaster, ForecastShape, WindowShape

if TYPE_CHECKING:
    from ropewalk.models.forecaster_module import ForecastModule


class SeriesTransformer(Forecaster, type="transformer"):
    """An encoder over patches of the window."""

    head: Literal["quantile", "gaussian"] = "quantile"
    """Quantiles by pinball loss, or mean and spread by likelihood."""
    heads: int = Field(default=4, ge=1)
    """Attention heads; they share the width evenly."""
    patch: int = Field(default=6, ge=1)
    """Rows in a patch; the oldest patch is padded where the context is no multiple."""

    @model_validator(mode="after")
    def _shared(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} can't be shared by {self.heads} heads")
        return self

    def forecast_shape(self, window: WindowShape) -> ForecastShape:
        sizes = (self.width, self.depth, window, tuple(self.levels), self.heads, self.patch)
        return ForecastShape("transformer", self.head, *sizes, self.dropout, self.highway)

    def build(self, window: WindowShape, seed: int) -> ForecastModule:  # type: ignore[override]
        from ropewalk.models.forecaster_module import ForecastModule

        return ForecastModule(self.forecast_shape(window), seed)
