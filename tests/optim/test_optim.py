"""Optimizers against torch's, groups by rule, bitwise resume; schedules stay in [0, 1] (cases O31, O32)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from ropewalk.core.component import lookup
from ropewalk.models.gpt import GPT
from ropewalk.optim.adamw import AdamW
from ropewalk.optim.groups import decays, is_hidden_matrix
from ropewalk.optim.muon import Muon, _by_gram, _by_matrix, orthogonal
from ropewalk.optim.optimizer import Optimizer
from ropewalk.optim.schedules import Schedule


def module(**fields: Any) -> nn.Module:
    return GPT(preset="qwen3-tiny", depth=2, width=16, heads=2, context=16, **fields).build(23, seed=0)


def gradients(net: nn.Module, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for parameter in net.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def test_adamw_equals_torchs() -> None:
    ours, theirs = module(), module()
    update = AdamW(lr=0.01, weight_decay=0.1).build(list(ours.named_parameters()))
    groups = [
        {"params": [p for n, p in theirs.named_parameters() if decays(n, p) == yes], "weight_decay": 0.1 * yes} for yes in (True, False)
    ]
    reference = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.95))
    for step in range(5):
        gradients(ours, step)
        gradients(theirs, step)
        update.step(0.5)
        for group in reference.param_groups:
            group["lr"] = 0.005
        reference.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(mine, other, atol=1e-6)


@pytest.mark.parametrize("tied", [True, False])
def test_rules_keep_embeddings_heads_and_norms_out_of_muon(tied: bool) -> None:
    hidden = {name for name, parameter in module(tied=tied).named_parameters() if is_hidden_matrix(name, parameter)}
    assert hidden == {f"blocks.{i}.{part}.weight" for i in (0, 1) for part in ("attention.qkv", "attention.out", "mlp.up", "mlp.down")}
    decaying = {name for name, parameter in module(tied=tied).named_parameters() if decays(name, parameter)}
    assert decaying == hidden | (set() if tied else {"head.weight"})
    assert not is_hidden_matrix("lora_a.weight", nn.Parameter(torch.ones(2, 2))) and not is_hidden_matrix(
        "lm_head.weight", nn.Parameter(torch.ones(2, 2))
    )


@pytest.mark.parametrize("shape", [(8, 8), (8, 24), (24, 8)])
def test_newton_schulz_makes_singular_values_about_one(shape: tuple[int, int]) -> None:
    stack = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonal(stack, 5))
    assert values.min() > 0.5 and values.max() < 1.3
    alone = orthogonal(stack[1:2], 5)[0]
    assert torch.allclose(alone, orthogonal(stack, 5)[1], atol=1e-5)


@pytest.mark.parametrize("spread", [1.0, 1e-2, 1e-4])
def test_the_small_side_gives_the_same_as_the_whole_matrix(spread: float) -> None:
    """Singular values over several orders of magnitude, as gradients have them."""
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.linalg.qr(torch.randn(size, 24, generator=generator))[0] for size in (24, 96))
    matrix = (left * torch.logspace(0, float(torch.tensor(spread).log10()), 24)) @ right.T
    matrix = (matrix / matrix.norm()).unsqueeze(0)
    exact = _by_matrix(matrix.double(), 5)
    assert (_by_gram(matrix, 5) - exact).abs().max() < 1e-3 and (_by_matrix(matrix, 5) - exact).abs().max() < 1e-3
    assert torch.equal(_by_gram(matrix, 0), matrix)


def test_muon_moves_hidden_matrices_by_the_learning_rate() -> None:
    net = module()
    update = Muon(lr=0.02, adam_lr=0.01).build(list(net.named_parameters()))
    before = {name: parameter.clone() for name, parameter in net.named_parameters()}
    gradients(net, 0)
    update.step(0.5)
    change = before["blocks.0.attention.qkv.weight"] - dict(net.named_parameters())["blocks.0.attention.qkv.weight"]
    assert torch.linalg.svdvals(change).max() < 0.02 * 0.5 * 3**0.5 * 1.3
    assert (before["embed.weight"] - net.get_parameter("embed.weight")).abs().max() <= 0.01 * 0.5 * 1.001
    update.zero_grad()
    assert all(parameter.grad is None for parameter in net.parameters())
    update.step(1.0)  # nothing has a gradient: nothing moves


RESUMED = [{"type": tag, "weight_decay": 0.1} for tag in sorted(lookup(Optimizer)) if tag not in ("adamw8bit", "torch_optimizer")]
RESUMED += [{"type": tag, "every": 2, "largest": 20} for tag in ("shampoo", "soap")]
TORCHS = ("RMSprop", "Adafactor", "NAdam", "Lion", "Prodigy", "AdEMAMix", "SOAP")
RESUMED += [{"type": "torch_optimizer", "name": name} for name in TORCHS]


@pytest.mark.parametrize("fields", RESUMED, ids=lambda fields: "-".join(str(value) for value in fields.values()))
def test_a_resumed_optimizer_goes_on_bit_for_bit(fields: dict[str, Any]) -> None:
    if fields.get("name") in TORCHS[3:]:
        pytest.importorskip("pytorch_optimizer")
    optimizer = Optimizer.model_validate(fields)
    straight, broken = module(), module()
    updates = [optimizer.build(list(net.named_parameters())) for net in (straight, broken)]
    for step in range(6):
        if step == 3:
            state = {name: tensor.clone() for name, tensor in updates[1].state().items()}
            updates[1] = optimizer.build(list(broken.named_parameters()))
            updates[1].load(state)
            with pytest.raises(KeyError):
                updates[1].load({**state, "extra": torch.ones(1)})
            with pytest.raises(KeyError):
                updates[1].load({name: tensor for name, tensor in state.items() if "qkv" not in name})
        for net, update in zip((straight, broken), updates, strict=True):
            gradients(net, step)
            update.step(0.7)
    assert all(torch.equal(a, b) for a, b in zip(straight.parameters(), broken.parameters(), strict=True))


@pytest.mark.parametrize("tag", sorted(lookup(Schedule)))
@pytest.mark.parametrize("total", [1, 2, 7, 100])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 1.0])
def test_factors_stay_between_nought_and_one_and_clamp_past_the_end(tag: str, total: int, warmup: float) -> None:
    schedule = Schedule.model_validate({"type": tag, "warmup": warmup})
    factors = [schedule.factor(step, total) for step in range(total + 640)]
    assert all(0 <= factor <= 1 for factor in factors) and len(set(factors[total - 1 :])) == 1


@pytest.mark.parametrize("tag", ["linear", "cosine", "wsd"])
def test_the_last_update_has_the_final_factor_not_before(tag: str) -> None:
    schedule = Schedule.model_validate({"type": tag, "warmup": 0.1, "final": 0.1})
    factors = [schedule.factor(step, 50) for step in range(50)]
    assert factors[0] == pytest.approx(0.2) and max(factors) == 1 and factors[-1] == pytest.approx(0.1) and factors[-2] > 0.1 + 1e-4
    assert schedule.factor(10, 50) >= schedule.factor(30, 50) >= schedule.factor(49, 50)
