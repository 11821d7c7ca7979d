"""Our side of every table: `ours.py WHAT --corpus FILE --work DIR [--out labels.npy]`.

Most numbers are what a stage of a recipe costs as a whole, from its manifest: reading the artifact before it, the work, writing the
next one and its hashes. Each stage runs once before on 50 documents, so that imports and compiled code are there. What peers do in
memory is measured in memory too: `rules` and `pii` apply steps to Arrow batches, `signatures` signs a column.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import ropewalk
from ropewalk.core.component import lookup
from ropewalk.core.ledger import read_ledger
from ropewalk.data.steps import Batch, Step
from ropewalk.pipeline.stage import Stage

RULES = ("gopher", "repetition", "c4", "fineweb")
BATCH_ROWS = 2048
now = time.process_time


def known(names: tuple[str, ...]) -> list[str]:
    """Those steps that there are."""
    return [name for name in names if name in lookup(Step)]


def run(stages: Mapping[str, Mapping[str, Any]], corpus: Path | str, work: Path, workers: int = 1) -> Any:
    """A finished run of `raw` (the corpus, from JSON lines) and these stages, nothing cached."""
    raw = {"type": "load", "source": {"type": "jsonl", "path": str(corpus)}}
    tree = {"name": "bench", "store": str(work / "store"), "runs": str(work / "runs"), "executor": {"type": "local", "workers": workers}}
    return ropewalk.loads(json.dumps({**tree, "stages": {"raw": raw, **stages}}), "bench.yaml", work).run(quiet=True)


def divided(corpus: Path, folder: Path, parts: int, documents: int = 1 << 60) -> str:
    """The corpus in so many files, as a pattern."""
    folder.mkdir(parents=True)
    files = [(folder / f"{part:02d}.jsonl").open("wb") for part in range(parts)]
    with corpus.open("rb") as lines:
        for number, line in enumerate(lines):
            if number == documents:
                break
            files[number % parts].write(line)
    for file in files:
        file.close()
    return str(folder / "*.jsonl")


def stages(wanted: Mapping[str, Mapping[str, Any]], corpus: Path, work: Path) -> Any:
    """As `run`, after the same on a few documents."""
    run(wanted, divided(corpus, work / "few", 2, 50), work)
    return run(wanted, corpus, work)


def cost(finished: Any, *names: str) -> dict[str, Any]:
    """CPU-seconds of the named stages and MB of text that came in."""
    seconds = {name: finished[name].manifest.notes["cost"]["cpu_seconds"] for name in names}
    mb = finished["raw"].manifest.metrics["text_bytes"] / 1e6
    return {"cpu_s": sum(seconds.values()), "mb": mb, "parts": {name: round(value, 3) for name, value in seconds.items()}}


def table(corpus: Path) -> Any:
    """The corpus as an Arrow table, as `read_documents` gives it."""
    import pyarrow as pa

    from ropewalk.data.corpus import from_documents
    from ropewalk.data.records import Document

    with corpus.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    found = from_documents(Document(row["id"], row["text"], row["source"]) for row in rows)
    assert isinstance(found, pa.Table)
    return found


def in_memory(steps: list[Any], corpus: Path) -> dict[str, Any]:
    """The steps over batches of the column; every step judges every document, as the peers' rules do."""
    import pyarrow.compute as pc

    whole = table(corpus)
    built = [Step.model_validate(step) for step in steps]
    changed, kept = 0, np.ones(whole.num_rows, np.bool_)
    for step in built:
        step.apply(Batch(whole.slice(0, 50)))
    started = now()
    for start in range(0, whole.num_rows, BATCH_ROWS):
        batch = Batch(whole.slice(start, BATCH_ROWS))
        for step in built:
            change = step.apply(batch)
            for rule in change.rules:
                kept[start : start + len(batch)] &= rule.keeps
            changed += sum(int(np.sum(numbers)) for numbers in change.counts.values())
    seconds = now() - started
    mb = pc.sum(pc.binary_length(whole["text"])).as_py() / 1e6
    return {"cpu_s": seconds, "mb": mb, "kept": int(kept.sum()), "changed": changed, "steps": [step.tag for step in built]}


def signed(corpus: Path) -> dict[str, Any]:
    """128 values of each document's word 5-grams, from Arrow's buffers."""
    from ropewalk.data.dedup.hash import pieces
    from ropewalk.data.dedup.signature import signatures

    column = table(corpus)["text"].combine_chunks()
    signatures(next(pieces(column.slice(0, 50))), 5, 128)
    started = now()
    for texts in pieces(column):
        signatures(texts, 5, 128)
    return {"cpu_s": now() - started, "mb": column.nbytes / 1e6}


def labels(finished: Any, name: str) -> tuple[Any, Any]:
    """Of each document the component that the stage says it belongs to (else its witness), and whether it stays."""
    import pyarrow.parquet as pq

    place = {document: number for number, document in enumerate(document.id for document in finished["raw"].documents())}
    found, kept = np.arange(len(place)), np.ones(len(place), np.bool_)
    ledger = read_ledger(finished[name].path)
    for gone, witness in zip(ledger["id"].to_pylist(), ledger["witness"].to_pylist(), strict=True):
        found[place[gone]] = place[witness]
        kept[place[gone]] = False
    for path in sorted((finished[name].path / "clusters").glob("*.parquet")):
        told = pq.read_table(path, columns=["id", "component"])
        for own, component in zip(told["id"].to_pylist(), told["component"].to_pylist(), strict=True):
            found[place[own]] = place[component]
    return found, kept


def near(corpus: Path, work: Path, out: Path, **fields: Any) -> dict[str, Any]:
    finished = stages({"unique": {"type": "dedup", "input": "raw", "near": {"threshold": 0.8}, **fields}}, corpus, work)
    found, kept = labels(finished, "unique")
    np.save(out, found)
    np.save(out.with_suffix(".kept.npy"), kept)
    return {**cost(finished, "raw", "unique"), "unique_s": cost(finished, "unique")["cpu_s"]}


def keep_list(corpus: Path, work: Path, out: Path, *, near: bool = True) -> dict[str, Any]:
    """As the peers' adapters do it: JSON lines read by pyarrow, the public function in memory, what is kept; nothing is written."""
    import pyarrow.json

    from ropewalk.data.dedup.deduplicate import deduplicate
    from ropewalk.data.dedup.near import Near

    rules = Near(threshold=0.8) if near else None
    warm = ["A “warm” text of more than five words, read twice to load what is compiled."] * 2 + ["A warm text of more than five words,"]
    deduplicate([*warm, *(f"{text} and its end differs {number}" for number, text in enumerate(warm))], near=rules)
    started = now()
    read = pyarrow.json.ReadOptions(block_size=16 << 20, use_threads=False)
    texts = pyarrow.json.read_json(corpus, read_options=read)["text"].cast("large_string")
    decided = deduplicate(texts, near=rules)
    seconds = now() - started
    np.save(out, decided.component if near else decided.keeper)
    np.save(out.with_suffix(".kept.npy"), decided.kept)
    return {"cpu_s": seconds, "mb": texts.nbytes / 1e6, "left": int(decided.kept.sum())}


def exact(corpus: Path, work: Path, out: Path) -> dict[str, Any]:
    finished = stages({"unique": {"type": "dedup", "input": "raw", "near": None}}, corpus, work)
    return {**cost(finished, "raw", "unique"), "unique_s": cost(finished, "unique")["cpu_s"], "left": finished["unique"].num_documents}


CLEANING = ["normalise", "pii", "length", *RULES]


def whole(corpus: Path, work: Path, out: Path) -> dict[str, Any]:
    steps = known(tuple(CLEANING))
    line: dict[str, Any] = {
        "clean": {"type": "clean", "input": "raw", "steps": steps},
        "unique": {"type": "dedup", "input": "clean", "near": {"threshold": 0.8}},
    }
    return {**cost(stages(line, corpus, work), "raw", "clean", "unique"), "steps": steps}


def decontaminate(corpus: Path, work: Path, out: Path) -> dict[str, Any]:
    """Against the files of DATA_DIR/eval: the whole stage, and in `scan_s` the look-up alone."""
    from ropewalk.data.contamination.index import make_index
    from ropewalk.data.contamination.match import matches
    from ropewalk.data.contamination.rows import TaskRows
    from ropewalk.data.dedup.hash import pieces

    folder = Path(os.environ["DATA_DIR"]) / "eval"
    line = {"fair": {"type": "decontaminate", "input": "raw", "against": [{"path": str(folder)}], "action": "report"}}
    finished = stages(line, corpus, work)
    items = list(TaskRows(path=folder).items())
    index, column = make_index(items, 13, 8, 10), table(corpus)["text"]
    started = now()
    found = sum(len(matches(index, texts, 1, 0.0)) for texts in pieces(column))
    return {**cost(finished, "fair"), "scan_s": round(now() - started, 3), "items": len(items), "matches": found}


def two_processes(corpus: Path, work: Path, out: Path) -> dict[str, Any]:
    """Wall seconds of the clean stage over 16 files with one process and with two, less what the same takes on 50 documents."""
    line: dict[str, Any] = {"clean": {"type": "clean", "input": "raw", "steps": known(RULES)}}
    few, whole = divided(corpus, work / "few", 2, 50), divided(corpus, work / "whole", 16)
    walls: dict[int, float] = {}
    for workers in (1, 2):
        run(line, few, work / f"warm{workers}", 1)
        before, finished = (run(line, given, work / f"{name}{workers}", workers) for name, given in (("few", few), ("whole", whole)))
        cost_of = [one["clean"].manifest.notes["cost"] for one in (before, finished)]
        walls[workers] = cost_of[1]["seconds"] - cost_of[0]["seconds"]
        mb = finished["raw"].manifest.metrics["text_bytes"] / 1e6
    return {"cpu_s": cost_of[1]["cpu_seconds"], "mb": mb, "one_s": walls[1], "two_s": walls[2]}


def trained(corpus: Path, work: Path) -> Any:
    """A run with a tokenizer of 32,768 ids and a packed store."""
    line = {
        "vocab": {"type": "tokenizer", "input": "raw", "size": 32_768},
        "packed": {"type": "pack", "input": "raw", "tokenizer": "vocab", "length": 2048, "packing": "best_fit", "holdout": 0},
    }
    return run(line, corpus, work)


def train(corpus: Path, work: Path, out: Path) -> dict[str, Any]:
    """`model/` beside `out` gets the tokenizer, for the peers to encode with."""
    finished = trained(corpus, work)
    (out.parent / "model").mkdir(exist_ok=True)
    shutil.copyfile(finished["vocab"].path / "tokenizer.json", out.parent / "model" / "tokenizer.json")
    return cost(finished, "vocab")


def encode(corpus: Path, work: Path, out: Path) -> dict[str, Any]:
    """The pack stage: encode, join, plan. `out` gets each document's length; the hash is of the text's ids, as the peers' is."""
    import pyarrow.parquet as pq

    finished = trained(corpus, work)
    store = finished["packed"]
    np.save(out, pq.read_table(store.path / "documents.parquet")["length"].to_numpy())
    ids = np.asarray(store.tokens)
    text_ids = ids[(ids != store.facts.bos_id) & (ids != store.facts.eos_id)].astype(np.uint16)
    return {**cost(finished, "packed"), "tokens": len(text_ids), "hash": hashlib.sha1(text_ids.tobytes()).hexdigest()[:12]}


def batches(corpus: Path, work: Path, out: Path) -> dict[str, Any]:
    """8 x 256 of a store of 8 million tokens, in millions of tokens a CPU-second."""
    from ropewalk.data.loader import Loader

    few = work / "some.jsonl"
    with corpus.open("rb") as file:
        few.write_bytes(b"".join(file.readline() for _ in range(3000)))
    line: dict[str, Any] = {
        "vocab": {"type": "tokenizer", "input": "raw", "size": 4096},
        "packed": {"type": "pack", "input": "raw", "tokenizer": "vocab", "length": 256, "packing": "concat", "holdout": 0},
    }
    loader = Loader(run(line, few, work)["packed"], "train", 8, 0)
    loader.at(0)
    steps = min(4000, loader.steps_per_epoch)
    started = now()
    for step in range(steps):
        loader.at(step)
    seconds = now() - started
    return {"cpu_s": seconds, "mb": 0, "mtok_per_s": steps * 8 * 256 / 1e6 / seconds}


def fit(lengths: Path) -> dict[str, Any]:
    from ropewalk.data.pack import plan

    sizes = np.load(lengths).astype(np.int64)
    offsets = np.cumsum(sizes) - sizes
    plan(offsets[:1000], sizes[:1000], 2048, "best_fit", None)
    started = now()
    found = plan(offsets, sizes, 2048, "best_fit", None)
    seconds = now() - started
    kept = int(found.segments[:, 1].sum())
    return {
        "cpu_s": seconds,
        "mb": 0,
        "fill": round(kept / (len(found) * 2048), 5),
        "kept": round(kept / int(sizes.sum()), 6),
        "rows": len(found),
    }


WORK: dict[str, Callable[[Path, Path, Path], dict[str, Any]]] = {
    "read": lambda corpus, work, out: cost(stages({}, corpus, work), "raw"),
    "rules": lambda corpus, work, out: in_memory(known(RULES), corpus),
    "rules_stage": lambda corpus, work, out: cost(
        stages({"clean": {"type": "clean", "input": "raw", "steps": known(RULES)}}, corpus, work), "clean"
    ),
    "pii": lambda corpus, work, out: in_memory(["pii"], corpus),
    "pii_stage": lambda corpus, work, out: cost(
        stages({"clean": {"type": "clean", "input": "raw", "steps": ["pii"]}}, corpus, work), "clean"
    ),
    "near": lambda corpus, work, out: near(corpus, work, out, **({"sample": 0} if "sample" in lookup(Stage)["dedup"].model_fields else {})),
    "near_measured": near,
    "keep_list": keep_list,
    "exact_list": lambda corpus, work, out: keep_list(corpus, work, out, near=False),
    "signatures": lambda corpus, work, out: signed(corpus),
    "exact": exact,
    "whole": whole,
    "decontaminate": decontaminate,
    "two_processes": two_processes,
    "train": train,
    "encode": encode,
    "batches": batches,
    "fit": lambda corpus, work, out: fit(corpus),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=sorted(WORK))
    parser.add_argument("--corpus", required=True, type=Path)
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--out", type=Path, default=Path("/dev/null"))
    given = parser.parse_args()
    work = given.work.absolute()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    found = WORK[given.what](given.corpus.absolute(), work, given.out)
    shutil.rmtree(work)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
