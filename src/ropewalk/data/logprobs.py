"""LogProbs: what a reference model gives to each answer of rendered pairs, made once; sums over an answer's scored tokens, in nats."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.artifact import Artifact
from ropewalk.core.errors import DataError
from ropewalk.data.tokens import SPLITS, Split, Tokens


class LogProbs(Artifact, kind="LogProbs"):
    """logprobs.json and `SPLIT.npy` (sequences, answers)."""

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The keys of the model and of the tokens."""
        found: dict[str, Any] = json.loads((self.path / "logprobs.json").read_text(encoding="utf-8"))
        return found

    def column(self, tokens: Tokens, split: Split) -> NDArray[np.float32]:
        """A row for each sequence of the split; raises DataError when they were made for other tokens."""
        if self.facts["tokens"] != tokens.key:
            raise DataError(
                f"{self.path}: these log-probabilities were made for other tokens than {tokens.path}",
                remedy="name the same tokens in the logprobs stage and in the train stage",
            )
        found: NDArray[np.float32] = np.load(self.path / f"{split}.npy")
        return found


def write_logprobs(folder: Path, model_key: str, tokens_key: str, values: dict[Split, NDArray[np.float32]]) -> None:
    for split in SPLITS:
        np.save(folder / f"{split}.npy", values[split], allow_pickle=False)
    facts = {"model": model_key, "tokens": tokens_key}
    (folder / "logprobs.json").write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n", encoding="utf-8")
