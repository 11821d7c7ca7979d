"""Near-duplicates by the two peers that are pipelines: `pipelines.py PEER --corpus FILE --out labels.npy --work DIR [--limit N]`."""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np


def cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def datatrove(corpus: Path, work: Path, documents: int) -> tuple[Any, dict[str, float]]:
    """Its four stages; 14 bands of 8 values, as it comes."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter
    from datatrove.utils.hashing import HashConfig

    config = MinhashConfig(hash_config=HashConfig(precision=64), num_buckets=14, hashes_per_bucket=8, n_grams=5)
    at = {name: str(work / name) for name in ("in", "signatures", "buckets", "ids", "kept", "log")}
    stages: dict[str, tuple[list[Any], int]] = {
        "sketch": ([JsonlReader(at["in"]), MinhashDedupSignature(at["signatures"], config=config, language="eng")], 1),
        "buckets": ([MinhashDedupBuckets(at["signatures"], at["buckets"], config=config)], 14),
        "cluster": ([MinhashDedupCluster(at["buckets"], at["ids"], config=config, save_cluster_id=True)], 1),
        "filter": ([JsonlReader(at["in"]), MinhashDedupFilter(at["ids"]), JsonlWriter(at["kept"], compression=None)], 1),
    }
    seconds = {}
    for name, (pipeline, tasks) in stages.items():
        before = cpu_seconds()
        LocalPipelineExecutor(pipeline=pipeline, tasks=tasks, workers=1, logging_dir=f"{at['log']}/{name}").run()
        seconds[f"{name}_s"] = round(cpu_seconds() - before, 3)
    labels = -np.arange(1, documents + 1, dtype=np.int64)
    for path in sorted(Path(at["ids"]).glob("*.clusters")):
        data = path.read_bytes()
        for document, cluster in struct.iter_unpack("<II", data[: len(data) // 8 * 8]):
            labels[document] = cluster if document < documents else labels[document]
    return labels, seconds


def textdedup(corpus: Path, work: Path, documents: int) -> tuple[Any, dict[str, float]]:
    """Its MinHash command with one process."""
    options = {
        "--path": "json",
        "--data_files": str(corpus),
        "--split": "train",
        "--cache_dir": str(work / "cache"),
        "--output": str(work / "out"),
        "--column": "text",
        "--num_perm": "128",
        "--ngram": "5",
        "--threshold": "0.8",
        "--num_proc": "1",
        "--hash_func": "xxh3",
    }
    command = [sys.executable, "-m", "text_dedup.minhash", *(part for pair in options.items() for part in pair)]
    own = {"HF_HOME": str(work / "hf"), "HF_DATASETS_OFFLINE": "1"}
    ran = subprocess.run(command, cwd=work, capture_output=True, text=True, env={**os.environ, **own}, check=False)
    if ran.returncode:
        sys.exit(ran.stderr[-1000:])
    from datasets import load_from_disk

    kept = set(load_from_disk(str(work / "out"))["id"])
    with corpus.open(encoding="utf-8") as file:
        return np.array([json.loads(line)["id"] in kept for line in file], np.bool_), {}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("peer", choices=["datatrove", "textdedup"])
    for name in ("--corpus", "--out", "--work"):
        parser.add_argument(name, required=True, type=Path)
    parser.add_argument("--limit", type=int, default=1 << 60)
    given = parser.parse_args()
    work = given.work.absolute()
    shutil.rmtree(work, ignore_errors=True)
    (work / "in").mkdir(parents=True)
    with given.corpus.open(encoding="utf-8") as file:  # its lines end at LF only; str.splitlines knows more ends
        lines = [line for number, line in enumerate(file) if number < given.limit]
    corpus = work / "in" / "00000.jsonl"
    corpus.write_text("".join(lines), encoding="utf-8")
    mb = sum(len(json.loads(line)["text"].encode()) for line in lines) / 1e6
    before = cpu_seconds()
    labels, parts = (datatrove if given.peer == "datatrove" else textdedup)(corpus, work, len(lines))
    seconds = cpu_seconds() - before
    np.save(given.out, labels)
    shutil.rmtree(work)
    print(json.dumps({"mb": mb, "documents": len(lines), "cpu_s": seconds, **parts}))


if __name__ == "__main__":
    main()
