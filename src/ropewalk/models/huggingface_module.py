"""A transformers model behind our decoder's face: hidden states, the output layer's weight, packed documents, cached rows.

Two proofs come first: logits are hidden states times the output layer's weight, and packed documents do not see each other.
An architecture that fails one would be trained on something else than it computes, and is refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ropewalk.core.errors import DataError, MissingExtra
from ropewalk.models.cache_module import KeyValues
from ropewalk.models.gpt_module import Decoder
from ropewalk.models.huggingface import read_config, rough_shape

MARK = "ropewalk"
MARKED = {"type": "huggingface"}
"""Stands in config.json of a model that was trained so: it is opened the same way."""


class HuggingFaceDecoder(nn.Module):
    """What the trainer, the suites and generation ask of `Decoder`."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.shape = rough_shape(model.config.to_dict())
        self.vocab_size = int(model.config.vocab_size)
        self._checkpointing = False

    @property
    def head_weight(self) -> Tensor:
        return self.model.get_output_embeddings().weight  # type: ignore[no-any-return]

    @property
    def checkpointing(self) -> bool:
        """Whether activations are computed again on the way back."""
        return self._checkpointing

    @checkpointing.setter
    def checkpointing(self, wanted: bool) -> None:
        if wanted:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
        elif self._checkpointing:
            self.model.gradient_checkpointing_disable()
        self._checkpointing = wanted

    def logits(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.head_weight)

    def forward(
        self, tokens: Tensor, positions: Tensor | None = None, documents: Tensor | None = None, cache: KeyValues | None = None
    ) -> Tensor:
        """Hidden states (B, T, D), as `Decoder.forward`. A cache keeps the tokens, and all of them are computed again."""
        if cache is not None:
            places = cache.positions(tokens.size(1), tokens.device).expand(tokens.size(0), -1)  # (B, T)
            kept = tokens[:, None, :, None]
            written, _ = cache.write(0, kept, kept)
            hidden = self.forward(written[:, 0, :, 0])
            return hidden.gather(1, places[..., None].expand(-1, -1, hidden.size(-1)))
        options: dict[str, Any] = {"use_cache": False}
        if documents is not None:
            length = tokens.size(1)
            allowed = (documents[:, :, None] == documents[:, None, :]) & torch.ones(
                length, length, dtype=torch.bool, device=tokens.device
            ).tril()
            kind = self.head_weight.dtype
            options["attention_mask"] = torch.zeros(allowed.shape, dtype=kind, device=tokens.device).masked_fill(
                ~allowed, torch.finfo(kind).min
            )[:, None]
        if positions is not None:
            options["position_ids"] = positions
        return self.model.base_model(tokens, **options).last_hidden_state  # type: ignore[no-any-return]

    def save(self, folder: Path) -> None:
        """config.json, which says how to open it again, and model.safetensors."""
        self.model.save_pretrained(folder, safe_serialization=True, max_shard_size="1000GB")
        self.save_config(folder)

    def save_config(self, folder: Path) -> None:
        self.model.config.save_pretrained(folder)
        config = read_config(folder)
        (folder / "config.json").write_text(json.dumps({**config, MARK: MARKED}, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def build(folder: Path, vocab_size: int, seed: int | None) -> Decoder:
    """The folder's model, with its weights where `seed` is None; raises DataError where it can't be trained here."""
    auto = _transformers()
    model_type = read_config(folder).get("model_type")
    try:
        config = auto.AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        drawn = seed is not None or torch.get_default_device().type == "meta"
        if seed is not None:
            config.vocab_size = vocab_size
        elif config.vocab_size < vocab_size:
            raise DataError(
                f"{folder}: knows {config.vocab_size} tokens, and the data's tokenizer has {vocab_size}", remedy="set weights: new"
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed or 0)
            maker = auto.AutoModelForCausalLM
            model = maker.from_config(config, trust_remote_code=False) if drawn else _read(maker, folder)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{folder}: transformers can't open this {model_type!r}: {str(error).splitlines()[0]}") from None
    found = HuggingFaceDecoder(model.float())
    if not drawn or torch.get_default_device().type != "meta":
        _prove(found, folder)
    return cast(Decoder, found)  # the same face, another inside


def reopened(folder: Path) -> Decoder:
    """A model that was trained by `type: huggingface`."""
    return build(folder, 0, None)


def _transformers() -> Any:
    try:
        import transformers
    except ImportError:
        raise MissingExtra("model huggingface needs the package transformers", remedy="pip install 'ropewalk[hf]'") from None
    return transformers


def _read(maker: Any, folder: Path) -> Any:
    options = {"use_safetensors": True, "local_files_only": True, "output_loading_info": True}
    model, info = maker.from_pretrained(folder, trust_remote_code=False, **options)
    wrong = [*info["missing_keys"], *info["unexpected_keys"]]
    if wrong:
        raise DataError(f"{folder}: the weights don't fit config.json: {len(wrong)} missing or unknown, such as {min(wrong)}")
    return model


@torch.no_grad()
def _prove(found: HuggingFaceDecoder, folder: Path) -> None:
    model, kind = found.model, found.model.config.model_type
    was_training = found.training
    found.eval()
    length = min(6, found.shape.context // 2)
    tokens = torch.arange(2 * length).remainder(found.vocab_size)[None]
    expected = model(tokens, use_cache=False).logits
    if not _near(found.logits(found(tokens)), expected):
        raise DataError(f"{folder}: a {kind!r} computes its logits otherwise than from hidden states and the output layer's weight alone")
    documents = torch.arange(2).repeat_interleave(length)[None] + 1
    positions = torch.arange(length).repeat(2)[None]
    packed = found(tokens, positions, documents)
    if not (_near(packed[:, length:], found(tokens[:, length:])) and _near(packed[:, :length], found(tokens[:, :length]))):
        raise DataError(f"{folder}: packed documents see each other in a {kind!r}, so it can't be trained on packed data")
    found.train(was_training)


def _near(found: Tensor, expected: Tensor) -> bool:
    return bool((found - expected).abs().max() <= 1e-4 * expected.abs().max().clamp(min=1e-3))
