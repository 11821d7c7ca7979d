"""Tokens in CPU seconds on one core: train a 32k BPE, encode to a store, plan a packing, gather batches.

    RAYON_NUM_THREADS=1 OMP_NUM_THREADS=1 python benchmarks/data/tokens.py corpus.jsonl [--check]

The corpus is JSON lines with `text`. `--check` also trains and encodes with tokenizers and compares every byte, which takes
a minute for 40 MB. Each part runs three times and the median counts, but for training and checking. Exit code 1 below a bar.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ropewalk.core.artifact import Manifest
from ropewalk.core.shards import Shard
from ropewalk.data.corpus import write_documents
from ropewalk.data.encoder import Resolved, choose_engine
from ropewalk.data.loader import Loader
from ropewalk.data.loading import Loading
from ropewalk.data.pack import plan
from ropewalk.data.token_store import Layout, join_shards
from ropewalk.data.tokenizer import END, Vocabulary, save_tokenizer
from ropewalk.data.tokenizer_training import Training, train
from ropewalk.data.tokens import Tokens
from ropewalk.pipeline.stages.pack import Encode

VOCAB = 32_768
PIECES, LENGTH = 130_026, 2048
RUNS = 3
TRAINING = Training("bpe", VOCAB, (END,), 2, "gpt2")


def cpu_seconds(work: Callable[[], Any], runs: int = RUNS) -> tuple[float, Any]:
    """(median CPU seconds of this process, the last result)."""
    times, found = [], None
    for _ in range(runs):
        started = time.process_time()
        found = work()
        times.append(time.process_time() - started)
    return statistics.median(times), found


def say(what: str, value: float, unit: str, bar: float, goal: float, *, less: bool) -> bool:
    met = value <= bar if less else value >= bar
    print(f"{what:34} {value:9.4f} {unit:7} bar {bar:g}  goal {goal:g}  {'ok' if met else 'BELOW THE BAR'}")
    return met


def encode(folder: Path, documents: Path, words: Vocabulary, engine: Resolved) -> Path:
    """The whole way of the pack stage: check, read, encode, write, join, plan."""
    out = Path(tempfile.mkdtemp(dir=folder))
    if engine == "gigatoken":
        engine, why = choose_engine(words, "auto", [documents])
        assert engine == "gigatoken", why
    Encode(words.folder, engine)(Shard("000", documents), out)
    join_shards(out, words, Layout(256, "best_fit", "document", 0.0, 0))
    return out


def pieces_of(lengths: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Documents cut to at most LENGTH, drawn with replacement to 130,026 pieces."""
    whole, rest = np.divmod(lengths, LENGTH)
    cut = np.concatenate([np.full(int(whole.sum()), LENGTH), rest[rest > 0]])
    return np.random.default_rng(0).choice(cut, PIECES)


def batches(loader: Loader, workers: int, steps: int) -> float:
    """Million tokens a CPU second; of threads too."""
    with Loading(workers=workers, prefetch=4).start(loader) as source:
        source.at(0)
        started, tokens = time.process_time(), 0
        for step in range(steps):
            tokens += source.at(step).tokens.size
        return tokens / (time.process_time() - started) / 1e6


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("corpus", type=Path)
    options.add_argument("--check", action="store_true")
    given = options.parse_args()
    texts = [json.loads(line)["text"] for line in given.corpus.open(encoding="utf-8")]
    size = sum(len(text.encode()) for text in texts)
    good = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        columns = {
            "id": [str(n) for n in range(len(texts))],
            "text": texts,
            **{name: [""] * len(texts) for name in ("source", "license", "meta")},
        }
        write_documents(pa.table(columns), folder / "documents.parquet")
        print(f"{len(texts)} documents, {size / 1e6:.1f} MB")

        seconds, found = cpu_seconds(lambda: train(TRAINING, [folder / "documents.parquet"], "gigatoken", folder, lambda n: None), 1)
        assert found.trained_by == "gigatoken", found.fallback
        save_tokenizer(found.engine, folder / "words")
        words = Vocabulary(folder / "words")
        good.append(say("train BPE 32k", seconds, "s", 8, 2, less=True))

        seconds, store = cpu_seconds(lambda: encode(folder, folder / "documents.parquet", words, "gigatoken"))
        good.append(say("encode to a store, checks and all", size / 1e6 / seconds, "MB/s", 25, 70, less=False))
        seconds, _ = cpu_seconds(
            lambda: Encode(words.folder, "gigatoken")(Shard("000", folder / "documents.parquet"), Path(tempfile.mkdtemp(dir=folder)))
        )
        good.append(say("  of it read, encode and write", size / 1e6 / seconds, "MB/s", 25, 70, less=False))
        print(f"{'':34} {hashlib.sha256((store / 'tokens.bin').read_bytes()).hexdigest()[:16]} sha256 of the tokens")

        tokens = Tokens(store, Manifest("Tokens"))
        pieces = pieces_of(tokens.documents["length"].to_numpy() - 2)
        offsets = np.cumsum(pieces + 1) - pieces - 1
        plan(offsets, pieces, LENGTH, "best_fit", None)  # compiles
        seconds, planned = cpu_seconds(lambda: plan(offsets, pieces, LENGTH, "best_fit", None), 7)
        assert planned.positions == pieces.sum() and sorted(planned.segments[:, 0].tolist()) == offsets.tolist()
        good.append(say("best-fit plan, 130,026 pieces", seconds, "s", 0.1, 0.01, less=True))
        good.append(say("  fill", planned.positions / (len(planned) * LENGTH), "", 0.9992, 0.9992, less=False))

        loader = Loader(tokens, "train", 8, 0)
        good.append(say("batches of 8 x 256", batches(loader, 0, 3000), "Mtok/s", 12, 29, less=False))
        for workers in (1, 2):
            print(f"{f'  with {workers} threads ahead':34} {batches(loader, workers, 3000):9.3f} Mtok/s")

        if given.check:
            seconds, sure = cpu_seconds(lambda: train(TRAINING, [folder / "documents.parquet"], "tokenizers", folder, lambda n: None), 1)
            print(f"{'train with tokenizers':34} {seconds:9.3f} s       same bytes: {sure.engine.to_str() == found.engine.to_str()}")
            seconds, slow = cpu_seconds(lambda: encode(folder, folder / "documents.parquet", words, "tokenizers"), 1)
            same = (slow / "tokens.bin").read_bytes() == (store / "tokens.bin").read_bytes()
            print(f"{'encode with tokenizers':34} {size / 1e6 / seconds:9.3f} MB/s    same bytes: {same}")
            good.append(same and sure.engine.to_str() == found.engine.to_str())
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
