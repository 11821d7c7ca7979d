"""A Hugging Face sequence classifier's folder: config.json, weights as safetensors, a tokenizer (extra `hf`)."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ropewalk.core.artifact import Artifact
from ropewalk.core.errors import ConfigError, DataError, MissingExtra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BATCH = 32
LONGEST_TOKENS = 512
_TOXIC = re.compile(r"toxic|hate|offensive|abus|obscene|insult|threat|profan", re.IGNORECASE)
_DENIED = re.compile(r"(non|not|no|un)[-_ ]?", re.IGNORECASE)


class SequenceClassifier(Artifact, kind="SequenceClassifier"):
    """Opened from a foreign folder only: no stage makes one."""

    adopts = ("config.json",)

    def load(self, label: str) -> Encoder:
        """The model on the GPU when there is one; `label` names the output that counts, when the labels' names don't tell."""
        return _loaded(self.path, label, self.key)


class Encoder:
    """A loaded sequence classifier and which of its outputs counts."""

    def __init__(self, model: Any, tokenizer: Any, place: int, device: str) -> None:
        self.model, self.tokenizer, self.place, self.device = model, tokenizer, place, device
        self.longest = min(LONGEST_TOKENS, int(getattr(tokenizer, "model_max_length", LONGEST_TOKENS)))

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Of each text by itself: those of one length go together, so no padding shapes a result; an empty one has 0."""
        import numpy as np
        import torch

        result = np.zeros(len(texts))
        written = [row for row, text in enumerate(texts) if text.strip()]
        coded = {row: self.tokenizer(texts[row], truncation=True, max_length=self.longest)["input_ids"] for row in written}
        by_length: dict[int, list[int]] = {}
        for row, ids in coded.items():
            by_length.setdefault(len(ids), []).append(row)
        for rows in by_length.values():
            for start in range(0, len(rows), BATCH):
                some = rows[start : start + BATCH]
                with torch.inference_mode():
                    logits = self.model(input_ids=torch.tensor([coded[row] for row in some], device=self.device)).logits.double()
                said = logits.sigmoid() if self._many() else logits.softmax(-1)
                result[some] = said[:, self.place].cpu().numpy()
        return result

    def _many(self) -> bool:
        """Whether each label is a question of its own."""
        config = self.model.config
        return bool(config.problem_type == "multi_label_classification" or config.num_labels == 1)


def place_of(labels: Sequence[str], wanted: str, folder: Path) -> int:
    """Which of a model's labels counts: the one wanted, the only one that sounds toxic, or the second of two."""
    if wanted:
        if wanted not in labels:
            raise ConfigError(f"step toxicity: {folder} has no label {wanted!r}", remedy=f"it has {', '.join(labels)}")
        return list(labels).index(wanted)
    if len(labels) == 1:
        return 0
    sounding = [place for place, name in enumerate(labels) if _TOXIC.search(name) and not _DENIED.match(name)]
    sounding = [place for place in sounding if labels[place].lower() in ("toxic", "toxicity")] or sounding
    if len(sounding) == 1:
        return sounding[0]
    if len(labels) == 2 and not sounding:
        return 1
    raise ConfigError(f"step toxicity: which label of {folder} means toxic?", remedy=f"set label to one of: {', '.join(labels)}")


@functools.lru_cache(maxsize=2)
def _loaded(folder: Path, label: str, key: str) -> Encoder:
    try:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer
    except ImportError:
        raise MissingExtra("step toxicity: a Hugging Face model needs transformers", remedy="pip install 'ropewalk[hf]'") from None
    from ropewalk.hardware.device import pick_device

    device = pick_device("auto")
    try:
        model = AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{folder}: no sequence classifier can be read from it: {str(error).splitlines()[0]}") from None
    names = [str(model.config.id2label[place]) for place in range(model.config.num_labels)]
    return Encoder(model.eval().to(device), tokenizer, place_of(names, label, folder), device)
