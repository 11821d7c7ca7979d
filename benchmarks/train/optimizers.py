"""Optimizers: what one step costs at 13.9M parameters, and the loss on a small task, ours and torch's.

`python -m benchmarks.train.optimizers cost|loss|ratio FOLDER` prints a line of JSON for each.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.train.work import SIZES, cpu_seconds

from ropewalk.models.gpt import GPT
from ropewalk.models.gpt_module import Decoder
from ropewalk.models.loss_module import cross_entropy_sum
from ropewalk.optim.optimizer import Optimizer, Update

RATES = (5e-4, 1e-3, 2e-3, 4e-3, 8e-3)  # AdamW has the best of these; the others one guess each
TASK = {"depth": 4, "width": 128, "heads": 4, "context": 128}
OURS: dict[str, dict[str, Any]] = {
    "muon": {"type": "muon", "lr": 0.02, "adam_lr": 0.008},
    "shampoo": {"type": "shampoo", "lr": 4e-3, "adam_lr": 4e-3, "weight_decay": 0.0},
    "soap": {"type": "soap", "lr": 4e-3, "adam_lr": 4e-3, "weight_decay": 0.0},
}


def model(fields: dict[str, Any], vocabulary: int) -> Decoder:
    return GPT(preset="gpt2-tiny", **fields).build(vocabulary, 0).train()


class OfTorch:
    """A torch optimizer for hidden matrices beside another for the rest, with our two methods."""

    def __init__(self, *parts: torch.optim.Optimizer) -> None:
        self.parts = parts

    def step(self, factor: float) -> None:
        for part in self.parts:
            part.step()

    def zero_grad(self) -> None:
        for part in self.parts:
            part.zero_grad()


def ours(fields: dict[str, Any]) -> Callable[[Decoder], Update]:
    return lambda net: Optimizer.model_validate(fields).build(list(net.named_parameters()))


def contestants(names: list[str]) -> Iterator[tuple[str, Callable[[Decoder], Any]]]:
    makers: dict[str, Callable[[Decoder], Any]] = {
        "adamw": ours({"type": "adamw"}),
        "torch AdamW, fused": lambda net: OfTorch(torch.optim.AdamW(net.parameters(), fused=True)),
        "torch AdamW, foreach": lambda net: OfTorch(torch.optim.AdamW(net.parameters(), foreach=True)),
    }
    for name, fields in OURS.items():
        makers[name] = ours(fields)
    yield from ((name, make) for name, make in makers.items() if not names or name in names)


def cost(names: list[str]) -> None:
    """Median and mean CPU-seconds of a step with random gradients: a mean over 20, for what is done now and then."""
    size = SIZES["small"]
    for name, make in contestants(names):
        net = model({"depth": size.depth, "width": size.width, "heads": size.heads, "context": size.context}, size.vocabulary)
        update, seconds = make(net), []
        for step in range(22):
            generator = torch.Generator().manual_seed(step)
            for parameter in net.parameters():
                parameter.grad = torch.randn(parameter.shape, generator=generator) * 1e-2
            before = cpu_seconds()
            update.step(1.0)
            seconds.append(cpu_seconds() - before)
        tensors = update.state().values() if hasattr(update, "state") else []
        state = sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 2**20
        later = seconds[2:]
        print(json.dumps({"name": name, "median": statistics.median(later), "mean": statistics.mean(later), "state_mb": state}), flush=True)


def curve(
    update_of: Callable[[Decoder], Update], data: np.ndarray, steps: int, rows: int, goal: float = 0.0
) -> tuple[list[float], list[float]]:
    """(losses, CPU-seconds since the start) of training the small task's model, until the mean of the last losses is at the goal."""
    net = model(TASK, SIZES["small"].vocabulary)
    with torch.no_grad():
        draw = torch.Generator().manual_seed(0)
        for parameter in net.parameters():
            if parameter.dim() == 2:
                parameter.normal_(std=0.02, generator=draw)
    update, length = update_of(net), TASK["context"]
    windows = np.lib.stride_tricks.sliding_window_view(data, length + 1)
    starts = np.random.default_rng(1234).integers(0, len(windows), (steps, rows))
    losses, seconds, begun = [], [], cpu_seconds()
    for step in range(steps):
        batch = torch.from_numpy(windows[starts[step]].astype(np.int64))
        total, positions = 0.0, rows * length
        for part in torch.split(batch, 32):
            loss = cross_entropy_sum(net(part[:, :-1]).flatten(0, 1), net.head_weight, part[:, 1:].flatten()) / positions
            torch.autograd.backward(loss)
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        update.step(1.0)
        update.zero_grad()
        losses.append(total)
        seconds.append(cpu_seconds() - begun)
        if smooth(losses)[-1] <= goal:
            break
    return losses, seconds


def adamw(rate: float) -> Callable[[Decoder], Update]:
    return ours({"type": "adamw", "lr": rate})


def loss(folder: Path, names: list[str]) -> None:
    """Mean loss of the last 10 of 100 steps of 1,024 tokens at a constant rate."""
    data = stream(folder)
    tried = {f"adamw {rate:g}": adamw(rate) for rate in RATES} if not names or "adamw" in names else {}
    tried |= {name: make for name, make in contestants(names) if name in OURS}
    for name, make in tried.items():
        losses, seconds = curve(make, data, 100, 8)
        print(json.dumps({"name": name, "loss": statistics.mean(losses[-10:]), "seconds": seconds[-1]}), flush=True)


def ratio(folder: Path, steps: int = 20, rows: int = 128) -> None:
    """16,384 tokens a step: CPU-seconds that Muon takes to AdamW's final loss, over AdamW's own, for AdamW's best rate."""
    data, best = stream(folder), {}
    for rate in RATES[2:4]:
        losses, seconds = curve(adamw(rate), data, steps, rows)
        best[rate] = (smooth(losses)[-1], seconds[-1])
        print(json.dumps({"name": f"adamw {rate:g}", "loss": best[rate][0], "seconds": seconds[-1]}), flush=True)
    final, whole = min(best.values())
    losses, seconds = curve(dict(contestants(["muon"]))["muon"], data, steps, rows, goal=final)
    share = seconds[-1] / whole
    told = {"name": "muon", "loss": smooth(losses)[-1], "seconds": seconds[-1], "step": len(losses), "steps": steps, "share": share}
    print(json.dumps(told), flush=True)


def smooth(losses: list[float]) -> list[float]:
    """Means over the last 5 steps."""
    return [statistics.mean(losses[max(0, end - 5) : end]) for end in range(1, len(losses) + 1)]


def stream(folder: Path) -> np.ndarray:
    found: np.ndarray = np.load(folder / "stream.npy")
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    what, place, only = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    if what == "cost":
        cost(only)
    elif what == "loss":
        loss(place, only)
    else:
        ratio(place)
