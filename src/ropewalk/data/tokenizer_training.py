"""Training a tokenizer from Parquet files with the fastest engine that gives what `tokenizers` would give."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ropewalk.core.seed import derive
from ropewalk.data.encoder import Resolved, open_encoder
from ropewalk.data.fast_bpe import Unfit, train_fast_bpe, try_fast_bpe
from ropewalk.data.tokenizer import Pretokenizer, Vocabulary, save_tokenizer, train_byte_bpe
from ropewalk.data.tokenizer_kinds import train_unigram

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Engine

TRIAL = 32
"""Documents on which both engines must agree first, and how many characters of each."""
TRIAL_LETTERS = 1000
BATCH = 1024


@dataclass(frozen=True)
class Training:
    """What is trained and from which share of the documents."""

    kind: Literal["bpe", "unigram", "wordpiece"]
    size: int
    controls: tuple[str, ...]
    min_frequency: int
    pretokenizer: Pretokenizer
    split_digits: bool = False
    byte_fallback: bool = False
    share: float = 1.0


@dataclass(frozen=True)
class Found:
    """The tokenizer, what made it, and why it wasn't the faster engine (empty when it was, or wasn't asked)."""

    engine: Engine
    text_bytes: int
    trained_by: Resolved
    fallback: str = ""


def train(settings: Training, files: Sequence[Path], engine: Resolved, work: Path, advance: Callable[[float], None]) -> Found:
    """The tokenizer of the documents in `files` (id, text); `work` is for a drawn sample."""
    if settings.share < 1:
        files = _drawn(files, settings.share, work)
    text_bytes = sum(_text_bytes(path) for path in files)
    why = ""
    if engine == "gigatoken" and text_bytes:
        try:
            fast = _fast(settings, files, work)
        except Unfit as unfit:
            why = str(unfit)
        else:
            return Found(fast, text_bytes, "gigatoken")
    return Found(_sure(settings, _all_texts(files, advance)), text_bytes, "tokenizers", why)


def _fast(settings: Training, files: Sequence[Path], work: Path) -> Engine:
    """Raises Unfit where the last merge was rarer than `min_frequency`: there `tokenizers` stops earlier."""
    first = [text[:TRIAL_LETTERS] for text, _ in zip(_all_texts(files), range(TRIAL), strict=False)]
    try_fast_bpe(first, settings.controls)
    found = train_fast_bpe(files, settings.size, settings.controls)
    if settings.min_frequency > 1:
        save_tokenizer(found, work / "trial")
        encode, last, seen = open_encoder(Vocabulary(work / "trial"), "gigatoken"), found.get_vocab_size() - 1, 0
        for texts in _batches(files):
            seen += int((encode(texts).tokens == last).sum())
            if seen >= settings.min_frequency:
                return found
        raise Unfit(f"the text has fewer merges than {settings.size} ids of {settings.min_frequency} uses each")
    return found


def _sure(settings: Training, texts: Iterator[str]) -> Engine:
    if settings.kind == "unigram":
        return train_unigram(
            texts,
            settings.size,
            settings.controls,
            settings.pretokenizer,
            split_digits=settings.split_digits,
            byte_fallback=settings.byte_fallback,
        )
    assert settings.kind == "bpe", "the stage refuses to train wordpiece"
    return train_byte_bpe(
        texts, settings.size, settings.controls, settings.min_frequency, settings.pretokenizer, split_digits=settings.split_digits
    )


def _batches(files: Sequence[Path]) -> Iterator[list[str]]:
    import pyarrow.parquet as pq

    for path in files:
        for batch in pq.ParquetFile(path).iter_batches(BATCH, columns=["text"]):
            yield batch["text"].to_pylist()


def _all_texts(files: Sequence[Path], advance: Callable[[float], None] = lambda count: None) -> Iterator[str]:
    for texts in _batches(files):
        yield from texts
        advance(len(texts))


def _text_bytes(path: Path) -> int:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    return pc.sum(pc.binary_length(pq.read_table(path, columns=["text"])["text"])).as_py() or 0


def _drawn(files: Sequence[Path], share: float, work: Path) -> list[Path]:
    """A file of the documents whose ids are drawn; the same ones whatever else is in the corpus."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = []
    for path in files:
        table = pq.read_table(path, columns=["id", "text"])
        chosen = [derive(0, "tokenizer sample", id_) < share * 2**63 for id_ in table["id"].to_pylist()]
        tables.append(table.filter(pa.array(chosen, pa.bool_())))
    work.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.concat_tables(tables), work / "sample.parquet", use_dictionary=False)
    return [work / "sample.parquet"]
