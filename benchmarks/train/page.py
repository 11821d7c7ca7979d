"""The page docs/benchmarks/train.md from what the contestants told; a part that was not measured is left out."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from importlib.metadata import version
from statistics import median
from typing import Any

from benchmarks.train.peers import PACKAGES
from benchmarks.train.work import SIZES

Told = list[dict[str, Any]]
OPENING = """# Training: speed, memory and optimizers

Made by `make bench-train` ({machine}, {cores} cores, one thread for everybody, Python {python}, torch {torch}; peers: {peers}).
Seconds are CPU-seconds of the process and its children; contestants take turns, each in a process of its own, and medians over all
rounds count. The machine was busy with other work, so a difference below 5% says little.
"""


def of(told: Told, field: str) -> dict[str, float]:
    """The median over the rounds, by contestant."""
    names = dict.fromkeys(entry["name"] for entry in told)
    return {name: median(entry[field] for entry in told if entry["name"] == name) for name in names}


def table(head: str, rows: Iterator[str]) -> str:
    columns = head.count("|") - 1
    return "\n".join([head, "|" + "---|" * columns, *rows]) + "\n"


def verdict(value: float, bar: float, goal: float | None = None, *, most: bool = True) -> str:
    """The bar and whether it is met; `most`: smaller is better."""
    met = value <= bar if most else value >= bar
    better = goal is not None and (value <= goal if most else value >= goal)
    wanted = f"{'at most' if most else 'at least'} {bar:g}"
    return f"{wanted}: {'met' if met else 'MISSED'}" + ("" if goal is None else f"; goal {goal:g}: {'met' if better else 'not met'}")


def pretrain(told: Told) -> str:
    size = SIZES["small"]
    step, peak, start = of(told, "step"), of(told, "peak"), of(told, "start")
    rows = (
        f"| {name} | {size.tokens / step[name]:.0f} | {step['HF Trainer'] / step[name]:.2f} | {peak[name]:.0f} "
        f"| {peak[name] / peak['HF Trainer']:.2f} | {start[name]:.2f} | {start[name] / start['HF Trainer']:.2f} |"
        for name in step
    )
    losses = [entry["losses"] for entry in told]
    apart = max(max(column) - min(column) for column in zip(*losses, strict=True))
    head = "| | tokens a second | x HF | peak MB | x HF | seconds before step 1 | x HF |"
    ours = {name: values["ours"] / values["HF Trainer"] for name, values in (("peak", peak), ("start", start))}
    return (
        "## Pretraining: 13.9M parameters, fp32\n\nGPT-2's shape (6 layers, width 384, 6 heads, context 256, 8,192 ids, tied), "
        "batches of 8 x 256 tokens, AdamW, clipping at 1. All begin with the same weights and see the same batches; the bare loop uses "
        "ropewalk's model and loss. ropewalk runs a recipe with a log line and a run folder as always; the peak is that of training, "
        "before the last save.\n\n"
        + table(head, rows)
        + f"\nThe losses of the first {len(losses[0])} steps differ by {apart:.1g} at most (bar 1e-5).\n\n"
        + f"- Throughput over HF: {verdict(step['HF Trainer'] / step['ours'], 1.0, most=False)}. "
        + f"Over the nanoGPT-style loop {step['nanoGPT-style loop'] / step['ours']:.2f} (goal 1.05).\n"
        + f"- Peak memory over HF: {verdict(ours['peak'], 0.8, 0.7)}.\n"
        + f"- Seconds before the first step over HF: {verdict(ours['start'], 0.6)}.\n"
    )


def overhead(told: Told) -> str:
    step, peak = of(told, "step"), of(told, "peak")
    rows = (f"| {name} | {1e3 * step[name]:.2f} | {step[name] / step['HF Trainer']:.2f} | {peak[name]:.0f} |" for name in step)
    return (
        "## What a step costs besides its arithmetic\n\n2 layers, width 64, one sequence of 32 tokens, 128 steps.\n\n"
        + table("| | ms a step | x HF | peak MB |", rows)
        + f"\nOver HF: {verdict(step['ours'] / step['HF Trainer'], 0.85)}.\n"
    )


def recompute(told: Told) -> str:
    step, peak, resident = of(told, "step"), of(told, "peak"), of(told, "resident")
    held = {name: peak[name] - min(resident.values()) for name in step}
    rows = (f"| {name} | {step['ours'] / step[name]:.2f} | {peak[name]:.0f} | {held[name]:.0f} |" for name in step)
    saved = 1 - held["ours, recompute"] / held["ours"]
    return (
        "## Recomputed activations (`recompute: true`), 12 layers\n\nThe last column is the peak without what stays between steps "
        "(weights, optimizer, libraries): activations and gradients. Plain training already makes norms and activations again.\n\n"
        + table("| | speed | peak MB | activations and gradients MB |", rows)
        + f"\n- Speed: {verdict(step['ours'] / step['ours, recompute'], 0.85, most=False)}.\n"
        + f"- Memory saved: {verdict(saved, 0.4, 0.5, most=False)} ({saved:.0%}).\n"
    )


def saving(told: Told) -> str:
    (found,) = told
    both = found["save"] + found["load"]
    return (
        "## Saving and loading\n\n"
        f"A checkpoint of {found['mb']:.0f} MB, every file hashed and durable: {found['save']:.2f} s to save and {found['load']:.2f} s to "
        f"verify and load, {both:.2f} together ({verdict(both, 0.5, 0.3)}). Beside training (`save.background`), training waits "
        f"{found['wait']:.3f} s of wall time ({verdict(found['wait'], 0.2, 0.05)}).\n"
    )


def sft(told: Told) -> str:
    speeds: dict[str, list[float]] = {}
    for entry in told:
        speeds.setdefault(entry["name"], []).extend(t / s for t, s in zip(entry["tokens"][1:], entry["steps"][1:], strict=True))
    speed = {name: median(values) for name, values in speeds.items()}
    ours, peak, start = "ours, packed", of(told, "peak"), of(told, "start")
    rows = (f"| {name} | {speed[name]:.0f} | {speed[ours] / speed[name]:.2f} | {peak[name]:.0f} | {start[name]:.2f} |" for name in speed)
    return (
        "## Fine-tuning on prompts and answers\n\n2,251 functions of Python's library (signature and docstring, then the body), the same "
        "model, batches of 8 sequences of at most 256 tokens. Tokens are those of conversations, padding left out.\n\n"
        + table("| | tokens a second | ours over it | peak MB | seconds before step 1 |", rows)
        + f"\n- Over TRL packed: {verdict(speed[ours] / speed['TRL, packed'], 1.8, most=False)}; "
        + f"unpacked: {verdict(speed[ours] / speed['TRL, unpacked'], 2.4, 3.0, most=False)}.\n"
        + f"- Peak memory over TRL packed ({peak[ours] / peak['TRL, packed']:.2f}): {verdict(peak[ours] / peak['TRL, packed'], 0.65)}.\n"
        + f"- Seconds before step 1 over TRL packed ({start[ours] / start['TRL, packed']:.2f}): "
        + f"{verdict(start[ours] / start['TRL, packed'], 0.5)}.\n"
    )


def cost(told: Told) -> str:
    bars = {"adamw": (0.035, 0.026), "muon": (3.3, 2.0), "shampoo": (2.0, 1.0), "soap": (2.0, 1.0)}
    rows = (
        f"| {entry['name']} | {entry['median']:.3f} | {entry['mean']:.3f} | {entry['state_mb'] or float('nan'):.0f} "
        f"| {verdict(entry['mean'], *bars[entry['name']]) if entry['name'] in bars else ''} |"
        for entry in told
    )
    return (
        "## One step of an optimizer at 13.9M parameters\n\nRandom gradients; the mean over 20 steps counts what is done now and then. "
        "Bars are in seconds.\n\n" + table("| | median s | mean s | state MB | bar |", rows).replace(" nan ", "  ")
    )


def loss(told: Told) -> str:
    best = min(entry["loss"] for entry in told if entry["name"].startswith("adamw"))
    rows = (f"| {entry['name']} | {entry['loss']:.2f} | {entry['seconds']:.1f} |" for entry in told)
    muon = next(entry["loss"] for entry in told if entry["name"] == "muon")
    return (
        "## The small task: loss after 100 steps\n\n4 layers, width 128, 8 x 128 tokens a step, a constant rate, the mean of the last ten "
        "losses. AdamW has the best of five rates; the others had one guess each, so this says that they work, not which is best.\n\n"
        + table("| | loss | seconds |", rows)
        + f"\nMuon: {verdict(muon, 5.5)} (AdamW's best {best:.2f}).\n"
    )


def ratio(told: Told) -> str:
    muon = told[-1]
    best = min(told[:-1], key=lambda entry: float(entry["loss"]))
    rates = " and ".join(entry["name"].removeprefix("adamw ") for entry in told[:-1])
    return (
        f"At 16,384 tokens a step AdamW (the better of the rates {rates}: "
        f"{best['name'].removeprefix('adamw ')}) is at {best['loss']:.2f} after {muon['steps']} steps "
        f"and {best['seconds']:.1f} s. Muon is there after {muon['step']} steps and {muon['seconds']:.1f} s, "
        f"{muon['share']:.0%} of the time: {verdict(muon['share'], 0.7, 0.5)}.\n"
    )


WRITERS: dict[str, Callable[[Told], str]] = {
    "pretrain": pretrain,
    "overhead": overhead,
    "recompute": recompute,
    "saving": saving,
    "sft": sft,
    "cost": cost,
    "loss": loss,
    "ratio": ratio,
}


def written(results: dict[str, Any]) -> str:
    """The whole page."""
    facts = {"machine": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version(), "torch": version("torch")}
    peers = ", ".join(name.replace("==", " ") for name in PACKAGES[1:4])
    parts = [OPENING.format(peers=peers, **facts)]
    parts += [write(results[name]["told"]) for name, write in WRITERS.items() if name in results]
    loads = ", ".join(f"{name} {results[name]['rounds']} at {results[name]['load']:.0f}" for name in WRITERS if name in results)
    parts.append(f"Rounds of each part, and the machine's load while it was measured: {loads}.\n")
    return "\n".join(parts)
