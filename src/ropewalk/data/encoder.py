"""Encoding many texts at once: by `tokenizers`, or by gigatoken where it is installed and gives the same ids.

gigatoken is about a hundred times faster and young; so each run compares the two on awkward strings and on a sample of
its own texts first, and goes on with `tokenizers` where they differ.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.errors import MissingExtra
from ropewalk.data.tokenizer import Vocabulary

REOPENED_AFTER_LETTERS = 1 << 28
Engine = Literal["auto", "tokenizers", "gigatoken"]
Resolved = Literal["tokenizers", "gigatoken"]
AWKWARD = (
    "x != y",
    "a<|endoftext|>b <|endoftext|>",
    bytes(range(256)).decode("latin-1"),
    "",
    " ",
    "\ufeffmark",
    "👩‍👩‍👧‍👦 family",
    "a\u2028b\u3000c\x1c\x1d\x85 \u200b",
    "".join(f"a{' ' * n}b" for n in range(20)),
    "\u0130\u0131\u017f\u212a 'r\"x's 'S \u2019s I'LL we've '\u017f",
    "\r\n\r\n  \t\t a  \u00a0b\r",
    "12345678 ١٢٣ ½ 3.14 x²",
    "नमस्ते 日本語 한국어 ไทย",
)
"""Where implementations of the same rule part ways first: white space, case folding, marks, digits, control tokens as text."""


@dataclass(frozen=True)
class Encoded:
    """Texts as ids, end to end, without BOS and EOS."""

    tokens: NDArray[Any]  # (all tokens,)
    lengths: NDArray[np.int64]  # (texts,)

    def each(self) -> list[NDArray[Any]]:
        return np.split(self.tokens, np.cumsum(self.lengths)[:-1]) if len(self.lengths) else []


def without_ends(found: Encoded, bos: int | None, eos: int | None) -> Encoded:
    """The same texts without a BOS or EOS that they spell themselves at their ends: those that are added must not stand twice."""
    parts = []
    for tokens in found.each():
        if bos is not None and len(tokens) and tokens[0] == bos:
            tokens = tokens[1:]
        parts.append(tokens[:-1] if eos is not None and len(tokens) and tokens[-1] == eos else tokens)
    return Encoded(np.concatenate(parts) if parts else found.tokens, np.array([len(tokens) for tokens in parts], np.int64))


Encode = Callable[[Sequence[str]], Encoded]


def resolve_engine(wanted: Engine) -> Resolved:
    """What `auto` means here; raises MissingExtra where gigatoken is asked for and isn't installed."""
    here = find_spec("gigatoken") is not None and find_spec("awkward") is not None
    if wanted == "gigatoken" and not here:
        raise MissingExtra("engine gigatoken: the package is not installed", remedy="pip install 'ropewalk[fast]', or set engine: auto")
    return "gigatoken" if wanted != "tokenizers" and here else "tokenizers"


def open_encoder(vocabulary: Vocabulary, engine: Resolved) -> Encode:
    """A function from texts to ids; raises ValueError where gigatoken can't compute this tokenizer."""
    return _fast(vocabulary) if engine == "gigatoken" else _sure(vocabulary)


def check_encoder(vocabulary: Vocabulary, engine: Resolved, texts: Sequence[str]) -> str:
    """Why gigatoken must not be used for this tokenizer and these texts; empty when it may (and for `tokenizers`)."""
    if engine == "tokenizers":
        return ""
    try:
        fast = _fast(vocabulary)
        sample = [*AWKWARD, *vocabulary.controls, *texts]
        for text, ids, wanted in zip(sample, fast(sample).each(), vocabulary.encode(sample), strict=True):
            if not np.array_equal(ids, wanted):
                return f"its ids of {text[:40]!r} are others than those of tokenizers"
    except ValueError as error:
        return str(error)
    return ""


def choose_engine(vocabulary: Vocabulary, wanted: Engine, files: Sequence[Path]) -> tuple[Resolved, str]:
    """The engine to encode the Parquet `files` with, and why it isn't gigatoken where that was to be used."""
    engine = resolve_engine(wanted)
    why = check_encoder(vocabulary, engine, sample_texts(files))
    return ("tokenizers" if why else engine), why


def sample_texts(files: Sequence[Path], shards: int = 8, documents: int = 16, letters: int = 1000) -> list[str]:
    """The beginnings of the first documents of some shards."""
    import pyarrow.parquet as pq

    found: list[str] = []
    for path in files[:: max(1, -(-len(files) // shards))]:
        batch = next(pq.ParquetFile(path).iter_batches(documents, columns=["text"]), None)
        found += [text[:letters] for text in batch["text"].to_pylist()] if batch is not None else []
    return found


def _sure(vocabulary: Vocabulary) -> Encode:
    def encode(texts: Sequence[str]) -> Encoded:
        found = [encoding.ids for encoding in vocabulary.engine.encode_batch_fast(list(texts), add_special_tokens=False)]
        lengths = np.array([len(ids) for ids in found], np.int64)
        tokens = np.fromiter((id_ for ids in found for id_ in ids), np.uint32, int(lengths.sum()))
        return Encoded(tokens, lengths)

    return encode


def _fast(vocabulary: Vocabulary) -> Encode:
    """The engine is kept for the next shard: opening one takes as long as encoding 20 MB."""
    return _kept(vocabulary.folder, vocabulary.key)


@functools.lru_cache(2)
def _kept(folder: Path, key: str) -> Encode:
    # Without its control tokens the engine has no way to make one from a text that spells it.
    plain = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    plain["added_tokens"] = [token for token in plain["added_tokens"] if not token["special"]]
    plain.update(post_processor=None, truncation=None, padding=None)
    return _Fast(json.dumps(plain))  # json.dump() takes ten times as long


class _Fast:
    """gigatoken's engine, opened again after so much text: what it remembers of words grows without a limit."""

    def __init__(self, tokenizer: str) -> None:
        self.tokenizer, self.engine, self.letters = tokenizer, self._opened(tokenizer), 0

    @staticmethod
    def _opened(tokenizer: str) -> Any:
        import gigatoken

        try:
            with NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
                file.write(tokenizer)
                file.flush()
                return gigatoken.Tokenizer(file.name)
        except BaseException as error:  # a panic of its Rust side is no Exception
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            raise ValueError(f"gigatoken can't compute this tokenizer: {error}") from None

    def __call__(self, texts: Sequence[str]) -> Encoded:
        import awkward

        if self.letters > REOPENED_AFTER_LETTERS:
            self.engine, self.letters = self._opened(self.tokenizer), 0
        self.letters += sum(map(len, texts))
        found = self.engine.encode_batch(list(texts), parallel=False)
        lengths = awkward.to_numpy(awkward.num(found)).astype(np.int64)
        return Encoded(awkward.to_numpy(awkward.flatten(found)), lengths)
