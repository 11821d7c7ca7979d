"""What a training stage will cost on this machine: the estimate from the recipe, and time and memory from a short probe."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from typing import Any

from ropewalk.core.errors import DataError, RopewalkError
from ropewalk.core.log import LOGGER
from ropewalk.core.plugins import LoadPlugins
from ropewalk.data.tokens import Tokens
from ropewalk.hardware.device import pick_device
from ropewalk.hardware.memory import default_micro_batch
from ropewalk.hardware.precision import resolve_precision
from ropewalk.pipeline.estimate import certain_bytes, estimate, length_of, model_of, vocab_size_of
from ropewalk.pipeline.plan import Plan
from ropewalk.pipeline.probe import Measured, Probe, probed
from ropewalk.pipeline.recipe import Recipe
from ropewalk.pipeline.rundir import RunFolder
from ropewalk.pipeline.stages.train import Train

START_SECONDS = 3.0  # imports, building the model, the last save
WORTH_FLOPS = 2e12  # a run of fewer operations is over before a probe would tell


def expected(plan: Plan, name: str, *, probe_from_flops: float = 0.0) -> dict[str, Any]:
    """The forecast of one stage of a plan; what its data tell counts once they stand."""
    stage = plan.recipe.stages[name]
    if not isinstance(stage, Train):
        return {}
    tokens = None
    if not stage.data.scheme and plan[stage.data.target].place.is_dir():
        with suppress(DataError):  # a damaged one is said when it is read
            tokens = Tokens.open(plan[stage.data.target].place)
    return forecast(plan.recipe, name, RunFolder.of(plan.recipe).store_root, tokens, probe_from_flops=probe_from_flops)


def forecast(recipe: Recipe, name: str, store: Path, tokens: Tokens | None = None, *, probe_from_flops: float = 0.0) -> dict[str, Any]:
    """The estimate with `activation_bytes`, `peak_bytes`, `seconds` where a probe could tell; `tokens` gives an epoch's length.

    A training of fewer than `probe_from_flops` operations is not probed.
    """
    found = estimate(recipe, name)
    stage = recipe.stages[name]
    if not found or not isinstance(stage, Train) or stage.adapter is not None or stage.task.reads != "sequences":
        return found  # the probe trains whole models on plain sequences
    length = length_of(recipe, stage)
    steps = _steps(stage, length, tokens)
    if steps and "tokens" not in found:
        found["tokens"] = steps * stage.batch.num_sequences(length) * length
        found["flops"] = found["tokens"] * found["flops_per_token"]
    if not length or found.get("flops", math.inf if not probe_from_flops else 0.0) < probe_from_flops:
        return found
    device = pick_device(stage.device)
    sequences = stage.batch.num_sequences(length)
    micro_batch = min(sequences, stage.batch.micro_batch or default_micro_batch(sequences, length, device))
    model = model_of(recipe, stage)
    assert model is not None, "an estimate has a model"
    probe = Probe(
        model=model,
        vocab_size=vocab_size_of(recipe, stage),
        optimizer=stage.optimizer,
        task=stage.task,
        micro_batch=micro_batch,
        length=length,
        device=device,
        precision=resolve_precision(stage.precision, device),
        threads=stage.threads,
        recompute=stage.recompute,
        certain_bytes=certain_bytes(found),
    )
    try:
        measured = probed(probe, store, LoadPlugins(tuple(recipe.plugins)))
    except (RopewalkError, RuntimeError, OSError) as error:  # a forecast must never stop a run
        LOGGER.warning("%s: could not be probed: %s", name, error)
        return found
    found["activation_bytes"] = measured.activation_bytes
    if measured.peak_bytes:
        found["peak_bytes"] = measured.peak_bytes
    if steps and measured.micro_batch_seconds:
        found["seconds"] = _seconds(stage, measured, steps, sequences, micro_batch)
    return found


def _steps(stage: Train, length: int, tokens: Tokens | None) -> int:
    """Updates in all; 0 while an epoch's length is not known."""
    per_update = stage.batch.num_sequences(length) if length else 0
    if tokens is not None and per_update:
        try:
            plan = tokens.sequences("train")
        except (DataError, OSError):
            return 0
        if len(plan):
            return stage.budget.total_steps(-(-len(plan) // per_update), plan.positions)
    if stage.budget.steps:
        return stage.budget.steps
    return math.ceil(stage.budget.tokens / (per_update * length)) if stage.budget.tokens and per_update else 0


def _seconds(stage: Train, measured: Measured, steps: int, sequences: int, micro_batch: int) -> float:
    """Steps and evaluations (two sides, forward only); saving goes on beside and is left out."""
    whole, rest = divmod(sequences, micro_batch)
    parts = whole + rest / micro_batch
    training = steps * (parts * measured.micro_batch_seconds + measured.update_seconds)
    interval = stage.evaluate.interval(steps)
    evaluations = math.ceil(steps / interval) if interval else 0
    evaluating = evaluations * 2 * stage.evaluate.sequences / micro_batch * measured.forward_seconds
    return START_SECONDS + training + evaluating
