"""The init stage: a Model that is not trained yet: a new shape, or a model of another place made to fit a tokenizer."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import model_validator

from ropewalk.core.artifact import Artifact
from ropewalk.core.reference import Ref
from ropewalk.core.seed import derive
from ropewalk.data.tokenizer import Tokenizer, Vocabulary
from ropewalk.models.architecture import Architecture
from ropewalk.models.forecaster import Forecaster
from ropewalk.models.model import Model
from ropewalk.pipeline.stage import Context, Facts, Stage


class Init(Stage, type="init"):
    """A model before training; embeddings are sized to the tokenizer, and rows that are new to a model are the mean of its old ones."""

    makes: ClassVar[type[Artifact]] = Model
    seeded: ClassVar[bool] = True

    model: Architecture | None = None
    """The shape of a new model; give this or init."""
    init: Ref[Model] | None = None
    """The model to begin with, such as `path:FOLDER`; give this or model."""
    tokenizer: Ref[Tokenizer] | None = None
    """The tokenizer that it is to have; a model's own when left out."""

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if (self.model is None) == (self.init is None):
            raise ValueError(f"needs model (a new one) or init (one to begin with){', not both' if self.model else ''}")
        if isinstance(self.model, Forecaster):
            raise ValueError(f"model {self.model.tag} reads no text: a train stage with task forecast makes it from its series")
        if self.model is not None and self.tokenizer is None:
            raise ValueError("a new model needs a tokenizer: its embeddings are sized to it")
        return self

    def make(self, context: Context) -> Facts:
        from ropewalk.models.folder_module import save_model
        from ropewalk.models.resize_module import resized

        vocabulary = context.open(self.tokenizer).vocabulary() if self.tokenizer else None
        if self.model is not None:
            assert vocabulary is not None, "checked when the recipe was read"
            module = self.model.build(vocabulary.size, derive(context.seed, "model"))
            new = vocabulary.size
        else:
            assert self.init is not None, "checked when the recipe was read"
            start = context.open(self.init)
            module, new, own = start.load(), 0, Vocabulary(start.tokenizer_path)
            if vocabulary is not None and vocabulary.key != own.key:
                module, new = resized(module, own.engine.get_vocab(), vocabulary.engine.get_vocab(), vocabulary.size)
            vocabulary = vocabulary or own
        save_model(context.out, module, vocabulary.folder)
        parameters = sum(parameter.numel() for parameter in module.parameters())
        return Facts(metrics={"parameters": parameters, "vocab_size": vocabulary.size, "new_rows": new})
