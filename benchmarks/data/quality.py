"""CPU-seconds of the quality rules on one core: every Gopher, repetition, FineWeb and C4 rule, and the clean stage around them.

    OMP_NUM_THREADS=1 python benchmarks/data/quality.py --corpus CORPUS.jsonl [--runs 3]

The corpus has a document a line with its `text`. The best run counts; the first call, which loads or compiles the kernels, stands apart.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ropewalk.core.shards import Shard
from ropewalk.data.corpus import from_documents, write_documents
from ropewalk.data.records import Document
from ropewalk.data.steps import Batch
from ropewalk.pipeline.stages.clean import BATCH_ROWS, Clean, shard_function

STEPS = ["gopher", "repetition", "fineweb", "c4"]


def seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    with asked.corpus.open(encoding="utf-8") as lines:
        table = from_documents(Document(str(number), json.loads(line)["text"]) for number, line in enumerate(lines))
    megabytes = sum(len(text.encode()) for text in table["text"].to_pylist()) / 1e6
    stage = Clean.model_validate({"input": "raw", "steps": STEPS})

    def judged() -> list[tuple[str, float]]:
        """CPU-seconds of each step over fresh batches: the first one pays for the features that the others share."""
        spent = dict.fromkeys(STEPS, 0.0)
        for start in range(0, table.num_rows, BATCH_ROWS):
            batch = Batch(table.slice(start, BATCH_ROWS))
            for step in stage.steps:
                before = time.process_time()
                change = step.apply(batch)
                for rule in change.rules:
                    assert rule.keeps.shape == (len(batch),)
                if change.texts is not None:
                    batch.differs(change.texts)
                spent[step.tag] += time.process_time() - before
        return list(spent.items())

    with tempfile.TemporaryDirectory() as folder:
        shard = Path(folder) / "documents.parquet"
        write_documents(table, shard)
        function = shard_function("clean", stage.steps)
        first = seconds(lambda: [step.apply(Batch(table.slice(0, 1))) for step in stage.steps])
        rules = min((judged() for _ in range(asked.runs)), key=lambda spent: sum(cost for _, cost in spent))
        outs = [Path(folder) / str(run) for run in range(asked.runs)]
        whole = min(seconds(partial(function, Shard("documents", shard), out)) for out in outs)
    print(f"{table.num_rows:,} documents, {megabytes:.1f} MB; first call {first:.2f} s\n\n| work | CPU s | MB/s |\n|---|---|---|")
    everything = sum(cost for _, cost in rules)
    for name, cost in [*rules, ("all rules", everything), ("clean stage: Parquet in, rules, ledger and scores, Parquet out", whole)]:
        print(f"| {name} | {cost:.3f} | {megabytes / cost:,.0f} |")


if __name__ == "__main__":
    main()
