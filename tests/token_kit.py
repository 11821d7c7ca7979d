"""Tiny stores and corpora for the tests of tokens: every token id says where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ropewalk.core.artifact import Manifest, commit
from ropewalk.core.ledger import write_table
from ropewalk.data.corpus import Corpus, write_documents
from ropewalk.data.curriculum import Length
from ropewalk.data.mixture import Mixture, Rule, write_mixture
from ropewalk.data.pack import plan
from ropewalk.data.tokens import Attend, Packing, TokenFacts, Tokens
from ropewalk.data.windows import Windows


def make_store(
    folder: Path,
    lengths: Sequence[int],
    length: int,
    packing: Packing = "best_fit",
    *,
    first_id: int = 1000,
    windows: Windows | None = None,
    attend: Attend = "document",
    key: str = "key",
    holdout: int = 0,
) -> Tokens:
    """Token ids are first_id * (document + 1) + place; the last `holdout` documents are held out."""
    draft = folder.with_name(f"draft-{folder.name}")
    draft.mkdir(parents=True)
    sizes = np.array(lengths, np.int64)
    offsets = np.cumsum(sizes) - sizes
    ids = [np.arange(size) + first_id * (number + 1) for number, size in enumerate(lengths)]
    np.concatenate([*ids, np.zeros(0, np.int64)]).astype(np.uint32).tofile(draft / "tokens.bin")
    border = len(lengths) - holdout
    for split, part in (("train", slice(0, border)), ("holdout", slice(border, None))):
        (draft / split).mkdir()
        plan(offsets[part], np.maximum(sizes[part] - 1, 0), length, packing, None, windows).write(draft / split)
    columns: dict[str, Any] = {
        "id": [f"d{number}" for number in range(len(lengths))],
        "source": pa.array([folder.name] * len(lengths), pa.string()),
        "offset": offsets,
        "length": sizes,
        "text_bytes": sizes,
        "split": ["train"] * border + ["holdout"] * holdout,
    }
    write_table(pa.table(columns), draft / "documents.parquet")
    (draft / "tokenizer").mkdir()
    (draft / "tokenizer" / "tokenizer.json").write_text("{}")
    TokenFacts("uint32", 1 << 24, length, 0, 0, 0, key, packing, attend).write(draft)
    commit(draft, folder, Manifest("Tokens"))
    return Tokens.open(folder)


def make_mixture(
    folder: Path,
    parts: dict[str, Tokens],
    weights: dict[str, Any],
    most: dict[str, int] | None = None,
    length: Length | None = None,
    spread: float = 1.0,
    easiest: dict[str, np.ndarray[Any, Any]] | None = None,
) -> Mixture:
    draft = folder.with_name(f"draft-{folder.name}")
    draft.mkdir()
    rules = [Rule(name, weights[name], (most or {}).get(name)) for name in parts]
    write_mixture(draft, parts, rules, length, spread, easiest or {})
    commit(draft, folder, Manifest("Mixture"))
    return Mixture.open(folder)


def make_corpus(folder: Path, texts: Sequence[str], shards: int = 2) -> Corpus:
    """Documents in so many shards; the source is `even` or `odd` by number."""
    draft = folder.with_name(f"draft-{folder.name}")
    rows = list(enumerate(texts))
    for shard in range(shards):
        part = rows[shard * len(rows) // shards : (shard + 1) * len(rows) // shards]
        columns = {
            "id": [f"doc{number}" for number, _ in part],
            "text": [text for _, text in part],
            "source": ["odd" if number % 2 else "even" for number, _ in part],
            "license": [""] * len(part),
            "meta": ["{}"] * len(part),
        }
        write_documents(
            pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()}),
            draft / "documents" / f"{shard:03d}.parquet",
        )
    counts = {"records_in": len(rows), "kept": len(rows), "dropped": 0, "quarantined": 0}
    commit(draft, folder, Manifest("Corpus", counts=counts))
    return Corpus.open(folder)
