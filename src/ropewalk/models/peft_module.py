"""Adapters as peft's folders: adapter_config.json and adapter_model.safetensors with transformers' names, both ways."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ropewalk.core.errors import DataError
from ropewalk.models.adapter_module import AdaptedLinear, Part, adapted_layers, attach_lora, linear_layers, parts_of
from ropewalk.models.folder_module import load_module
from ropewalk.models.gpt_module import Decoder
from ropewalk.models.lora import LoRA

CONFIG, WEIGHTS, BASE = "adapter_config.json", "adapter_model.safetensors", "adapter_base.json"
_PREFIX = "base_model.model."
_REFUSED = ("modules_to_save", "layers_to_transform", "rank_pattern", "alpha_pattern", "layer_replication", "trainable_token_indices")


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """The adapter's own parameters under peft's names."""
    found = {}
    for _, layer in adapted_layers(module):
        for part in layer.parts:
            found.update({name: tensor.detach() for name, tensor in _named(layer, part).items()})
    return found


def _named(layer: AdaptedLinear, part: Part) -> dict[str, nn.Parameter]:
    head = f"{_PREFIX}{part.outside}."
    found = {f"{head}lora_A.weight": layer.lora_A[part.name], f"{head}lora_B.weight": layer.lora_B[part.name]}
    if layer.lora_magnitude is not None:
        found[f"{head}lora_magnitude_vector"] = layer.lora_magnitude[part.name]
    return found


def save_adapter(folder: Path, module: nn.Module, config: LoRA, base: Mapping[str, Any]) -> None:
    """Write the adapter; `base` says which model it belongs to: key, and path where it is in no store."""
    save_file({name: tensor.cpu().contiguous() for name, tensor in tensors_of(module).items()}, folder / WEIGHTS, {"format": "pt"})
    body = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base["path"] or f"../{base['key']}",
        "r": config.rank,
        "lora_alpha": config.alpha,
        "lora_dropout": config.dropout,
        "use_rslora": config.rank_stabilised,
        "use_dora": config.magnitude,
        "target_modules": _endings(module),
        "fan_in_fan_out": isinstance(module, Decoder) and module.shape.family == "gpt2",
        "bias": "none",
        "inference_mode": True,
    }
    for name, text in ((CONFIG, body), (BASE, {**base, "quantise": config.quantise})):
        (folder / name).write_text(json.dumps(text, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _endings(module: nn.Module) -> list[str]:
    """The shortest ends of paths that name all adapted layers and no other."""
    adapted = {part.outside for _, layer in adapted_layers(module) for part in layer.parts}
    every = set(adapted)
    for name, layer in linear_layers(module):
        every.update(part.outside for part in parts_of(module, name.removesuffix(".base"), layer))
    for depth in (1, 2):
        found = {".".join(path.split(".")[-depth:]) for path in adapted}
        if not any(path.endswith(f".{end}") for path in every - adapted for end in found):
            return sorted(found)
    return sorted(adapted)


def read_config(folder: Path) -> LoRA:
    """The adapter's config; raises DataError for kinds that are not LoRA's or DoRA's plain forms."""
    try:
        body = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        kind, bias = body["peft_type"], body.get("bias", "none")
        other = [name for name in _REFUSED if body.get(name)] + ([f"bias: {bias}"] if bias != "none" else [])
        if kind != "LORA" or other:
            raise DataError(f"{folder / CONFIG}: {', '.join(other) or f'peft_type: {kind}'} is not supported")
        targets = body["target_modules"]
        if isinstance(targets, str):
            if targets != "all-linear":
                raise DataError(f"{folder / CONFIG}: target_modules {targets!r} is a pattern; list the layers' names")
            targets = "all"
        base = json.loads((folder / BASE).read_text(encoding="utf-8")) if (folder / BASE).is_file() else {}
        return LoRA(
            rank=body["r"],
            alpha=body["lora_alpha"],
            targets=targets,
            dropout=body.get("lora_dropout") or 0.0,
            rank_stabilised=bool(body.get("use_rslora")),
            magnitude=bool(body.get("use_dora")),
            quantise=base.get("quantise"),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{folder / CONFIG}: can't be read: {error!r}") from None


def fill_adapter(module: nn.Module, folder: Path) -> None:
    """Attach the folder's adapter to its base; every tensor must have its place and every place its tensor."""
    attach_lora(module, read_config(folder), 0)
    try:
        found = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{folder / WEIGHTS}: can't be read: {error}") from None
    wanted = {name: place for _, layer in adapted_layers(module) for part in layer.parts for name, place in _named(layer, part).items()}
    missing, unknown = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    bent = [name for name in set(wanted) & set(found) if wanted[name].shape != found[name].shape]
    if missing or unknown or bent:
        raise DataError(
            f"{folder}: the adapter does not fit its base: {len(missing)} tensors missing {missing[:2]}, {len(unknown)} unknown "
            f"{unknown[:2]}, {len(bent)} of another shape {bent[:2]}"
        )
    with torch.no_grad():
        for name, place in wanted.items():
            place.copy_(found[name])


def base_folder(folder: Path) -> Path:
    """Where the base of an adapter's folder stands: beside it in the store, or at the place that it names."""
    facts: dict[str, Any] = {}
    for name in (CONFIG, BASE):
        if (folder / name).is_file():
            facts |= json.loads((folder / name).read_text(encoding="utf-8"))
    named = facts.get("path") or facts.get("base_model_name_or_path") or ""
    places = [folder.resolve().parent / str(facts.get("key") or named), Path(named)]
    for place in places:
        if (place / "config.json").is_file() and place.resolve() != folder.resolve():
            return place
    raise DataError(f"{folder}: the adapter's base {named!r} is not here", remedy="name it: a merge stage with base: path:FOLDER")


def load_adapted(folder: Path, device: str = "cpu", base: Path | None = None) -> Decoder:
    """The base with the adapter beside it, in evaluation mode."""
    module = load_module(base or base_folder(folder), device)
    fill_adapter(module, folder)
    return module.eval()
