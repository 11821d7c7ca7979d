"""The tokenizer stage: a byte-level BPE trained on a corpus, with the control tokens that a chat template wants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version as library_version
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ropewalk.core.artifact import Artifact
from ropewalk.core.errors import DataError
from ropewalk.core.reference import Ref
from ropewalk.core.units import Count
from ropewalk.data.chat import TEMPLATES
from ropewalk.data.corpus import Corpus
from ropewalk.data.tokenizer import CHATML, END, Pretokenizer, Tokenizer, save_tokenizer, train_byte_bpe
from ropewalk.pipeline.stage import Context, Facts, Stage

ALPHABET = 256


class TrainTokenizer(Stage, type="tokenizer"):
    """Trains a byte-level BPE: every text round-trips exactly, and the same corpus gives the same file anywhere."""

    makes: ClassVar[type[Artifact]] = Tokenizer

    input: Ref[Corpus]
    """The corpus to learn from."""
    size: Annotated[Count, Field(gt=0)] = 4096
    """Number of ids, control tokens included; at most as many as the corpus has merges for."""
    special: Literal["none", "chatml"] = "none"
    """Control tokens for a chat template."""
    min_frequency: int = Field(default=2, ge=1)
    """A pair seen less often is not merged."""
    pretokenizer: Pretokenizer = "gpt2"
    """Whose rule cuts text into words before merging."""

    def fingerprint(self) -> Any:
        """The library's version: another one may merge otherwise."""
        return {"tokenizers": library_version("tokenizers")}

    @property
    def controls(self) -> tuple[str, ...]:
        return (END, *CHATML) if self.special == "chatml" else (END,)

    def problems(self, upstream: Mapping[str, Stage | Artifact]) -> list[tuple[str, str]]:
        least = ALPHABET + len(self.controls)
        parts = f"{ALPHABET} bytes and {len(self.controls)} for control tokens"
        return [("size", f"{self.size} is too small: set at least {least}, {parts}")] if self.size < least else []

    def make(self, context: Context) -> Facts:
        corpus = context.open(self.input)
        total_bytes = 0

        def texts() -> Iterator[str]:
            nonlocal total_bytes
            with context.progress(context.name, corpus.num_documents, "documents") as bar:
                for table in corpus.tables():
                    for text in table["text"].to_pylist():
                        total_bytes += len(text.encode())
                        yield text
                    bar.advance(table.num_rows)

        engine = train_byte_bpe(texts(), self.size, self.controls, self.min_frequency, self.pretokenizer)
        if not total_bytes:
            raise DataError(f"{context.name}: the corpus has no text to learn from")
        found = engine.get_vocab_size()
        if found < self.size:
            context.log.warning(
                "%s: the corpus has words for %d ids, not %d; more text, or min_frequency: 1, makes more", context.name, found, self.size
            )
        template = TEMPLATES["chatml"].jinja if self.special == "chatml" else ""
        save_tokenizer(engine, context.out, template)
        return Facts(metrics={"size": found, "corpus_bytes": total_bytes})
