"""What the trainer is handed where the data are rows: a head that fits them, over an encoder or over features alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ropewalk.core.errors import DataError
from ropewalk.core.seed import derive
from ropewalk.data.division import PARTS
from ropewalk.data.mixture import Mixture
from ropewalk.data.rows import Rows
from ropewalk.data.tokens import Tokens
from ropewalk.models.folder_module import save_model
from ropewalk.models.head_folder import load_encoder, save_headed
from ropewalk.models.head_module import FeatureHead, Headed, PairHead, SpanHead
from ropewalk.tasks.preference import Preference
from ropewalk.tasks.span_qa import SpanQuestions

if TYPE_CHECKING:
    from ropewalk.models.model import Model
    from ropewalk.pipeline.stage import Context
    from ropewalk.pipeline.stages.train import Train


def headed(stage: Train, context: Context, rows: Rows, start: Model, device: str) -> Headed:
    """A module for the rows; DataError where the task is for others, or the features were made by another model than `init`."""
    facts, task = rows.facts, stage.task
    kinds = {
        "sentences": "task: {type: span_qa, head: sentence}",
        "windows": "task: {type: span_qa, head: span}",
        "pairs": "task: preference",
    }
    fits = {
        "sentences": isinstance(task, SpanQuestions) and task.head == "sentence",
        "windows": isinstance(task, SpanQuestions) and task.head == "span",
        "pairs": isinstance(task, Preference),
    }
    if not fits[facts.kind]:
        raise DataError(
            f"{context.name}: {stage.data.target} holds {facts.kind}, which task {task.tag!r} can't learn from", remedy=kinds[facts.kind]
        )
    if facts.encoder_key and facts.encoder_key != start.key:
        raise DataError(
            f"{context.name}: the features of {stage.data.target} hold embeddings of another encoder than init",
            remedy="name the same folder in init and in the stage that makes the rows",
        )
    if facts.kind == "windows":
        assert isinstance(task, SpanQuestions), "checked above"
        encoder = load_encoder(start.path, device)
        if task.frozen_layers > encoder.shape.depth:
            raise DataError(f"{context.name}: frozen_layers is {task.frozen_layers}, and the encoder has {encoder.shape.depth} layers")
        module = Headed(SpanHead(encoder.shape.width, derive(context.seed, "head")), encoder, facts.kind, facts.spec)
        module.freeze(task.frozen_layers)
        return module.to(device)
    mean, scale = _scales(rows)
    if isinstance(task, Preference):
        davidson = task.formulation == "davidson"
        return Headed(PairHead(len(mean), davidson, mean, scale), None, facts.kind, {**facts.spec, "davidson": davidson}).to(device)
    return Headed(FeatureHead(len(mean), mean, scale), None, facts.kind, facts.spec).to(device)


def save_result(context: Context, stage: Train, data: Tokens | Mixture | Rows, module: Any) -> None:
    """The Model's folder: a decoder's own, or that of the encoder with its head."""
    if isinstance(data, Rows):
        assert stage.init is not None, "problems() sees to it"
        save_headed(context.out, module, context.open(stage.init).path)
    else:
        save_model(context.out, module, data.tokenizer_path)


def _scales(rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation of the scaled features over the training rows alone; the others stay as they are."""
    table, number = rows.table, rows.facts.scaled
    train = np.repeat(table.parts == PARTS.index("train"), np.diff(table.starts))
    some = torch.from_numpy(table.features[train][:, :number]).double()
    mean, scale = torch.zeros(table.features.shape[1]), torch.ones(table.features.shape[1])
    mean[:number] = some.mean(0).float()
    scale[:number] = some.std(0, correction=0).float() + 1e-6
    return mean, scale
