"""What training stages will take, from the recipe alone: parameters, arithmetic, memory that is certain, disk; without torch."""

from __future__ import annotations

from typing import Any

from ropewalk.core.reference import Ref
from ropewalk.core.units import show_bytes, show_count
from ropewalk.models.architecture import Architecture
from ropewalk.models.shape import Shape
from ropewalk.optim.muon import Muon
from ropewalk.pipeline.recipe import Recipe
from ropewalk.pipeline.stage import Stage
from ropewalk.pipeline.stages.tokenizer import TrainTokenizer
from ropewalk.pipeline.stages.train import Train

FLOAT_BYTES = 4


def estimate(recipe: Recipe, name: str) -> dict[str, Any]:
    """For a train stage: parameters, floating-point operations, bytes of weights, gradients and optimizer, checkpoint bytes.

    The vocabulary is the size asked for: a corpus with fewer merges gives a smaller one. Empty for other stages and
    where the recipe doesn't tell.
    """
    stage = recipe.stages[name]
    shape = _shape(recipe, stage)
    vocab_size = _vocab_size(recipe, stage)
    if not isinstance(stage, Train) or shape is None or not vocab_size:
        return {}
    length = int(getattr(_named(recipe, stage.data), "length", 0)) or shape.context
    parameters = shape.parameters(vocab_size)
    state = _optimizer_floats(stage, shape, parameters)
    found: dict[str, Any] = {
        "parameters": parameters,
        "flops_per_token": shape.flops_per_token(vocab_size, length),
        "weights_bytes": FLOAT_BYTES * parameters,
        "gradients_bytes": FLOAT_BYTES * parameters,
        "optimizer_bytes": FLOAT_BYTES * state,
        "checkpoints_bytes": FLOAT_BYTES * (parameters * (2 if stage.average else 1) + state) * (stage.save.keep + 2),
    }
    per_step = stage.batch.num_sequences(length) * length
    tokens = stage.budget.tokens or (stage.budget.steps or 0) * per_step
    return {**found, "tokens": tokens, "flops": tokens * found["flops_per_token"]} if tokens else found


def in_words(found: dict[str, Any]) -> list[str]:
    """The estimate for a table, a line each."""
    if not found:
        return []
    sure = found["weights_bytes"] + found["gradients_bytes"] + found["optimizer_bytes"]
    lines = [
        f"{show_count(found['parameters'])} parameters",
        f"{show_bytes(sure)} and activations",
        f"{show_bytes(found['checkpoints_bytes'])} of disk",
    ]
    return [*lines, f"{show_count(found['tokens'])} tokens, {found['flops']:.1e} operations"] if "tokens" in found else lines


def _optimizer_floats(stage: Train, shape: Shape, parameters: int) -> int:
    """Two running means a parameter for AdamW; Muon keeps one for each hidden matrix."""
    hidden = shape.depth * shape.block_parameters()
    return 2 * parameters - (hidden if isinstance(stage.optimizer, Muon) else 0)


def _shape(recipe: Recipe, stage: Stage | None) -> Shape | None:
    """The shape of the model that a train stage begins with, through any number of `init`."""
    while isinstance(stage, Train):
        model: Architecture | None = stage.model
        if model is not None:
            return model.shape()
        stage = _named(recipe, stage.init)
    return None


def _vocab_size(recipe: Recipe, stage: Stage | None) -> int:
    data = _named(recipe, stage.data) if isinstance(stage, Train) else None
    tokenizer = _named(recipe, getattr(data, "tokenizer", None))
    return tokenizer.size if isinstance(tokenizer, TrainTokenizer) and tokenizer.from_ is None else 0


def _named(recipe: Recipe, ref: Ref[Any] | None) -> Stage | None:
    return recipe.stages.get(ref.target) if ref is not None and not ref.scheme else None
