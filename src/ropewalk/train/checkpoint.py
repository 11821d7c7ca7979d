"""Checkpoints: folders `step-000100` that exist whole or not at all, every file hashed; the newest valid one is used.

model.safetensors, optimizer.safetensors, average.safetensors (when there is one), state.json, manifest.json.
"""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ropewalk.core.artifact import Manifest, beside, commit, sweep
from ropewalk.core.errors import CheckpointError, DataError, DiskError
from ropewalk.core.units import show_bytes
from ropewalk.train.state import TrainState

_NAME = re.compile(r"step-(\d{6,})")
_WRAPPERS = ("_orig_mod.", "module.")
MODEL, OPTIMIZER, AVERAGE, STATE = "model.safetensors", "optimizer.safetensors", "average.safetensors", "state.json"
SPARE = 1.2  # free space wanted before a save, in sizes of what is saved


@dataclass(frozen=True)
class Found:
    """The newest valid checkpoint, and why newer ones can't be used."""

    path: Path
    skipped: tuple[str, ...]


@dataclass(frozen=True)
class Snapshot:
    """A state at a step boundary, as files of tensors and scalars."""

    files: Mapping[str, Mapping[str, Tensor]]
    scalars: Mapping[str, Any]

    @classmethod
    def of(cls, state: TrainState) -> Snapshot:
        """The state's own tensors, which the next step changes."""
        files: dict[str, Mapping[str, Tensor]] = {MODEL: weights_of(state.model), OPTIMIZER: state.update.state()}
        if state.average is not None:
            files[AVERAGE] = state.average
        return cls(files, state.scalars())

    def copied(self) -> Snapshot:
        """The same with tensors of its own, in the machine's memory."""
        files = {
            name: {key: tensor.detach().to("cpu", copy=True) for key, tensor in tensors.items()} for name, tensors in self.files.items()
        }
        return Snapshot(files, copy.deepcopy(self.scalars))

    @property
    def size_bytes(self) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensors in self.files.values() for tensor in tensors.values())


class Checkpoints:
    """The checkpoints of one training run; keeps the last `keep` and the best."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder = folder
        self.keep = keep

    def place(self, step: int) -> Path:
        return self.folder / f"step-{step:06d}"

    def steps(self) -> list[int]:
        """Steps that have a folder, newest first; whether it is valid is another question."""
        if not self.folder.is_dir():
            return []
        return sorted((int(match[1]) for path in self.folder.iterdir() if (match := _NAME.fullmatch(path.name))), reverse=True)

    def size_bytes(self) -> int:
        """Of the newest checkpoint; 0 when there is none."""
        return sum(file.stat().st_size for step in self.steps()[:1] for file in self.place(step).iterdir())

    def newest(self) -> Found | None:
        """None when nothing was ever saved; raises CheckpointError when all that was saved is damaged."""
        if self.folder.is_dir():
            sweep(self.folder)
        reasons: list[str] = []
        for step in self.steps():
            wrong = damage(self.place(step))
            if not wrong:
                return Found(self.place(step), tuple(reasons))
            reasons.append(f"{self.place(step).name}: {'; '.join(wrong)}")
        if reasons:
            raise CheckpointError(
                f"{self.folder}: no valid checkpoint:\n" + "\n".join(f"  {reason}" for reason in reasons),
                remedy="restore one of these folders from a copy, or --restart to train from the beginning",
            )
        return None

    def save(self, snapshot: Snapshot) -> Path:
        """Write a state under its step; raises DiskError, and then what was there before is still there."""
        step = int(snapshot.scalars["step"])
        place = self.place(step)
        if place.exists() and not damage(place):
            return place
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._check_space(snapshot.size_bytes)
            with beside(place) as folder:
                for name, tensors in snapshot.files.items():
                    save_file({key: tensor.detach().contiguous() for key, tensor in tensors.items()}, folder / name)
                (folder / STATE).write_text(json.dumps(snapshot.scalars, indent=1), encoding="utf-8")
                if place.exists():
                    _remove(place)
                commit(folder, place, Manifest("Checkpoint", counts={"step": step, "tokens": snapshot.scalars["tokens"]}))
        except (OSError, SafetensorError) as error:
            raise DiskError(f"{place}: not saved: {error}", remedy="free some space; older checkpoints are untouched") from error
        self._forget(step, int(snapshot.scalars["best_step"]))
        return place

    def _check_space(self, size_bytes: int) -> None:
        free = shutil.disk_usage(self.folder).free
        if free < SPARE * size_bytes:
            raise DiskError(
                f"{self.folder}: {show_bytes(free)} free, a checkpoint takes {show_bytes(size_bytes)}",
                remedy="free some space or set CHECKPOINT_DIR; older checkpoints are untouched",
            )

    def _forget(self, step: int, best_step: int) -> None:
        """Remove what is neither among the last `keep` nor the best; newer ones were damaged, or we would not be here."""
        known = self.steps()
        kept = {*sorted((other for other in known if other <= step), reverse=True)[: self.keep], best_step, step}
        for other in known:
            if other not in kept:
                _remove(self.place(other))


def restore(state: TrainState, path: Path) -> None:
    """Fill the state from a valid checkpoint; raises CheckpointError when it holds another model or optimizer."""
    load_weights(state.model, path)
    try:
        state.update.load(load_file(path / OPTIMIZER))
        state.set_scalars(json.loads((path / STATE).read_bytes()))
        if state.average is not None:
            average = load_file(path / AVERAGE)
            for name, tensor in state.average.items():
                tensor.copy_(average[name])
    except (KeyError, ValueError, RuntimeError, OSError) as error:
        raise CheckpointError(f"{path}: does not fit this training run: {error}", remedy="--restart to begin this stage again") from error


def load_weights(model: nn.Module, path: Path, *, averaged: bool = False) -> None:
    """Copy a checkpoint's weights (or their moving average) into a model; names must be the same on both sides."""
    saved, wanted = load_file(path / (AVERAGE if averaged else MODEL)), weights_of(model)
    missing, extra = sorted(set(wanted) - set(saved)), sorted(set(saved) - set(wanted))
    if missing or extra:
        raise CheckpointError(
            f"{path / MODEL}: holds another model: {len(missing)} weights missing {missing[:3]}, {len(extra)} unknown {extra[:3]}",
            remedy="--restart to begin this stage again",
        )
    with torch.no_grad():
        for name, tensor in wanted.items():
            if tensor.shape != saved[name].shape:
                raise CheckpointError(f"{path / MODEL}: {name} is {list(saved[name].shape)}, the model's is {list(tensor.shape)}")
            tensor.copy_(saved[name])


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """The model's weights by their plain names (no `_orig_mod.` or `module.` of wrappers), shared ones once, frozen ones left out."""
    frozen = {name for name, parameter in model.named_parameters(remove_duplicate=False) if not parameter.requires_grad}
    named: Mapping[str, Tensor] = {name: tensor for name, tensor in model.state_dict().items() if not _belongs(name, frozen)}
    for wrapper in _WRAPPERS * 2:
        if named and all(name.startswith(wrapper) for name in named):
            named = {name.removeprefix(wrapper): tensor for name, tensor in named.items()}
    seen: set[tuple[int, tuple[int, ...]]] = set()
    weights = {}
    for name, tensor in named.items():
        place = (tensor.data_ptr(), tuple(tensor.shape))
        if place not in seen:
            seen.add(place)
            weights[name] = tensor
    return weights


def _belongs(name: str, frozen: set[str]) -> bool:
    """Whether a tensor is a frozen weight, or says how one is quantised (`weight.absmax`)."""
    return name in frozen or any(name[:place] in frozen for place, letter in enumerate(name) if letter == ".")


def damage(path: Path) -> list[str]:
    """What is wrong with a checkpoint's folder; empty when every byte is as written."""
    try:
        manifest = Manifest.read(path)
        wrong = manifest.verify(path)
    except (DataError, OSError) as error:
        return [str(error)]
    if manifest.type != "Checkpoint" or path.name != f"step-{manifest.counts.get('step', -1):06d}":
        wrong.append("holds the checkpoint of another step")
    return wrong


def _remove(path: Path) -> None:
    """First out of sight, then away: a kill in between leaves nothing that looks like a checkpoint."""
    hidden = path.with_name(f".tmp-{path.name}-removed")
    shutil.rmtree(hidden, ignore_errors=True)
    os.rename(path, hidden)
    shutil.rmtree(hidden)
