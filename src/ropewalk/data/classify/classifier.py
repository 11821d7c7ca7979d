"""Classifier: a linear model over hashed n-grams in `classifier.json` (what it sees and how scores become probabilities) and
`weights.safetensors` (a number a bucket, and the bias)."""

from __future__ import annotations

import functools
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ropewalk.core.artifact import Artifact
from ropewalk.core.component import as_tree
from ropewalk.core.errors import DataError
from ropewalk.data.classify.features import Features, Reader

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from ropewalk.data.classify.words import Words

SPEC, WEIGHTS = "classifier.json", "weights.safetensors"


class Classifier(Artifact, kind="Classifier"):
    """Says how likely a text is a positive one."""

    adopts = (SPEC,)

    def load(self) -> Linear:
        """The model, read once a process."""
        return _loaded(self.path, self.key)


@dataclass(frozen=True)
class Scale:
    """From a score to a probability: sigmoid(slope * score + shift), by Platt (1999)."""

    slope: float = 1.0
    shift: float = 0.0

    def probabilities(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        import numpy as np

        small = np.exp(-np.abs(self.slope * scores + self.shift))
        return np.where(self.slope * scores + self.shift >= 0, 1.0, small) / (1.0 + small)


class Linear:
    """A trained classifier in memory."""

    def __init__(self, features: Features, weights: NDArray[np.float32], bias: float, scale: Scale, prior: float) -> None:
        self.reader = Reader(features)
        self.weights, self.bias, self.scale, self.prior = weights, bias, scale, prior

    def probabilities(self, words: Words, parts: NDArray[np.int32], unseen: float) -> NDArray[np.float64]:
        """Of each part (words parts[i]:parts[i+1]); `unseen` of one in which there is nothing to see."""
        import numpy as np

        scores, known = self.reader.scores(words, parts, self.weights)
        return np.where(known, self.scale.probabilities(scores + self.bias), unseen)

    def judge(self, column: pa.ChunkedArray, limit: int, unseen: float | None = None) -> NDArray[np.float64]:
        """Of each text of a column, from its first `limit` bytes (0: all); where there is nothing to see, `unseen` or the prior."""
        import numpy as np

        from ropewalk.data.classify.words import PIECE
        from ropewalk.data.dedup.hash import pieces

        unseen = self.prior if unseen is None else unseen
        read = (self.reader.room.read(texts, limit) for texts in pieces(column, PIECE))
        return np.concatenate([np.empty(0), *(self.probabilities(words, words.firsts, unseen) for words in read)])

    def save(self, folder: Path) -> None:
        import numpy as np
        from safetensors.numpy import save_file

        folder.mkdir(parents=True, exist_ok=True)
        spec = {"format": 1, "features": as_tree(self.reader.features), "scale": asdict(self.scale), "prior": self.prior}
        (folder / SPEC).write_text(json.dumps(spec, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        save_file({"weights": self.weights, "bias": np.array([self.bias])}, folder / WEIGHTS)


@functools.lru_cache(maxsize=4)
def _loaded(folder: Path, key: str) -> Linear:
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        spec: dict[str, Any] = json.loads((folder / SPEC).read_text(encoding="utf-8"))
        tensors = load_file(folder / WEIGHTS)
        features, scale, prior = Features.model_validate(spec["features"]), Scale(**spec["scale"]), float(spec["prior"])
        weights, bias = tensors["weights"], float(tensors["bias"][0])
    except (OSError, ValueError, KeyError, TypeError, ValidationError, SafetensorError) as error:
        raise DataError(f"{folder}: the classifier can't be read: {error}") from None
    if weights.dtype != np.float32 or weights.shape != (1 << features.bits,) or not np.isfinite([*weights[:1], bias, prior]).all():
        raise DataError(f"{folder / WEIGHTS}: {weights.dtype} {weights.shape} does not fit {SPEC}, which says 2^{features.bits} buckets")
    return Linear(features, weights, bias, scale, prior)
