"""Packing by TRL and batches by torch's DataLoader: `packing.py bfd|wrapped|loader|loader_workers --lengths FILE.npy`."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np

LENGTH = 2048
BATCH, WINDOW, STEPS = 8, 256, 4000
now = time.process_time


def packed(lengths: Any, strategy: str) -> dict[str, Any]:
    """TRL rewrites the tokens where ours plans indices: its time holds both."""
    import pyarrow as pa
    from datasets import Dataset
    from trl.data_utils import pack_dataset

    total = int(lengths.sum())
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
    ids = pa.LargeListArray.from_arrays(offsets, pa.array(np.arange(total, dtype=np.int32) % 30_000)).cast(pa.list_(pa.int32()))
    rows = Dataset(pa.table({"input_ids": ids}))
    started = now()
    result = pack_dataset(rows, LENGTH, strategy=strategy)
    seconds = now() - started
    kept = sum(len(row) for row in result["input_ids"])
    return {"cpu_s": seconds, "fill": round(kept / (len(result) * LENGTH), 5), "kept": round(kept / total, 6), "rows": len(result)}


def loaded(workers: int) -> dict[str, Any]:
    """Random windows of a memory map by a map-style dataset, in millions of tokens a CPU-second of this process and its workers."""
    import os
    import tempfile

    import torch
    from torch.utils.data import DataLoader, Dataset

    torch.set_num_threads(1)
    with tempfile.NamedTemporaryFile(suffix=".bin") as file:
        np.arange(8_000_000, dtype=np.uint16).tofile(file.name)
        store = np.memmap(file.name, np.uint16, "r")

        class Windows(Dataset[Any]):
            def __len__(self) -> int:
                return len(store) // WINDOW - 1

            def __getitem__(self, index: int) -> Any:
                own = torch.from_numpy(store[index * WINDOW : index * WINDOW + WINDOW + 1].astype(np.int64))
                return own[:-1], own[1:]

        batches = iter(DataLoader(Windows(), batch_size=BATCH, shuffle=True, num_workers=workers, drop_last=True))
        next(batches)
        steps = min(STEPS, len(store) // WINDOW // BATCH - 2)
        before, started = os.times(), time.perf_counter()
        for _ in range(steps):
            next(batches)
        seconds, own = time.perf_counter() - started, os.times()
        del batches
    cpu = own.user + own.system - before.user - before.system
    return {"cpu_s": cpu, "mtok_per_s": steps * BATCH * WINDOW / 1e6 / (seconds if workers else cpu)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["bfd", "wrapped", "loader", "loader_workers"])
    parser.add_argument("--lengths", required=True)
    given = parser.parse_args()
    if given.what.startswith("loader"):
        print(json.dumps({"mb": 0, **loaded(2 if given.what == "loader_workers" else 0)}))
    else:
        print(json.dumps({"mb": 0, **packed(np.load(given.lengths), given.what)}))


if __name__ == "__main__":
    main()
