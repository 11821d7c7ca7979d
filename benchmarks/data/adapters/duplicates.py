"""Duplicates by the peers, from JSON lines to labels or a count: `duplicates.py PEER --corpus FILE --out labels.npy [--limit N]`.

Word 5-grams of lower-cased `\\w+` runs, threshold 0.8, 128 values, each peer's own index; the grams are made in Python as the peers'
own examples make them. Where a peer answers queries, its answers are joined to clusters.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable
from typing import Any

WORDS = re.compile(r"\w+")
VALUES, THRESHOLD = 128, 0.8
now = time.process_time


def grams(text: str, size: int = 5) -> list[str]:
    words = WORDS.findall(text.lower())
    return [" ".join(words[start : start + size]) for start in range(len(words) - size + 1)] or [" ".join(words)]


def read(path: str, limit: int) -> list[str]:
    texts: list[str] = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            if len(texts) == limit:
                break
            texts.append(json.loads(line)["text"])
    return texts


def joined(number: int, edges: Iterable[tuple[int, int]]) -> list[int]:
    """Each document's cluster: the smallest document that edges lead to."""
    parent = list(range(number))

    def root(one: int) -> int:
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    for a, b in edges:
        a, b = root(a), root(b)
        if a != b:
            parent[max(a, b)] = min(a, b)
    return [root(one) for one in range(number)]


def datasketch(path: str, limit: int) -> dict[str, Any]:
    from datasketch import MinHash, MinHashLSH

    started = now()
    texts = read(path, limit)
    sketches = []
    for text in texts:
        sketch = MinHash(num_perm=VALUES)
        sketch.update_batch([gram.encode() for gram in set(grams(text))])
        sketches.append(sketch)
    signed = now()
    index, edges = MinHashLSH(threshold=THRESHOLD, num_perm=VALUES), []
    for number, sketch in enumerate(sketches):
        edges += [(number, other) for other in index.query(sketch)]
        index.insert(number, sketch)
    return {"labels": joined(len(texts), edges), "cpu_s": now() - started, "sketch_s": signed - started}


def rensa(path: str, limit: int) -> dict[str, Any]:
    import rensa

    started = now()
    texts = read(path, limit)
    before = now()
    sketches = []
    for text in texts:
        sketch = rensa.RMinHash(num_perm=VALUES, seed=42)
        sketch.update(grams(text))
        sketches.append(sketch)
    signed = now()
    index, edges = rensa.RMinHashLSH(threshold=THRESHOLD, num_perm=VALUES, num_bands=VALUES // 8), []
    for number, sketch in enumerate(sketches):
        edges += [(number, other) for other in index.query(sketch) if sketches[other].jaccard(sketch) >= THRESHOLD]
        index.insert(number, sketch)
    return {"labels": joined(len(texts), edges), "cpu_s": now() - started, "sketch_s": signed - before}


def gaoya(path: str, limit: int) -> dict[str, Any]:
    import gaoya
    from datasketch.lsh import _optimal_param

    bands, rows = _optimal_param(THRESHOLD, VALUES, 0.5, 0.5)
    started = now()
    texts = read(path, limit)
    index = gaoya.minhash.MinHashStringIndex(
        hash_size=32,
        num_bands=bands,
        band_size=rows,
        jaccard_threshold=THRESHOLD,
        analyzer="word",
        lowercase=True,
        ngram_range=(5, 5),
        id_container="smallvec",
    )
    before = now()
    index.par_bulk_insert_docs(list(range(len(texts))), texts)
    signed = now()
    edges = [(number, other) for number, found in enumerate(index.par_bulk_query(texts)) for other in found]
    return {"labels": joined(len(texts), edges), "cpu_s": now() - started, "sketch_s": signed - before}


def folded(text: str) -> str:
    return " ".join(text.lower().split())


def python_sha1(path: str, limit: int) -> dict[str, Any]:
    started = now()
    with open(path, "rb") as file:
        seen = {hashlib.sha1(folded(json.loads(line)["text"]).encode()).digest() for line in file}
    return {"left": len(seen), "cpu_s": now() - started}


def python_xxh3(path: str, limit: int) -> dict[str, Any]:
    import orjson
    import xxhash

    started = now()
    with open(path, "rb") as file:
        seen = {xxhash.xxh3_128_digest(folded(orjson.loads(line)["text"]).encode()) for line in file}
    return {"left": len(seen), "cpu_s": now() - started}


def polars_exact(path: str, limit: int) -> dict[str, Any]:
    import polars as pl

    started = now()
    text = pl.col("text").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
    frame = pl.read_ndjson(path, schema_overrides={"text": pl.String}).select("id", hash=text.hash())
    return {"left": frame.unique("hash", keep="first", maintain_order=True).height, "cpu_s": now() - started}


def duckdb_exact(path: str, limit: int) -> dict[str, Any]:
    import duckdb

    started = now()
    connection = duckdb.connect()
    connection.execute("set threads=1")
    text = r"trim(regexp_replace(lower(text), '\s+', ' ', 'g'))"
    query = f"select count(distinct hash({text})) from read_json_auto(?, format='newline_delimited')"
    left = connection.execute(query, [path]).fetchone()
    return {"left": left[0] if left else 0, "cpu_s": now() - started}


def polars_read(path: str, limit: int) -> dict[str, Any]:
    import polars as pl

    started = now()
    frame = pl.read_ndjson(path, schema_overrides={"text": pl.String})
    frame.write_parquet(f"{path}.polars.parquet", compression="zstd")
    return {"left": frame.height, "cpu_s": now() - started}


PEERS: dict[str, Callable[[str, int], dict[str, Any]]] = {
    "datasketch": datasketch,
    "rensa": rensa,
    "gaoya": gaoya,
    "sha1": python_sha1,
    "xxh3": python_xxh3,
    "polars": polars_exact,
    "duckdb": duckdb_exact,
    "polars_read": polars_read,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("peer", choices=sorted(PEERS))
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--out", default="")
    parser.add_argument("--limit", type=int, default=1 << 60)
    given = parser.parse_args()
    found = PEERS[given.peer](given.corpus, given.limit)
    labels = found.pop("labels", None)
    if labels is not None:
        import numpy as np

        np.save(given.out, np.array(labels, np.int64))
    print(json.dumps({"mb": sum(len(text.encode()) for text in read(given.corpus, given.limit)) / 1e6, **found}))


if __name__ == "__main__":
    main()
