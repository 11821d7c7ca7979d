"""Models to and from Hugging Face folders: safetensors only, every weight accounted for, pickles refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ropewalk.core.errors import DataError
from ropewalk.models.configs import KNOWN, config_of, shape_of
from ropewalk.models.gguf_file import TENSORS
from ropewalk.models.gguf_weights import GGUFWeights
from ropewalk.models.gpt_module import Decoder
from ropewalk.models.huggingface_module import MARK, MARKED, HuggingFaceDecoder, reopened
from ropewalk.models.names import inward, outward

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
ENDS_OF_TURN = ("<|im_end|>", "<|eot_id|>", "<end_of_turn>")
_IGNORED = ("attn.bias", "attn.masked_bias", "rotary_emb.inv_freq", "lm_head.weight")


def save_model(folder: Path, module: Decoder | HuggingFaceDecoder, tokenizer_folder: Path | None) -> None:
    """Write config.json, model.safetensors, generation_config.json and a copy of the tokenizer's files."""
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(module, HuggingFaceDecoder):
        module.save(folder)
    else:
        _save_weights(folder, module)
    save_config(folder, module, tokenizer_folder)


def save_config(folder: Path, module: Decoder | HuggingFaceDecoder, tokenizer_folder: Path | None) -> None:
    """All of a model's folder but its weights."""
    folder.mkdir(parents=True, exist_ok=True)
    special = _special(tokenizer_folder)
    if isinstance(module, HuggingFaceDecoder):
        module.save_config(folder)
    else:
        config = config_of(module.shape, module.vocab_size, special)
        (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    ends: dict[str, int | list[int]] = {name: value for name, value in special.items() if value is not None}
    if stops := _stops(tokenizer_folder):
        ends["eos_token_id"] = stops
    (folder / "generation_config.json").write_text(json.dumps(ends, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    if tokenizer_folder is not None:
        for name in TOKENIZER_FILES:
            if (tokenizer_folder / name).is_file():
                shutil.copyfile(tokenizer_folder / name, folder / name)


def _save_weights(folder: Path, module: Decoder) -> None:
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    save_file(outward(module.shape, weights), folder / WEIGHTS, {"format": "pt"})


def load_module(folder: Path, device: str = "cpu", dtype: torch.dtype | None = None) -> Decoder:
    """A decoder with the folder's weights, in evaluation mode; raises DataError naming what is missing or unknown."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder / 'config.json'}: can't be read: {error}") from None
    if isinstance(config, dict) and config.get(MARK) == MARKED:
        return reopened(folder).to(device=device, dtype=dtype).eval()
    shape = shape_of(config) if isinstance(config, dict) else "a config.json that is no object"
    if isinstance(shape, str):
        raise DataError(f"{folder}: {shape} is not supported", remedy=f"{KNOWN} folders are; others train by model: {{type: huggingface}}")
    with torch.device("meta"):  # weights that are written over need no drawing
        module = Decoder(shape, config["vocab_size"])
    module.to_empty(device="cpu").place_rotary()
    found = GGUFWeights(folder, shape) if (folder / TENSORS).is_file() else _prefixed(read_weights(folder), shape.family)
    missing, unknown = inward(shape, dict(module.state_dict()), found)
    unknown = [name for name in unknown if not name.endswith(_IGNORED[: 4 if shape.tied else 3])]
    if missing or unknown:
        raise DataError(
            f"{folder}: the weights don't fit config.json: {len(missing)} missing {missing[:3]}, {len(unknown)} unknown {unknown[:3]}"
        )
    return module.to(device=device, dtype=dtype).eval()


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of model.safetensors or of the shards that its index names."""
    if (folder / INDEX).is_file():
        try:
            names = sorted(set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, AttributeError) as error:
            raise DataError(f"{folder / INDEX}: damaged: {error}") from None
        inside = [name for name in names if Path(name).name == name]
        if inside != names:
            raise DataError(f"{folder / INDEX}: names files outside the folder")
    elif (folder / WEIGHTS).is_file():
        names = [WEIGHTS]
    else:
        pickled = [path.name for path in folder.glob("*.bin")] + [path.name for path in folder.glob("*.pt")]
        what = f"only {pickled[0]}, a pickle, which is never read" if pickled else "no model.safetensors"
        remedy = "save it again with transformers: model.save_pretrained(folder, safe_serialization=True)" if pickled else ""
        raise DataError(f"{folder}: {what}", remedy=remedy)
    weights: dict[str, Tensor] = {}
    for name in names:
        try:
            weights.update(load_file(folder / name))
        except (OSError, SafetensorError) as error:
            raise DataError(f"{folder / name}: damaged: {error}") from None
    return weights


def _prefixed(weights: dict[str, Tensor], family: str) -> dict[str, Tensor]:
    """GPT-2 folders of old leave out `transformer.`."""
    if family == "gpt2" and not any(name.startswith("transformer.") for name in weights):
        return {name if name.startswith("lm_head") else f"transformer.{name}": tensor for name, tensor in weights.items()}
    return weights


def _stops(folder: Path | None) -> list[int]:
    """Every control token that ends a text or, in the tokenizer's chat template, a turn; empty when there is one at most."""
    if folder is None or not (folder / "tokenizer_config.json").is_file():
        return []
    names = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    added = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8")).get("added_tokens", [])
    template, end = str(names.get("chat_template") or ""), names.get("eos_token")
    found = [
        token["id"] for token in added if token["content"] == end or (token["content"] in ENDS_OF_TURN and token["content"] in template)
    ]
    return found if len(found) > 1 else []


def end_ids(folder: Path) -> set[int]:
    """Every id that ends a text or a turn, by generation_config.json, config.json and the tokenizer."""
    found = set(_stops(folder))
    for name in ("generation_config.json", "config.json"):
        if (folder / name).is_file():
            said = json.loads((folder / name).read_text(encoding="utf-8")).get("eos_token_id")
            found |= set(said) if isinstance(said, list) else {said}
    return {id_ for id_ in found | {_special(folder)["eos_token_id"]} if id_ is not None}


def _special(folder: Path | None) -> dict[str, int | None]:
    """bos, eos and pad ids from tokenizer_config.json's names and tokenizer.json's added tokens."""
    found: dict[str, int | None] = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    if folder is None or not (folder / "tokenizer_config.json").is_file():
        return found
    names = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    added = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8")).get("added_tokens", [])
    ids = {token["content"]: token["id"] for token in added}
    for role in ("bos", "eos", "pad"):
        named = names.get(f"{role}_token")  # older folders write {"content": "<s>", …} for "<s>"
        found[f"{role}_token_id"] = ids.get(named.get("content") if isinstance(named, dict) else named)
    return found
