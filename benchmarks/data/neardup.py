"""Recall and precision of near-deduplication on three labelled sets of real texts, at their natural thresholds.

`DATA_DIR=... python benchmarks/data/neardup.py` reads `neardup/` there: copyright files of Debian packages (every pair of word 5-gram
Jaccard 0.4 and more is known), parallel chapters of the King James Bible (word 3-grams, 0.15 and more), licence texts (word 5-grams).
A pair is found when both are in one component, and resolved when not both stay; a document is rightly joined, or rightly removed,
when the truth gives it a partner at the threshold.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from ropewalk.data.dedup.deduplicate import deduplicate
from ropewalk.data.dedup.near import Near

SETS = (
    ("debian_copyright", "pairs_ge_0.4.jsonl.gz", "jaccard_w5", 5, (0.4, 0.5, 0.7, 0.8, 0.9)),
    ("kjv_parallels", "pairs.jsonl", "jaccard_w3", 3, (0.15,)),
    ("licences", "pairs.jsonl", "jaccard_w5", 5, (0.3, 0.45, 0.7, 0.85)),
)
BAR = 0.98


def rows(path: Path) -> list[dict[str, Any]]:
    data = path.read_bytes()
    return [json.loads(line) for line in (gzip.decompress(data) if path.suffix == ".gz" else data).decode().split("\n") if line]


def score(folder: Path, pairs_name: str, label: str, ngram: int, threshold: float) -> dict[str, float]:
    """Shares of pairs and documents, as said above."""
    documents = rows(folder / "docs.jsonl.gz")
    place = {row["id"]: number for number, row in enumerate(documents)}
    pairs = [(place[pair["a"]], place[pair["b"]]) for pair in rows(folder / pairs_name) if pair[label] >= threshold]
    one, other = np.array(pairs).T
    started = time.process_time()
    found = deduplicate([row["text"] for row in documents], near=Near(threshold=threshold, ngram=ngram))
    seconds = time.process_time() - started
    partnered = np.zeros(len(documents), bool)
    partnered[one] = partnered[other] = True
    joined = np.bincount(found.component, minlength=len(documents))[found.component] > 1
    return {
        "pairs": len(pairs),
        "pairs found": float((found.component[one] == found.component[other]).mean()),
        "joined rightly": float(partnered[joined].mean()),
        "pairs resolved": float((~found.kept[one] | ~found.kept[other]).mean()),
        "removed rightly": float(partnered[~found.kept].mean()),
        "CPU seconds": seconds,
    }


def main() -> int:
    data = os.environ.get("DATA_DIR")
    if not data or not (Path(data) / "neardup").is_dir():
        sys.stdout.write("not run: DATA_DIR has no neardup/\n")
        return 0
    worst = 1.0
    for name, pairs, label, ngram, thresholds in SETS:
        for threshold in thresholds:
            found = score(Path(data) / "neardup" / name, pairs, label, ngram, threshold)
            shares = ("pairs found", "joined rightly", "pairs resolved", "removed rightly")
            worst = min(worst, *(found[share] for share in shares))
            told = ", ".join(f"{share} {found[share]:.4f}" for share in shares)
            sys.stdout.write(f"{name:17} {threshold:.2f}: {found['pairs']:5.0f} pairs, {told}, {found['CPU seconds']:.2f} s\n")
    sys.stdout.write(f"worst {worst:.4f}, the bar is {BAR}\n")
    return int(worst < BAR)


if __name__ == "__main__":
    sys.exit(main())
