"""Checkpoints: whole or not at all, hashed, the newest valid one is used (O36, O38, O40)."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ropewalk.core.errors import CheckpointError, DiskError
from ropewalk.train import checkpoint
from ropewalk.train.checkpoint import AVERAGE, MODEL, OPTIMIZER, STATE, Checkpoints, Snapshot, load_weights, restore, weights_of
from ropewalk.train.state import TrainState


class Momentum:
    """As much of an optimizer as a checkpoint sees."""

    def __init__(self, model: nn.Module) -> None:
        self.tensors = {f"momentum.{name}": torch.zeros_like(p) for name, p in model.named_parameters()}

    def step(self, lr_factor: float) -> None:
        for tensor in self.tensors.values():
            tensor += lr_factor

    def zero_grad(self) -> None:
        """Nothing to clear."""

    def state(self) -> dict[str, Tensor]:
        return self.tensors

    def load(self, state: dict[str, Tensor]) -> None:
        for name, tensor in self.tensors.items():
            tensor.copy_(state[name])


def make_state(*, width: int = 3, average: bool = False) -> TrainState:
    model: Any = nn.Sequential(nn.Linear(width, 2), nn.Linear(2, 1))
    copy = {name: p.detach().clone() for name, p in model.named_parameters()} if average else None
    return TrainState(model, Momentum(model), copy)


def advance(state: TrainState, step: int) -> None:
    """Make the state one that only this step has."""
    generator = torch.Generator().manual_seed(step)
    with torch.no_grad():
        for parameter in state.model.parameters():
            parameter.copy_(torch.rand(parameter.shape, generator=generator))
        for tensor in [*state.update.state().values(), *(state.average or {}).values()]:
            tensor.copy_(torch.rand(tensor.shape, generator=generator))
    state.step, state.tokens, state.metrics = step, 10 * step, {"holdout_loss": 1.0 / (step + 1)}


def bits(state: TrainState) -> dict[str, bytes]:
    named = {**weights_of(state.model), **state.update.state(), **{f"a.{k}": v for k, v in (state.average or {}).items()}}
    return {name: tensor.detach().numpy().tobytes() for name, tensor in named.items()} | {"scalars": repr(state.scalars()).encode()}


def saved(folder: Path, steps: range, keep: int = 9) -> tuple[Checkpoints, dict[int, dict[str, bytes]]]:
    checkpoints, state, seen = Checkpoints(folder, keep), make_state(), {}
    for step in steps:
        advance(state, step)
        checkpoints.save(Snapshot.of(state))
        seen[step] = bits(state)
    return checkpoints, seen


def test_a_restored_state_has_the_same_bits_and_scalars(tmp_path: Path) -> None:
    state, fresh = make_state(average=True), make_state(average=True)
    advance(state, 3)
    state.best, state.best_step, state.bad_evaluations, state.skipped, state.stopped = 0.1 + 0.2, 2, 1, 4, "enough"
    state.metrics = {"holdout_loss": float("inf")}
    path = Checkpoints(tmp_path, 1).save(Snapshot.of(state))
    restore(fresh, path)
    assert bits(fresh) == bits(state) and fresh.best == 0.1 + 0.2
    assert sorted(p.name for p in path.iterdir()) == [AVERAGE, "manifest.json", MODEL, OPTIMIZER, STATE]


def test_nothing_saved_is_a_fresh_start_and_leftovers_of_a_kill_go(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "none", 1).newest() is None
    (tmp_path / ".tmp-step-000001-ab").mkdir()
    (tmp_path / ".tmp-step-000001-ab" / MODEL).write_bytes(b"half")
    assert Checkpoints(tmp_path, 1).newest() is None
    assert not list(tmp_path.iterdir())


def test_newest_goes_by_step_not_by_time(tmp_path: Path) -> None:
    checkpoints, _ = saved(tmp_path, range(9, 12))
    os.utime(checkpoints.place(9))
    os.utime(checkpoints.place(11), (0, 0))
    found = checkpoints.newest()
    assert found and found.path == checkpoints.place(11) and found.skipped == ()


def damages(place: Path, other: Path) -> list[tuple[str, Any]]:
    """Every file of a checkpoint, damaged in every way."""
    ways: list[tuple[str, Any]] = []
    for path in sorted(place.iterdir()):
        data = path.read_bytes()
        ways += [(path.name, lambda p=path, d=data: p.write_bytes(d[: len(d) // 2])), (path.name, lambda p=path: p.write_bytes(b""))]
        ways += [(path.name, path.unlink), (path.name, lambda p=path: shutil.copyfile(other / p.name, p))]
        generator = random.Random(path.name)
        for _ in range(8):
            at, bit = generator.randrange(len(data)), 1 << generator.randrange(8)
            changed = data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]
            ways.append((path.name, lambda p=path, c=changed: p.write_bytes(c)))
    return ways


def test_each_damage_is_found_and_the_older_one_used(tmp_path: Path) -> None:
    checkpoints, seen = saved(tmp_path / "whole", range(1, 3))
    count = len(damages(checkpoints.place(2), checkpoints.place(1)))
    for index in range(count):
        copy = tmp_path / f"copy{index}"
        shutil.copytree(tmp_path / "whole", copy)
        damaged = Checkpoints(copy, 9)
        name, spoil = damages(damaged.place(2), damaged.place(1))[index]
        spoil()
        found = damaged.newest()
        assert found and found.path == damaged.place(1), f"{index}: {name}"
        assert "step-000002" in found.skipped[0] and (name in found.skipped[0] or name == "manifest.json"), found.skipped
        fresh = make_state()
        restore(fresh, found.path)
        assert bits(fresh) == seen[1]
    assert count == 12 * 4


def test_a_save_cut_at_any_byte_leaves_the_older_one_in_use(tmp_path: Path) -> None:
    """O38: killed at 50 random places of a save: before the rename nothing is listed, after a power cut it is named."""
    checkpoints, seen = saved(tmp_path, range(1, 3))
    whole = {path.name: path.read_bytes() for path in sorted(checkpoints.place(2).iterdir())}
    total, generator = sum(map(len, whole.values())), random.Random(38)
    for _ in range(50):
        cut = generator.randrange(total)
        shutil.rmtree(checkpoints.place(2), ignore_errors=True)
        for place in (tmp_path / ".tmp-step-000002-abcdef01", checkpoints.place(2)):
            place.mkdir()
            left = cut
            for name, data in whole.items():
                if left > 0:
                    (place / name).write_bytes(data[:left])
                left -= len(data)
        found = checkpoints.newest()
        assert found and found.path == checkpoints.place(1) and found.skipped[0].startswith("step-000002: ")
        assert sorted(os.listdir(tmp_path)) == ["step-000001", "step-000002"]
        fresh = make_state()
        restore(fresh, found.path)
        assert bits(fresh) == seen[1]


def test_an_unreadable_file_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints, _ = saved(tmp_path, range(1, 3))
    opened = Path.open

    def refuse(self: Path, *arguments: Any, **named: Any) -> Any:
        if self == checkpoints.place(2) / OPTIMIZER:
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *arguments, **named)

    monkeypatch.setattr(Path, "open", refuse)
    found = checkpoints.newest()
    assert found and found.path == checkpoints.place(1) and OPTIMIZER in found.skipped[0]


def test_no_valid_checkpoint_is_an_error_not_a_fresh_start(tmp_path: Path) -> None:
    checkpoints, _ = saved(tmp_path, range(1, 3))
    for step in (1, 2):
        (checkpoints.place(step) / MODEL).unlink()
    with pytest.raises(CheckpointError, match=r"step-000002: model\.safetensors: missing(.|\n)*step-000001") as caught:
        checkpoints.newest()
    assert caught.value.exit_code == 8 and "--restart" in caught.value.remedy


def test_best_and_last_stay_and_nothing_else(tmp_path: Path) -> None:
    checkpoints, state = Checkpoints(tmp_path, 1), make_state()
    for step in range(1, 7):
        advance(state, step)
        if step == 2:
            state.best_step = 2
        checkpoints.save(Snapshot.of(state))
    assert checkpoints.steps() == [6, 2]
    found = checkpoints.newest()
    assert found and found.path == checkpoints.place(6)


def test_the_old_one_stays_until_the_new_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints, state = Checkpoints(tmp_path, 1), make_state()
    seen = []
    remove = checkpoint._remove

    def watched(path: Path) -> None:
        seen.append((path.name, [step for step in checkpoints.steps() if not checkpoint.damage(checkpoints.place(step))]))
        remove(path)

    monkeypatch.setattr(checkpoint, "_remove", watched)
    for step in range(1, 4):
        advance(state, step)
        checkpoints.save(Snapshot.of(state))
    assert seen == [("step-000001", [2, 1]), ("step-000002", [3, 2])]


def test_damaged_newer_ones_neither_block_a_save_nor_push_out_good_ones(tmp_path: Path) -> None:
    checkpoints, _ = saved(tmp_path, range(1, 5))
    for step in (3, 4):
        (checkpoints.place(step) / STATE).write_text("{}")
    state, kept = make_state(), Checkpoints(tmp_path, 1)
    found = kept.newest()
    assert found
    restore(state, found.path)
    assert state.step == 2
    advance(state, 3)
    kept.save(Snapshot.of(state))
    assert kept.steps() == [3]
    again = kept.newest()
    assert again and again.path == kept.place(3) and again.skipped == ()


def test_saving_the_same_step_again_writes_nothing(tmp_path: Path) -> None:
    checkpoints, state = Checkpoints(tmp_path, 1), make_state()
    before = checkpoints.save(Snapshot.of(state)).stat().st_ino
    assert checkpoints.save(Snapshot.of(state)).stat().st_ino == before


@pytest.mark.parametrize("point", range(6))
def test_a_save_that_fails_anywhere_leaves_the_older_one_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: int) -> None:
    """Each call that reaches the disk fails in its turn, as on a full one."""
    checkpoints, seen = saved(tmp_path, range(1, 2))
    calls = iter(range(100))

    def failing(function: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            if next(calls) == point:
                raise OSError(28, "No space left on device")
            return function(*arguments, **named)

        return call

    for owner, name in ((checkpoint, "save_file"), (Path, "write_text"), (os, "fsync"), (os, "rename")):
        monkeypatch.setattr(owner, name, failing(getattr(owner, name)))
    state = make_state()
    advance(state, 2)
    with pytest.raises(DiskError, match="No space left"):
        checkpoints.save(Snapshot.of(state))
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["step-000001"]
    checkpoints.save(Snapshot.of(state))
    found = checkpoints.newest()
    assert found and found.path == checkpoints.place(2)
    fresh = make_state()
    restore(fresh, checkpoints.place(1))
    assert bits(fresh) == seen[1]


def test_too_little_space_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 90, 10))
    with pytest.raises(DiskError, match="10 B free, a checkpoint takes 88 B"):
        Checkpoints(tmp_path, 1).save(Snapshot.of(make_state()))
    assert not list(tmp_path.iterdir())


class Wrapper(nn.Module):
    """What DistributedDataParallel (`module`) and torch.compile (`_orig_mod`) do to names."""

    def __init__(self, name: str, module: nn.Module) -> None:
        super().__init__()
        self.add_module(name, module)


def test_names_of_wrappers_never_reach_a_file(tmp_path: Path) -> None:
    plain, other = make_state(), make_state()
    advance(plain, 1)
    wrapped: Any = Wrapper("module", Wrapper("_orig_mod", plain.model))
    assert all(name.startswith("module._orig_mod.") for name in wrapped.state_dict())
    Checkpoints(tmp_path / "wrapped", 1).save(Snapshot.of(TrainState(wrapped, plain.update, step=1)))
    Checkpoints(tmp_path / "plain", 1).save(Snapshot.of(plain))
    files = [(tmp_path / name / "step-000001" / MODEL).read_bytes() for name in ("wrapped", "plain")]
    assert files[0] == files[1] and b"_orig_mod" not in files[0]
    load_weights(other.model, tmp_path / "wrapped" / "step-000001")
    again: Any = make_state()
    load_weights(Wrapper("_orig_mod", again.model), tmp_path / "plain" / "step-000001")
    for model in (other.model, again.model):
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), plain.model.parameters(), strict=True))


def test_weights_of_another_model_are_an_error(tmp_path: Path) -> None:
    path = Checkpoints(tmp_path, 1).save(Snapshot.of(make_state()))
    with pytest.raises(CheckpointError, match="2 weights missing"):
        load_weights(nn.Linear(3, 2), path)
    with pytest.raises(CheckpointError, match=r"is \[2, 3\], the model's is \[2, 4\]"):
        load_weights(make_state(width=4).model, path)


def test_another_optimizers_state_is_an_error(tmp_path: Path) -> None:
    state = make_state()
    path = Checkpoints(tmp_path, 1).save(Snapshot.of(state))
    state.update.tensors["other"] = torch.zeros(1)  # type: ignore[attr-defined]
    with pytest.raises(CheckpointError, match="does not fit this training run: 'other'"):
        restore(state, path)


def test_tied_weights_are_written_once(tmp_path: Path) -> None:
    model: Any = nn.ModuleDict({"a": nn.Linear(2, 2, bias=False), "b": nn.Linear(2, 2, bias=False)})
    model["b"].weight = model["a"].weight
    assert list(weights_of(model)) == ["a.weight"]
    Checkpoints(tmp_path, 1).save(Snapshot.of(TrainState(model, Momentum(model))))
