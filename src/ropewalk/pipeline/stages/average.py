"""The average stage: one Model from several of one shape (Wortsman et al. 2022, model soups)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from ropewalk.core.artifact import Artifact
from ropewalk.core.errors import DataError
from ropewalk.core.reference import Ref
from ropewalk.data.tokenizer import Vocabulary
from ropewalk.models.model import Model
from ropewalk.pipeline.stage import Context, Facts, Stage

Weight = Annotated[float, Field(ge=0)]


class Average(Stage, type="average"):
    """The mean of models' weights; they must have one shape and one tokenizer."""

    makes: ClassVar[type[Artifact]] = Model

    models: Annotated[list[Ref[Model]], Field(min_length=2)]
    """What is averaged, such as runs with several seeds."""
    weights: list[Weight] | None = None
    """The share of each, in the same order; equal shares when left out. They are divided by their sum."""

    @model_validator(mode="after")
    def _one_weight_each(self) -> Self:
        if self.weights is not None and (len(self.weights) != len(self.models) or not sum(self.weights)):
            raise ValueError(f"{len(self.models)} models need as many weights that are not all 0, not {self.weights}")
        return self

    def make(self, context: Context) -> Facts:
        import torch

        from ropewalk.models.folder_module import save_model

        weights = self.weights or [1.0] * len(self.models)
        first = context.open(self.models[0])
        module, key = first.load(), Vocabulary(first.tokenizer_path).key
        totals = {name: tensor.double() * weights[0] for name, tensor in module.state_dict().items()}
        for ref, weight in zip(self.models[1:], weights[1:], strict=True):
            other = context.open(ref)
            loaded = other.load()
            if loaded.shape != module.shape or Vocabulary(other.tokenizer_path).key != key:
                what = "another shape" if loaded.shape != module.shape else "another tokenizer"
                remedy = "average models that were trained from one start"
                raise DataError(f"{context.name}: {ref.target} has {what} than {self.models[0].target}", remedy=remedy)
            for name, tensor in loaded.state_dict().items():
                totals[name] += tensor.double() * weight
        with torch.no_grad():
            module.load_state_dict({name: (total / sum(weights)).float() for name, total in totals.items()})
        save_model(context.out, module, first.tokenizer_path)
        return Facts(metrics={"models": len(self.models), "parameters": sum(parameter.numel() for parameter in module.parameters())})
