"""The logprobs stage: a reference model's log-probabilities of rendered pairs, made once for all trainings that compare with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np

from ropewalk.core.artifact import Artifact
from ropewalk.core.component import RUNTIME
from ropewalk.core.errors import DataError
from ropewalk.core.reference import Ref
from ropewalk.data.loader import Loader
from ropewalk.data.logprobs import LogProbs, write_logprobs
from ropewalk.data.tokenizer import Vocabulary
from ropewalk.data.tokens import SPLITS, Split, Tokens
from ropewalk.hardware.device import pick_device
from ropewalk.models.model import Model
from ropewalk.pipeline.stage import Context, Facts, Stage

if TYPE_CHECKING:
    from numpy.typing import NDArray

GROUPS_AT_ONCE = 16  # always the same, for sums of floats depend on what is computed beside them


class MakeLogProbs(Stage, type="logprobs"):
    """Asks a model how likely each answer is, given its prompt."""

    makes: ClassVar[type[Artifact]] = LogProbs

    model: Ref[Model]
    """The reference; usually what the training begins with."""
    data: Ref[Tokens]
    """Tokens from render_pairs."""
    device: Annotated[str, RUNTIME] = "auto"
    """`auto`, `cpu` or `cuda`."""

    def problems(self, upstream: Mapping[str, Stage | Artifact]) -> list[tuple[str, str]]:
        from ropewalk.pipeline.answers import held_by

        if held_by(upstream.get("data")) == "sequences":
            return [("data", f"{self.data.target} holds no answers to shared prompts: use render_pairs")]
        return []

    def make(self, context: Context) -> Facts:
        model, tokens = context.open(self.model), context.open(self.data)
        if not tokens.answers:
            raise DataError(f"{context.name}: {self.data.target} holds no answers to shared prompts", remedy="use render_pairs")
        if Vocabulary(model.tokenizer_path).key != tokens.facts.tokenizer_key:
            raise DataError(f"{context.name}: {self.data.target} was encoded by another tokenizer than that of {self.model.target}")
        device = pick_device(self.device)
        module = model.load(device)
        if tokens.length > module.shape.context:
            raise DataError(f"{context.name}: answers of {tokens.length} positions are longer than the context of {module.shape.context}")
        found: dict[Split, Any] = {}
        total = sum(tokens.num_sequences(split) for split in SPLITS)
        with context.progress(context.name, total, "pairs") as bar:
            for split in SPLITS:
                found[split] = _log_probabilities(module, tokens, split, device, bar.advance)
        write_logprobs(context.out, model.key, tokens.key, found)
        shares = {f"{split}/nats": float(values.mean()) for split, values in found.items() if len(values)}
        return Facts(metrics={"sequences": total, **shares})


def _log_probabilities(module: Any, tokens: Tokens, split: Split, device: str, advance: Any) -> NDArray[np.float32]:
    import torch

    from ropewalk.tasks.answers_module import log_probabilities
    from ropewalk.tasks.torch_batch import to_torch

    number = tokens.num_sequences(split)
    if not number:
        return np.zeros((0, tokens.answers), np.float32)
    loader, parts = Loader(tokens, split, number, 0), []
    for start in range(0, number, GROUPS_AT_ONCE):
        rows = np.arange(start, min(start + GROUPS_AT_ONCE, number))
        with torch.no_grad():
            parts.append(log_probabilities(module, to_torch(loader.gather(rows), device)).float().cpu().numpy())
        advance(len(rows))
    return np.concatenate(parts)
