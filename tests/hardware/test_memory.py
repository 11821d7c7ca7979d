"""The micro-batch that a device takes."""

from __future__ import annotations

import pytest

from ropewalk.hardware.memory import POSITIONS_AT_ONCE, default_micro_batch


@pytest.mark.parametrize("device", ["cpu", "cuda:1", "mps"])
def test_parts_are_even_and_fit(device: str) -> None:
    for sequences in range(1, 70):
        for length in (1, 64, 256, 1000, 100_000):
            size = default_micro_batch(sequences, length, device)
            assert 1 <= size <= sequences
            assert size == 1 or size * length <= POSITIONS_AT_ONCE.get(device.split(":")[0], POSITIONS_AT_ONCE["cpu"])


def test_24_sequences_become_two_halves_on_a_cpu() -> None:
    assert default_micro_batch(24, 256, "cpu") == 12
    assert default_micro_batch(33, 256, "cpu") == 11
