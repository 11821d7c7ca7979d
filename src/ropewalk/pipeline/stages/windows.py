"""The windows stage: a corpus becomes token ids in windows that overlap, so that no long document is seen in cut-off pieces only."""

from __future__ import annotations

from importlib.metadata import version as library_version
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ropewalk.core.artifact import Artifact
from ropewalk.core.component import RUNTIME
from ropewalk.core.reference import Ref
from ropewalk.core.units import Count
from ropewalk.data.corpus import Corpus
from ropewalk.data.encoder import Engine
from ropewalk.data.token_store import Layout
from ropewalk.data.tokenizer import Tokenizer
from ropewalk.data.tokens import Tokens
from ropewalk.data.windows import Windows as Cutting
from ropewalk.pipeline.stage import Context, Facts, Stage
from ropewalk.pipeline.stages.pack import Encode, make_tokens


class Windows(Stage, type="windows"):
    """Encodes documents and slides a window over those longer than a sequence; what two windows share is trained once."""

    makes: ClassVar[type[Artifact]] = Tokens
    seeded: ClassVar[bool] = True

    input: Ref[Corpus]
    """The documents."""
    tokenizer: Ref[Tokenizer]
    """Turns text into ids; it travels inside the result."""
    length: Annotated[Count, Field(gt=0)]
    """Positions of a window and of a full sequence."""
    stride: Annotated[Count, Field(gt=0)]
    """Positions from the beginning of a window to that of the next; at most length, which means no overlap."""
    count_overlap: bool = False
    """Whether what two windows share is trained in both; else it is context only in the second."""
    packing: Literal["best_fit", "pad"] = "best_fit"
    """best_fit lets short windows share a sequence (attention stays in each), pad gives each its own."""
    holdout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the documents held out for evaluation, drawn by their ids."""
    bos: bool = True
    """Whether each document begins with BOS; windows inside it don't."""
    eos: bool = True
    """Whether each document ends with EOS."""
    engine: Annotated[Engine, RUNTIME] = "auto"
    """What encodes, as in pack."""

    @model_validator(mode="after")
    def _no_gaps(self) -> Self:
        if self.stride > self.length:
            raise ValueError(f"stride {self.stride} is more than length {self.length}: tokens between two windows would be lost")
        return self

    def fingerprint(self) -> Any:
        """The tokenizer library's version."""
        return {"tokenizers": library_version("tokenizers")}

    def make(self, context: Context) -> Facts:
        cutting = Cutting(self.stride, self.count_overlap)
        layout = Layout(self.length, self.packing, "document", self.holdout, context.seed, cutting)
        return make_tokens(context, self.input, self.tokenizer, self.engine, Encode(Path(), "tokenizers", self.bos, self.eos), layout)
