"""Model artifacts: Hugging Face folders. `Model.load()` gives the module, `Model.tokenizer_path` the tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ropewalk.core.artifact import Artifact
from ropewalk.core.errors import DataError
from ropewalk.core.store import default_root

if TYPE_CHECKING:
    import torch

    from ropewalk.models.gpt_module import Decoder
    from ropewalk.models.head_folder import Asked


class Model(Artifact, kind="Model"):
    """config.json, model.safetensors, tokenizer.json, tokenizer_config.json, generation_config.json."""

    adopts = ("config.json", "adapter_config.json")

    @classmethod
    def fetch(cls, scheme: str, place: str) -> Path:
        """`gguf:FILE`, or `hf:OWNER/NAME` with `@REVISION` if wanted."""
        if scheme == "gguf":
            from ropewalk.models.gguf_file import folder_of

            return folder_of(Path(place), default_root() / ".gguf")
        from ropewalk.models.hub import downloaded

        return downloaded(place)

    def config(self) -> dict[str, Any]:
        """The folder's config.json."""
        try:
            found: dict[str, Any] = json.loads((self.path / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{self.path / 'config.json'}: can't be read: {error}") from None
        return found

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

    def end_ids(self) -> set[int]:
        """The tokens that end a text or an answer: as the folder says, and the ends of turn of its chat template."""
        from ropewalk.models.folder_module import end_ids

        return end_ids(self.path)

    @property
    def headed(self) -> bool:
        """Whether it is an encoder with a head of its own."""
        return (self.path / "head.json").is_file()

    def asked(self, device: str = "cpu") -> Asked:
        """Encoder and head, in evaluation mode."""
        from ropewalk.models.head_folder import load_headed

        return load_headed(self.path, device)

    def load(self, device: str = "cpu", dtype: torch.dtype | None = None) -> Decoder:
        """The module in evaluation mode with the folder's weights, an adapter's put into its base; fp32 unless `dtype` says otherwise."""
        return load_model(self.path, device, dtype)

    @property
    def is_adapter(self) -> bool:
        """Whether the folder is peft's: an adapter that names its base."""
        return (self.path / "adapter_config.json").is_file()


def load_model(path: str | Path, device: str = "cpu", dtype: torch.dtype | None = None) -> Decoder:
    """A module from any folder that ropewalk, transformers or peft wrote, for architectures ropewalk knows."""
    from ropewalk.models.folder_module import load_module

    if (Path(path) / "adapter_config.json").is_file():
        from ropewalk.models.adapter_module import merge_adapters
        from ropewalk.models.peft_module import load_adapted

        module = load_adapted(Path(path), device)
        merge_adapters(module)
        return module.to(dtype=dtype)
    return load_module(Path(path), device, dtype)
