"""Training an adapter: all of it moves, nothing else does, and a stop changes no bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from preference_kit import make_answers
from ropewalk.core.events import StepEnded
from ropewalk.data.loader import Loader
from ropewalk.models.adapter_module import adapted_layers
from ropewalk.models.lora import LoRA
from ropewalk.optim.adamw import AdamW
from ropewalk.optim.muon import Muon
from ropewalk.optim.optimizer import Optimizer
from ropewalk.optim.schedules import Constant
from ropewalk.tasks.dpo import DPO
from ropewalk.tasks.kto import KTO
from ropewalk.tasks.task import Task
from ropewalk.train.checkpoint import restore
from ropewalk.train.state import TrainState
from training_kit import PLAIN, Run, make_state, make_tokens, plan, weights


def adapted(optimizer: Optimizer | None = None, *, average: bool = False, **fields: Any) -> TrainState:
    """A fresh state in which only an adapter is trained."""
    state = make_state(PLAIN)
    LoRA.model_validate({"rank": 2, **fields}).attach(state.model, 5)
    named = [(name, parameter) for name, parameter in state.model.named_parameters() if parameter.requires_grad]
    copy = {name: parameter.detach().clone() for name, parameter in named} if average else None
    return TrainState(state.model, (optimizer or AdamW(lr=0.01)).build(named), copy)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_one_step_moves_every_b_and_no_weight_of_the_base(tmp_path: Path, checkpointing: bool) -> None:
    """O42: also with activation checkpointing, with which others trained nothing."""
    loader = Loader(make_tokens(tmp_path / "tokens", [20] * 8, 19), "train", 4, seed=3)
    state = adapted()
    state.model.checkpointing = checkpointing
    before = {name: tensor.clone() for name, tensor in state.model.state_dict().items()}
    Run(tmp_path).go(state, loader, plan(1), schedule=Constant())
    after = state.model.state_dict()
    assert all(float(matrix.detach().abs().max()) > 0 for _, layer in adapted_layers(state.model) for matrix in layer.lora_B.values())
    frozen = [name for name in before if ".lora_" not in name]
    assert len(frozen) > 10 and all(before[name].numpy().tobytes() == after[name].numpy().tobytes() for name in frozen)


def test_checkpoints_and_optimizer_hold_the_adapter_only(tmp_path: Path) -> None:
    loader = Loader(make_tokens(tmp_path / "tokens", [20] * 8, 19), "train", 4, seed=3)
    run, state = Run(tmp_path), adapted(average=True)
    run.go(state, loader, plan(2, average_decay=0.9))
    for name in ("model", "optimizer", "average"):
        found = load_file(run.checkpoints.place(2) / f"{name}.safetensors")
        assert found and all(".lora_" in key for key in found), name


@pytest.mark.parametrize(
    ("optimizer", "task", "fields"),
    [(AdamW(lr=0.01), DPO(beta=0.2), {}), (Muon(lr=0.02), DPO(form="ipo"), {"magnitude": True}), (AdamW(lr=0.01), KTO(), {})],
    ids=["lora-dpo", "dora-ipo-muon", "lora-kto"],
)
def test_resuming_a_preference_training_gives_the_same_bits(
    tmp_path: Path, optimizer: Optimizer, task: Task, fields: dict[str, Any]
) -> None:
    """O39 for adapters on pairs: weights, optimizer, average and log, from each step, with a reference and accumulation."""
    sizes = [(5 + n % 4, *((3 + n % 5, 2 + n % 3) if task.reads == "pairs" else (4 * (n % 2), 3 * ((n + 1) % 2), 4))) for n in range(11)]
    tokens = make_answers(tmp_path / "answers", sizes)
    reference = np.random.default_rng(0).normal(-9, 1, (11, tokens.answers)).astype(np.float32)
    columns = {} if task.whole_batch else {"reference": reference}
    loader = Loader(tokens, "train", 4, seed=3, columns=columns)
    chosen = plan(6, save_every=1, average_decay=0.9, clip=1.0, micro_batch=4 if task.whole_batch else 2)
    whole, state = Run(tmp_path / "whole"), adapted(optimizer, average=True, **fields)
    whole.go(state, loader, chosen, task=task)
    expected, log = weights(state), whole.log_path.read_bytes()
    assert b'"accuracy"' in log and b'"kl"' in log
    for step in range(1, 6):
        again, state = Run(tmp_path / f"from{step}"), adapted(optimizer, average=True, **fields)
        restore(state, whole.checkpoints.place(step))
        again.log_path.parent.mkdir()
        again.log_path.write_bytes(log)
        again.go(state, loader, chosen, task=task)
        assert weights(state) == expected and again.log_path.read_bytes() == log, f"from step {step}"


def test_dpo_without_an_adapter_learns_to_prefer(tmp_path: Path) -> None:
    tokens = make_answers(tmp_path / "answers", [(6, 4, 5)] * 8)
    reference = np.full((8, 2), -12.0, np.float32)
    loader = Loader(tokens, "train", 8, seed=3, columns={"reference": reference})
    run = Run(tmp_path)
    run.go(make_state(PLAIN, AdamW(lr=0.01)), loader, plan(12), task=DPO(), schedule=Constant())
    steps = run.of(StepEnded)
    assert steps[-1].loss < 0.7 * steps[0].loss and steps[-1].facts["accuracy"] == 1.0
    assert steps[-1].facts["margin"] > steps[0].facts["margin"] and steps[0].facts["predicted"] == 8
    assert torch.isfinite(torch.tensor(steps[-1].facts["kl"]))
