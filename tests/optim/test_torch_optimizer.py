"""The bridge to torch's and pytorch-optimizer's classes, and 8-bit AdamW where there is no CUDA."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from ropewalk.core.errors import CheckpointError, ConfigError, MissingExtra
from ropewalk.models.gpt import GPT
from ropewalk.optim.adamw8bit import AdamW8Bit
from ropewalk.optim.groups import decays
from ropewalk.optim.torch_optimizer import TorchOptimizer
from ropewalk.optim.torch_update import TorchUpdate


def module() -> nn.Module:
    return GPT(preset="qwen3-tiny", depth=1, width=16, heads=2, context=16).build(23, seed=0)


def gradients(net: nn.Module, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for parameter in net.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def test_the_factor_scales_the_rate_and_norms_do_not_decay() -> None:
    ours, theirs = module(), module()
    update = TorchOptimizer(name="AdamW", lr=0.02, arguments={"weight_decay": 0.1, "betas": [0.9, 0.95]}).build(
        list(ours.named_parameters())
    )
    decaying, others = ([p for n, p in theirs.named_parameters() if decays(n, p) == yes] for yes in (True, False))
    reference = torch.optim.AdamW([{"params": decaying, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}], 0.01, (0.9, 0.95))
    for step in range(3):
        gradients(ours, step)
        gradients(theirs, step)
        update.step(0.5)
        reference.step()
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    update.zero_grad()
    before = [parameter.clone() for parameter in ours.parameters()]
    update.step(1.0)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), before, strict=True)), "no gradients: nothing moves"


def test_what_cannot_be_used_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    named = list(module().named_parameters())
    with pytest.raises(ConfigError, match="computes the loss again"):
        TorchOptimizer(name="LBFGS").build(named)
    with pytest.raises(ConfigError, match=r"RMSprop\(lr, alhpa\)"):
        TorchOptimizer(name="RMSprop", arguments={"alhpa": 0.9}).build(named)
    with pytest.raises(ConfigError, match="Muon"):
        TorchOptimizer(name="Muon").build(named)
    pytest.importorskip("pytorch_optimizer")
    with pytest.raises(ConfigError, match="did you mean 'Lion'"):
        TorchOptimizer(name="Lionn").build(named)
    monkeypatch.setitem(sys.modules, "pytorch_optimizer", None)
    with pytest.raises(MissingExtra, match="torch has no Lion"):
        TorchOptimizer(name="Lion").build(named)


def test_a_state_that_is_no_tensor_or_number_is_refused() -> None:
    parameter = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    update = TorchUpdate(optimizer, [("weight", parameter)])
    optimizer.state[parameter] = {"nested": [torch.ones(1), {"count": 3, "share": 0.5, "on": True, "off": None, "none": []}]}
    state = update.state()
    again = torch.optim.SGD([parameter], lr=0.1)
    TorchUpdate(again, [("weight", parameter)]).load(state)
    assert again.state[parameter] == optimizer.state[parameter]
    with pytest.raises(KeyError):
        update.load({**state, "state.other.x": torch.ones(1)})
    optimizer.state[parameter] = {"name": "sgd"}
    with pytest.raises(CheckpointError, match="keeps a str"):
        update.state()


def test_eight_bits_want_a_gpu() -> None:
    with pytest.raises(MissingExtra, match="needs a CUDA device"):
        AdamW8Bit().build(list(module().named_parameters()))
