"""Saving and loading the state of 13.9M parameters with AdamW (159 MB): ropewalk's hashed checkpoint, and how long training waits."""

from __future__ import annotations

import json
import shutil
import statistics
import time

import torch
from benchmarks.train.work import arguments, cpu_seconds


def main() -> None:
    from ropewalk.models.folder_module import load_module
    from ropewalk.optim.adamw import AdamW
    from ropewalk.train.checkpoint import Checkpoints, Snapshot, restore
    from ropewalk.train.saver import CheckpointSaver
    from ropewalk.train.state import TrainState

    torch.set_num_threads(1)
    folder, rounds, _ = arguments()
    model = load_module(folder / "model").train()
    state = TrainState(model, AdamW().build(list(model.named_parameters())))
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    state.update.step(1.0)
    state.update.zero_grad()
    place = folder / "checkpoints"
    shutil.rmtree(place, ignore_errors=True)
    checkpoints, saves, loads, waits = Checkpoints(place, 1), [], [], []
    for number in range(1, rounds + 1):
        state.step = number
        before = cpu_seconds()
        checkpoints.save(Snapshot.of(state))
        saves.append(cpu_seconds() - before)
        before = cpu_seconds()
        found = checkpoints.newest()
        assert found is not None
        restore(state, found.path)
        loads.append(cpu_seconds() - before)
        state.step += 100
        saver = CheckpointSaver(checkpoints, lambda: 0, background=True)
        started = time.perf_counter()
        saver.begin(state)
        waits.append(time.perf_counter() - started)
        saver.finished(wait=True)
    size = checkpoints.size_bytes() / 2**20
    shutil.rmtree(place)
    medians = {"save": statistics.median(saves), "load": statistics.median(loads), "wait": statistics.median(waits)}
    print(json.dumps({"name": "ours", "mb": size, **medians}), flush=True)


if __name__ == "__main__":
    main()
