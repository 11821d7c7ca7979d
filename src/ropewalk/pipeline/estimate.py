"""What training stages will take, from the recipe alone: parameters, arithmetic, memory that is certain, disk; without torch."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from ropewalk.core.errors import DiskError, OutOfMemory
from ropewalk.core.reference import Ref
from ropewalk.core.units import show_bytes, show_count, show_seconds
from ropewalk.hardware.device import pick_device
from ropewalk.hardware.memory import available_bytes
from ropewalk.models.architecture import Architecture
from ropewalk.models.shape import Shape
from ropewalk.optim.muon import Muon
from ropewalk.pipeline.recipe import Recipe
from ropewalk.pipeline.stage import Stage
from ropewalk.pipeline.stages.init import Init
from ropewalk.pipeline.stages.mixture import Mixture
from ropewalk.pipeline.stages.tokenizer import TrainTokenizer
from ropewalk.pipeline.stages.train import Train

FLOAT_BYTES = 4


def estimate(recipe: Recipe, name: str) -> dict[str, Any]:
    """For a train stage: parameters, floating-point operations, bytes of weights, gradients and optimizer, checkpoint bytes.

    The vocabulary is the size asked for: a corpus with fewer merges gives a smaller one. Empty for other stages and
    where the recipe doesn't tell.
    """
    stage = recipe.stages[name]
    model = model_of(recipe, stage)
    vocab_size = vocab_size_of(recipe, stage)
    if not isinstance(stage, Train) or model is None or not vocab_size:
        return {}
    shape = model.shape()
    length = length_of(recipe, stage) or shape.context
    parameters = shape.parameters(vocab_size)
    trained = parameters if stage.adapter is None else 0  # an adapter's are few, and which ones, its layers tell
    state = _optimizer_floats(stage, shape, parameters) if trained else 0
    checkpoint = FLOAT_BYTES * (trained * (2 if stage.average else 1) + state)
    found: dict[str, Any] = {
        "parameters": parameters,
        "flops_per_token": shape.flops_per_token(vocab_size, length),
        "weights_bytes": FLOAT_BYTES * parameters,
        "gradients_bytes": FLOAT_BYTES * trained,
        "optimizer_bytes": FLOAT_BYTES * state,
        "checkpoint_bytes": checkpoint,
        "checkpoints_bytes": checkpoint * (stage.save.keep + 2),  # the best one and the one being written come on top
    }
    per_step = stage.batch.num_sequences(length) * length
    tokens = stage.budget.tokens or (stage.budget.steps or 0) * per_step
    return {**found, "tokens": tokens, "flops": tokens * found["flops_per_token"]} if tokens else found


def certain_bytes(found: dict[str, Any]) -> int:
    """Memory that training takes whatever the batch is."""
    return int(found["weights_bytes"] + found["gradients_bytes"] + found["optimizer_bytes"])


def refuse(recipe: Recipe, name: str, found: dict[str, Any], runs: Path) -> None:
    """Raises OutOfMemory or DiskError for a training stage that can't fit, before anything has run."""
    stage = recipe.stages[name]
    if not found or not isinstance(stage, Train):
        return
    device = pick_device(stage.device)
    free, needed = available_bytes(device), certain_bytes(found) + found.get("activation_bytes", 0)
    if needed > free:
        smaller = "set a smaller batch.micro_batch or length, or a smaller model"
        only = "choose a smaller model (ropewalk explain model), or a machine with more memory"
        what = "weights, gradients, optimizer" + (" and the activations of one micro-batch" if "activation_bytes" in found else "")
        raise OutOfMemory(
            f"{name}: {show_count(found['parameters'])} parameters take {show_bytes(needed)} of memory ({what}), "
            f"and {show_bytes(free)} are free on {device}",
            remedy=smaller if certain_bytes(found) <= free else only,
        )
    place = next(folder for folder in (runs, *runs.absolute().parents) if folder.is_dir())
    room = shutil.disk_usage(place).free
    if found["checkpoints_bytes"] > room:
        raise DiskError(
            f"{name}: its checkpoints take {show_bytes(found['checkpoints_bytes'])} of disk, and {show_bytes(room)} are free in {place}",
            remedy=f"free some space, set CHECKPOINT_DIR to a folder on another disk, or lower {name}.save.keep",
        )


def in_words(found: dict[str, Any]) -> list[str]:
    """The estimate for a table, a line each."""
    if not found:
        return []
    memory = f"{show_bytes(certain_bytes(found))} and activations"
    if "peak_bytes" in found:
        memory = f"{show_bytes(found['peak_bytes'])} of memory ({show_bytes(found['activation_bytes'])} activations)"
    elif "activation_bytes" in found:
        memory = f"{show_bytes(certain_bytes(found) + found['activation_bytes'])} of memory, which are not free"
    lines = [f"{show_count(found['parameters'])} parameters", memory, f"{show_bytes(found['checkpoints_bytes'])} of disk"]
    if "tokens" in found:
        lines.append(f"{show_count(found['tokens'])} tokens, {found['flops']:.1e} operations")
    return [*lines, f"about {show_seconds(found['seconds'])}"] if "seconds" in found else lines


def _optimizer_floats(stage: Train, shape: Shape, parameters: int) -> int:
    """Two running means a parameter for AdamW; Muon keeps one for each hidden matrix."""
    hidden = shape.depth * shape.block_parameters()
    return 2 * parameters - (hidden if isinstance(stage.optimizer, Muon) else 0)


def model_of(recipe: Recipe, stage: Stage | None) -> Architecture | None:
    """The model that a train stage begins with, through any number of `init`."""
    while isinstance(stage, Train | Init):
        if stage.model is not None:
            return stage.model
        stage = _named(recipe, stage.init)
    return None


def length_of(recipe: Recipe, stage: Train) -> int:
    """Positions in a sequence of its data; 0 where the recipe doesn't tell."""
    return max((int(getattr(data, "length", 0)) for data in _data(recipe, stage)), default=0)


def vocab_size_of(recipe: Recipe, stage: Stage | None) -> int:
    """The size that the tokenizer of its data is to have; 0 where the recipe doesn't tell."""
    data = _data(recipe, stage) if isinstance(stage, Train) else []
    tokenizer = _named(recipe, getattr(data[0], "tokenizer", None)) if data else None
    return tokenizer.size if isinstance(tokenizer, TrainTokenizer) and tokenizer.from_ is None else 0


def _data(recipe: Recipe, stage: Train) -> list[Stage]:
    """The stages that make its Tokens: several behind a mixture."""
    data = _named(recipe, stage.data)
    if isinstance(data, Mixture):
        return [found for part in data.parts.values() if (found := _named(recipe, part.data)) is not None]
    return [data] if data is not None else []


def _named(recipe: Recipe, ref: Ref[Any] | None) -> Stage | None:
    return recipe.stages.get(ref.target) if ref is not None and not ref.scheme else None
