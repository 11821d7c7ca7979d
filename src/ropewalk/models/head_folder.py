"""Heads beside their encoder's folder: head.json says what the head is, head.safetensors holds it; the rest opens in transformers."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from ropewalk.core.errors import DataError
from ropewalk.models.encoder_module import Encoder
from ropewalk.models.encoder_shape import encoder_shape
from ropewalk.models.folder_module import WEIGHTS, read_weights
from ropewalk.models.head_module import FeatureHead, Headed, PairHead, SpanHead

if TYPE_CHECKING:
    from torch import Tensor

HEAD, FACTS = "head.safetensors", "head.json"
COPIED = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
_UNUSED = ("pooler.", "cls.", "embeddings.position_ids", "qa_outputs.", "classifier.")


@dataclass(frozen=True)
class Asked:
    """A finished model that can be asked: an encoder and a head, with what the head must know of a text."""

    encoder: Encoder
    head: nn.Module
    kind: str
    spec: dict[str, Any]


def load_encoder(folder: Path, device: str = "cpu") -> Encoder:
    """The encoder of a BERT folder, in evaluation mode; what other heads need of it is left out."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder / 'config.json'}: can't be read: {error}") from None
    kind = config.get("model_type")
    shape = encoder_shape(config) if kind == "bert" else f"model_type {kind!r}"
    if isinstance(shape, str):
        raise DataError(f"{folder}: {shape} is not supported as an encoder", remedy="BERT folders are, such as those of MiniLM")
    module = Encoder(shape, int(config["vocab_size"]))
    found = {name.removeprefix("bert."): tensor for name, tensor in read_weights(folder).items()}
    own = module.state_dict()
    missing = sorted(set(own) - set(found))
    unknown = sorted(name for name in set(found) - set(own) if not name.startswith(_UNUSED))
    shapes = [name for name in set(own) & set(found) if own[name].shape != found[name].shape]
    if missing or unknown or shapes:
        wrong = f"{len(missing)} missing {missing[:3]}, {len(unknown)} unknown {unknown[:3]}, {len(shapes)} of another shape {shapes[:3]}"
        raise DataError(f"{folder}: the weights don't fit config.json: {wrong}")
    module.load_state_dict({name: found[name].float() for name in own})
    return module.to(device).eval()


def save_headed(folder: Path, module: Headed, start: Path) -> None:
    """The start's folder with this head, and with its own encoder's weights where they were trained."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        if (start / name).is_file():
            shutil.copyfile(start / name, folder / name)
    weights = read_weights(start)
    if module.encoder is not None:
        prefix = "bert." if any(name.startswith("bert.") for name in weights) else ""
        weights |= {prefix + name: tensor.detach().cpu().contiguous() for name, tensor in module.encoder.state_dict().items()}
    save_file(weights, folder / WEIGHTS, {"format": "pt"})
    save_file(
        {name: tensor.detach().cpu().contiguous() for name, tensor in module.head.state_dict().items()}, folder / HEAD, {"format": "pt"}
    )
    facts = {"kind": module.kind, "spec": module.spec}
    (folder / FACTS).write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def load_headed(folder: Path, device: str = "cpu") -> Asked:
    """Encoder and head of a folder that `save_headed` wrote; DataError where there is no head or it is damaged."""
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        weights = load_file(folder / HEAD)
        head = empty_head(facts["kind"], facts["spec"], weights)
        head.load_state_dict(weights)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise DataError(
            f"{folder}: holds no head that can be read: {error}", remedy=f"name a folder that training made: {FACTS} and {HEAD} are there"
        ) from None
    return Asked(load_encoder(folder, device), head.to(device).eval(), facts["kind"], facts["spec"])


def empty_head(kind: str, spec: dict[str, Any], weights: dict[str, Tensor]) -> nn.Module:
    """A head of a kind with room for the weights."""
    width = weights["head.weight"].size(1)
    if kind == "windows":
        return SpanHead(width)
    return FeatureHead(width) if kind == "sentences" else PairHead(width, bool(spec["davidson"]))
