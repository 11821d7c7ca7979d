"""Devices and precisions: what auto means here, and clear words for what is missing."""

from __future__ import annotations

import pytest
import torch

from ropewalk.core.errors import MissingExtra
from ropewalk.hardware.device import pick_device
from ropewalk.hardware.precision import resolve_precision


def test_auto_is_what_the_machine_has() -> None:
    assert pick_device("cpu") == "cpu" and pick_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    assert pick_device("meta") == "meta"


def test_missing_devices_name_the_way_out() -> None:
    with pytest.raises(MissingExtra, match="can't be used"):
        pick_device("abacus")
    if not torch.cuda.is_available():
        with pytest.raises(MissingExtra, match="device: auto or cpu"):
            pick_device("cuda:0")


def test_precision_follows_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        resolve_precision("auto", "cpu") == "fp32"
        and resolve_precision("bf16", "cpu") == "bf16"
        and resolve_precision("fp32", "cuda") == "fp32"
    )
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    assert resolve_precision("auto", "cuda") == "bf16"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    assert resolve_precision("auto", "cuda") == "fp32"
    with pytest.raises(MissingExtra, match="precision: fp32"):
        resolve_precision("bf16", "cuda")
