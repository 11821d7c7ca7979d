"""What is made again on the way back gives the same bits, and is really not kept."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ropewalk.models import remade_module
from ropewalk.models.gpt import GPT
from ropewalk.models.remade_module import remade


@pytest.fixture(autouse=True)
def _small_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remade_module, "LEAST_BYTES", 0)


def gradients(fields: dict[str, Any], thrifty: bool, monkeypatch: pytest.MonkeyPatch, device_type: str = "") -> list[torch.Tensor]:
    module = GPT(**fields, depth=2, width=32, heads=4, context=16).build(41, seed=1).train()
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=draw) * 0.1)
    if not thrifty:
        monkeypatch.setattr(remade_module.remade, "__enter__", lambda self: None)
        monkeypatch.setattr(remade_module.remade, "__exit__", lambda self, *error: None)
    torch.manual_seed(3)
    with torch.autocast("cpu", torch.bfloat16, enabled=device_type == "bf16"):
        found = module(torch.arange(48).view(3, 16) % 41)
    found.float().square().sum().backward()
    monkeypatch.undo()
    return [parameter.grad for parameter in module.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("preset", ["gpt2-tiny", "llama-tiny", "qwen3-tiny"])
def test_gradients_are_the_same_bits(preset: str, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remade_module, "LEAST_BYTES", 0)
    thrifty = gradients({"preset": preset, "dropout": 0.1}, True, monkeypatch, precision)
    plain = gradients({"preset": preset, "dropout": 0.1}, False, monkeypatch, precision)
    assert len(plain) > 10 and all(torch.equal(one, other) for one, other in zip(thrifty, plain, strict=True))


def test_what_was_made_is_not_kept() -> None:
    linear, source = nn.Linear(8, 8), torch.randn(4, 3, 8, requires_grad=True)
    made = F.silu(source)
    with remade(made, F.silu, source):
        result = linear(made)
    gone = weakref.ref(made.untyped_storage())
    del made
    assert gone() is None
    (ours,) = torch.autograd.grad(result.square().sum(), [linear.weight])
    (theirs,) = torch.autograd.grad(linear(F.silu(source)).square().sum(), [linear.weight])
    assert torch.equal(ours, theirs)


def test_small_tensors_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remade_module, "LEAST_BYTES", 1 << 20)
    source = torch.randn(4, 8, requires_grad=True)
    made = F.silu(source)
    with remade(made, lambda tensor: 1 / 0, source):  # type: ignore[return-value]
        result = nn.Linear(8, 8)(made)
    result.sum().backward()
    assert source.grad is not None


@pytest.mark.parametrize("preset", ["gpt2-tiny", "llama-tiny"])
def test_a_third_less_is_kept(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that a block holds between forward and backward, weights left out."""

    def kept(block_is_thrifty: bool) -> int:
        block = GPT(preset=preset, depth=1, width=64, heads=4, context=64).build(41, seed=1).train().blocks[0]
        rotary = (torch.ones(64, 8), torch.zeros(64, 8)) if preset == "llama-tiny" else None
        weights = {parameter.untyped_storage().data_ptr() for parameter in block.parameters()}
        sizes: dict[int, int] = {}
        original = remade.__init__

        def note(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                sizes[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
            return tensor

        def noting(self: remade, *arguments: Any) -> None:
            original(self, *arguments)
            pack = self.pack_hook
            self.pack_hook = lambda tensor: note(found) if isinstance(found := pack(tensor), torch.Tensor) else found

        alive: list[torch.Tensor] = []
        with monkeypatch.context() as patched, torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            patched.setattr(remade, "__init__", noting)
            block(torch.randn(2, 64, 64, requires_grad=True), rotary, None, None, 0, block_is_thrifty)
        return sum(sizes.values())

    assert kept(True) < 0.75 * kept(False)
