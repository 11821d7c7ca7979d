"""Compiling is in place, keeps every name, and is undone when it fails."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from ropewalk.hardware.compile import WORTH_FLOPS, compiled, wants_compile


def test_auto_is_for_long_runs_on_a_gpu() -> None:
    assert wants_compile("auto", "cuda", WORTH_FLOPS) and not wants_compile("auto", "cuda:1", WORTH_FLOPS / 2)
    assert not wants_compile("auto", "cpu", 1e30) and wants_compile("on", "cpu", 0) and not wants_compile("off", "cuda", 1e30)


def test_names_stay_and_a_failure_is_undone(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch makes of a module is torch's to test; importing its compiler costs seconds."""
    module, x = nn.Linear(3, 2), torch.ones(1, 3)
    before, names = module(x), list(module.state_dict())

    def fake(self: nn.Module, **options: object) -> None:
        self._compiled_call_impl = lambda given: given * 0  # type: ignore[assignment]

    def fails() -> None:
        assert not module(x).any(), "the compiled module is what is tried"
        raise RuntimeError("no compiler\nmore words")

    monkeypatch.setattr(nn.Module, "compile", fake)
    monkeypatch.setattr(logging.getLogger("ropewalk"), "propagate", True)
    with caplog.at_level(logging.WARNING):
        assert not compiled(module, fails)
    assert "off: RuntimeError: no compiler" in caplog.text and torch.equal(module(x), before)
    assert compiled(module, lambda: module(x)) and list(module.state_dict()) == names and not module(x).any()
