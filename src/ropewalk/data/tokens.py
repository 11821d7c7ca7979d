"""Tokens: one flat file of token ids and a plan of sequences that are indices into it; nothing is copied.

A document of m tokens (BOS … EOS) has m - 1 positions: position i sees token i and predicts token i + 1. A segment
(offset, length) is a run of positions of one document, a sequence a run of segments. So every token but a document's
first is predicted exactly once, whatever the packing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.artifact import Artifact
from ropewalk.core.errors import DataError
from ropewalk.core.seed import derive

if TYPE_CHECKING:
    import pyarrow as pa

Split = Literal["train", "holdout"]
SPLITS: tuple[Split, ...] = ("train", "holdout")
Packing = Literal["best_fit", "concat", "pad"]
Attend = Literal["document", "sequence"]
Grouping = Literal["pairs", "judged"]
"""Sequences of answers to one prompt, each a document: chosen and rejected; or those, of which one is empty, and a mismatched one."""
GROUPS: dict[str, int] = {"pairs": 2, "judged": 3}
"""Documents in each sequence of a grouping."""


@dataclass(frozen=True)
class TokenFacts:
    """tokens.json: what a reader must know."""

    dtype: Literal["uint16", "uint32"]
    vocab_size: int
    length: int
    bos_id: int
    eos_id: int
    pad_id: int
    tokenizer_key: str
    packing: Packing | Grouping
    attend: Attend

    def write(self, folder: Path) -> None:
        (folder / "tokens.json").write_text(json.dumps(asdict(self), indent=1, sort_keys=True) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Sequences:
    """One split's plan: sequence s is `segments[starts[s]:starts[s + 1]]`."""

    segments: NDArray[np.int64]  # (segments, 2): offset into tokens.bin, positions
    starts: NDArray[np.int64]  # (sequences + 1,)
    trained: NDArray[np.int32]  # (sequences,) predicted tokens
    context: NDArray[np.int32] | None = None  # (segments,) first positions that are read but not trained; None: 0 everywhere

    def write(self, folder: Path) -> None:
        for name in ("segments", "starts", "trained", "context"):
            values = getattr(self, name)
            if values is not None:
                np.save(folder / f"{name}.npy", values, allow_pickle=False)

    @classmethod
    def read(cls, folder: Path) -> Self:
        segments, starts, trained = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("segments", "starts", "trained"))
        context = folder / "context.npy"
        return cls(segments, starts, trained, np.load(context, mmap_mode="r") if context.is_file() else None)

    def __len__(self) -> int:
        return len(self.trained)

    @property
    def positions(self) -> int:
        """All positions, padding left out; one that stands in two windows counts twice."""
        return int(self.segments[:, 1].sum())


@dataclass(frozen=True)
class TokenDocument:
    """A document as token ids; `mask` says which tokens are trained (None: all)."""

    id: str
    source: str
    tokens: NDArray[np.int64]
    mask: NDArray[np.bool_] | None
    text_bytes: int


class Tokens(Artifact, kind="Tokens"):
    """Packed tokens with their tokenizer."""

    @cached_property
    def facts(self) -> TokenFacts:
        return TokenFacts(**json.loads((self.path / "tokens.json").read_text(encoding="utf-8")))

    @property
    def length(self) -> int:
        """Positions of a full sequence; of the longest answer where a sequence is a group of answers."""
        return self.facts.length

    @property
    def answers(self) -> int:
        """Answers in each sequence; 0 where sequences are no groups of answers."""
        return GROUPS.get(self.facts.packing, 0)

    @property
    def tokenizer_path(self) -> Path:
        return self.path / "tokenizer"

    @cached_property
    def tokens(self) -> NDArray[Any]:
        """All token ids, memory-mapped; raises DataError when the file was cut."""
        size = (self.path / "tokens.bin").stat().st_size
        wanted = self.manifest.files.get("tokens.bin", {}).get("bytes", size)
        if size != wanted:
            raise DataError(f"{self.path / 'tokens.bin'}: {size} bytes, should be {wanted}", remedy="delete the folder and run again")
        return np.memmap(self.path / "tokens.bin", np.dtype(self.facts.dtype), "r") if size else np.zeros(0, self.facts.dtype)

    @cached_property
    def mask(self) -> NDArray[np.uint8] | None:
        """1 for each trained token; None when all are."""
        path = self.path / "mask.bin"
        return np.memmap(path, np.uint8, "r") if path.is_file() else None

    @cached_property
    def documents(self) -> pa.Table:
        """id, source, offset, length, text_bytes, split of each document, in the order of tokens.bin."""
        import pyarrow.parquet as pq

        return pq.read_table(self.path / "documents.parquet")

    def sequences(self, split: Split) -> Sequences:
        return Sequences.read(self.path / split)

    def num_sequences(self, split: Split) -> int:
        return len(self.sequences(split)) if (self.path / split).is_dir() else 0

    def read(self, split: Split) -> Iterator[TokenDocument]:
        """Each document of a split with its tokens."""
        table = self.documents
        columns = [table[name].to_pylist() for name in ("id", "source", "offset", "length", "text_bytes", "split")]
        for id_, source, offset, length, text_bytes, place in zip(*columns, strict=True):
            if place == split:
                ids = np.asarray(self.tokens[offset : offset + length], np.int64)
                mask = None if self.mask is None else np.asarray(self.mask[offset : offset + length], np.bool_)
                yield TokenDocument(id_, source, ids, mask, text_bytes)


def split_of(id_: str, seed: int, holdout: float) -> Split:
    """The same id and seed give the same draw everywhere, so a larger share holds out what a smaller one does and more."""
    return "holdout" if derive(seed, "holdout", id_) < holdout * 2**63 else "train"
