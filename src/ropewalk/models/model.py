"""Model artifacts: Hugging Face folders. `Model.load()` gives the module, `Model.tokenizer_path` the tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ropewalk.core.artifact import Artifact
from ropewalk.core.errors import DataError

if TYPE_CHECKING:
    import torch

    from ropewalk.models.gpt_module import Decoder


class Model(Artifact, kind="Model"):
    """config.json, model.safetensors, tokenizer.json, tokenizer_config.json, generation_config.json."""

    adopts = "config.json"

    def config(self) -> dict[str, Any]:
        """The folder's config.json."""
        return read_config(self.path)

    @property
    def context(self) -> int:
        """Longest sequence in tokens."""
        config = self.config()
        return int(config.get("max_position_embeddings") or config.get("n_positions") or 0)

    @property
    def vocab_size(self) -> int:
        return int(self.config()["vocab_size"])

    @property
    def tokenizer_path(self) -> Path:
        """The folder holding tokenizer.json: the model's own."""
        return self.path

    def load(self, device: str = "cpu", dtype: torch.dtype | None = None) -> Decoder:
        """The module in evaluation mode with the folder's weights; fp32 unless `dtype` says otherwise."""
        from ropewalk.models.folder_module import load_module

        return load_module(self.path, device, dtype)


def read_config(folder: Path) -> dict[str, Any]:
    """A folder's config.json; raises DataError where there is none or it is damaged."""
    try:
        found: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder / 'config.json'}: can't be read: {error}") from None
    return found


def load_model(path: str | Path, device: str = "cpu") -> Decoder:
    """A module from any folder that ropewalk or transformers wrote, for architectures ropewalk knows; for a forecaster a ForecastModule."""
    from ropewalk.models.forecaster_module import PREFIX, load_forecaster

    if str(read_config(Path(path)).get("model_type")).startswith(PREFIX):
        return load_forecaster(Path(path), device)  # type: ignore[return-value]
    from ropewalk.models.folder_module import load_module

    return load_module(Path(path), device, None)
