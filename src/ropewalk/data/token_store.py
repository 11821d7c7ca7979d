"""Writing a Tokens folder: shards of encoded documents, then one pass that joins and packs them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.errors import DataError
from ropewalk.core.ledger import write_table
from ropewalk.data.pack import plan
from ropewalk.data.tokenizer import Vocabulary
from ropewalk.data.tokens import GROUPS, SPLITS, Attend, Grouping, Packing, Split, TokenFacts, split_of
from ropewalk.data.windows import Windows

ENCODED = "encoded"


def id_type(vocab_size: int) -> type[np.uint16 | np.uint32]:
    """The smaller type that holds every id."""
    return np.uint16 if vocab_size <= 1 << 16 else np.uint32


@dataclass
class EncodedShard:
    """Collects the documents of one shard and writes them as `encoded/NAME.*`."""

    vocab_size: int
    ids: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    text_bytes: list[int] = field(default_factory=list)
    tokens: list[NDArray[np.int64]] = field(default_factory=list)
    masks: list[NDArray[np.bool_]] = field(default_factory=list)

    def add(self, id_: str, source: str, text_bytes: int, tokens: NDArray[np.int64], mask: NDArray[np.bool_] | None = None) -> None:
        self.ids.append(id_)
        self.sources.append(source)
        self.text_bytes.append(text_bytes)
        self.tokens.append(tokens)
        if mask is not None:
            self.masks.append(mask)

    def write(self, folder: Path, name: str) -> None:
        lengths = np.array([len(tokens) for tokens in self.tokens], np.int64)
        kind = id_type(self.vocab_size)
        mask = np.concatenate(self.masks) if self.masks else None
        write_encoded(folder, name, self.ids, self.sources, self.text_bytes, lengths, _joined(self.tokens, kind), mask)


def write_encoded(
    folder: Path,
    name: str,
    ids: Any,
    sources: Any,
    text_bytes: Any,
    lengths: NDArray[np.int64],
    tokens: NDArray[Any],
    mask: NDArray[np.bool_] | None = None,
) -> None:
    """The documents of one shard as `encoded/NAME.*`; the columns are lists or Arrow arrays, tokens and mask lie end to end."""
    import pyarrow as pa

    place = folder / ENCODED
    place.mkdir(exist_ok=True)
    tokens.tofile(place / f"{name}.tokens")
    if mask is not None:
        mask.astype(np.uint8).tofile(place / f"{name}.mask")
    columns = {
        "id": _column(ids, pa.string()),
        "source": _column(sources, pa.string()),
        "length": pa.array(lengths, pa.int64()),
        "text_bytes": _column(text_bytes, pa.int64()),
    }
    write_table(pa.table(columns), place / f"{name}.parquet")


def _column(values: Any, kind: Any) -> Any:
    import pyarrow as pa

    return values.cast(kind) if isinstance(values, pa.ChunkedArray) else pa.array(values, kind)


def _joined(parts: list[Any], kind: Any) -> NDArray[Any]:
    return np.concatenate(parts).astype(kind) if parts else np.zeros(0, kind)


def with_ends(tokens: NDArray[Any], lengths: NDArray[np.int64], bos: int | None, eos: int | None, kind: Any) -> tuple[Any, Any]:
    """(tokens, lengths) with BOS before and EOS behind each document; None leaves one out."""
    sizes = lengths + (bos is not None) + (eos is not None)
    starts = np.cumsum(sizes) - sizes
    found = np.empty(int(sizes.sum()), kind)
    inner = np.ones(len(found), np.bool_)
    for id_, places in ((bos, starts), (eos, starts + sizes - 1)):
        if id_ is not None:
            found[places], inner[places] = id_, False
    found[inner] = tokens
    return found, sizes


@dataclass(frozen=True)
class Layout:
    """How a store is packed and split."""

    length: int
    packing: Packing | Grouping
    attend: Attend
    holdout: float
    seed: int
    windows: Windows | None = None

    def other_holdout(self, documents: int) -> str:
        """What to do when so few documents all fell to one side."""
        if documents < 2:
            return "one document can't be divided: cut it in load, by {type: text, path: FILE, per: paragraph}, or set holdout: 0"
        wanted = max(0.05, min(0.5, 5 / documents))
        return f"set holdout: {wanted:.2g}, which holds out about {max(1, round(wanted * documents))} of them; or 0; or bring more text"

    def check_split(self, stage: str, documents: int, report: Mapping[str, Any], what: str = "document") -> None:
        """Raises DataError where one side of the split is empty."""
        if self.holdout and not report["holdout/documents"]:
            raise DataError(f"{stage}: no {what} was held out of {documents}", remedy=self.other_holdout(documents))
        if not report["train/documents"]:
            raise DataError(f"{stage}: all {documents} {what}s were held out", remedy=self.other_holdout(documents))


def join_shards(out: Path, vocabulary: Vocabulary, layout: Layout, chat_template: str = "") -> dict[str, Any]:
    """Join `encoded/*` to a store, copy the tokenizer, plan both splits; returns what to report.

    Every token is kept whose document has another one: a token alone predicts nothing and is counted as cropped.

    `chat_template` (Jinja) replaces the tokenizer's own, so that a model trained on this is prompted in the same way.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    encoded = out / ENCODED
    tables = [pq.read_table(path) for path in sorted(encoded.glob("*.parquet"))]
    table = pa.concat_tables(tables)
    _append(sorted(encoded.glob("*.tokens")), out / "tokens.bin")
    masks = sorted(encoded.glob("*.mask"))
    if masks:
        _append(masks, out / "mask.bin")
    shutil.rmtree(encoded)
    lengths = table["length"].to_numpy()
    offsets = np.cumsum(lengths) - lengths
    splits = [split_of(id_, layout.seed, layout.holdout) for id_ in table["id"].to_pylist()]
    table = table.append_column("offset", pa.array(offsets, pa.int64())).append_column("split", pa.array(splits, pa.string()))
    write_table(table.select(["id", "source", "offset", "length", "text_bytes", "split"]), out / "documents.parquet")
    mask = np.fromfile(out / "mask.bin", np.uint8) if masks else None
    report: dict[str, Any] = {}
    for split in SPLITS:
        chosen = np.array([place == split for place in splits], np.bool_)
        report.update(_plan_split(out / split, split, offsets[chosen], lengths[chosen], layout, mask))
    (out / "tokenizer").mkdir()
    shutil.copyfile(vocabulary.folder / "tokenizer.json", out / "tokenizer" / "tokenizer.json")
    names = {**vocabulary.names, **({"chat_template": chat_template} if chat_template else {})}
    (out / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(names, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    kind = "uint16" if id_type(vocabulary.size) is np.uint16 else "uint32"
    ends = (vocabulary.bos_id, vocabulary.eos_id, vocabulary.pad_id)
    TokenFacts(kind, vocabulary.size, layout.length, *ends, vocabulary.key, layout.packing, layout.attend).write(out)  # type: ignore[arg-type]
    text_bytes = int(table["text_bytes"].to_numpy().sum())
    tokens = int(lengths.sum())
    kept = int(lengths[lengths > 1].sum())
    flow = {"tokens_in": tokens, "tokens_kept": kept, "tokens_cropped": tokens - kept}
    flow["tokens_padded"] = sum(report[f"{split}/padding"] for split in SPLITS)
    return {**report, **flow, "tokens": tokens, "text_bytes": text_bytes, "bytes_per_token": text_bytes / tokens if tokens else 0.0}


def _plan_split(
    folder: Path, split: Split, offsets: NDArray[np.int64], lengths: NDArray[np.int64], layout: Layout, mask: NDArray[np.uint8] | None
) -> Mapping[str, Any]:
    planned = plan(offsets, np.maximum(lengths - 1, 0), layout.length, layout.packing, mask, layout.windows)
    folder.mkdir()
    planned.write(folder)
    grouped = layout.packing in GROUPS  # answers are put into rows when a batch is made
    room = planned.positions if grouped else len(planned) * layout.length
    overlap = planned.positions - int(np.maximum(lengths - 1, 0).sum())
    return {
        **({f"{split}/overlap": overlap} if layout.windows else {}),
        f"{split}/documents": len(lengths),
        f"{split}/sequences": len(planned),
        f"{split}/positions": planned.positions,
        f"{split}/trained_tokens": _trained_tokens(mask, offsets, lengths) if grouped else int(planned.trained.sum()),
        f"{split}/fill": planned.positions / room if room else 0.0,
        f"{split}/padding": room - planned.positions,
    }


def _trained_tokens(mask: NDArray[np.uint8] | None, offsets: NDArray[np.int64], lengths: NDArray[np.int64]) -> int:
    before = np.concatenate([[0], np.cumsum(mask, dtype=np.int64)]) if mask is not None else np.arange(int(lengths.sum()) + 1)
    return int((before[offsets + lengths] - before[offsets]).sum())


def _append(parts: Iterable[Path], place: Path) -> None:
    with place.open("wb") as target:
        for part in parts:
            with part.open("rb") as source:
                shutil.copyfileobj(source, target, 1 << 20)
