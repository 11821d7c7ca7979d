"""Inverse square root and one cycle: their course, and that both clamp (any lengths)."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.optim.schedules import InverseSquareRoot, OneCycle, Schedule

SHARES = st.floats(0, 1)


@pytest.mark.parametrize("tag", ["inverse_sqrt", "one_cycle", "cosine", "linear", "wsd"])
@given(total=st.integers(1, 3000), warmup=SHARES, final=SHARES, step=st.integers(0, 5000))
def test_factors_are_shares_and_stay_where_they_ended(tag: str, total: int, warmup: float, final: float, step: int) -> None:
    schedule = Schedule.model_validate({"type": tag, "warmup": warmup, "final": final})
    assert 0 <= schedule.factor(step, total) <= 1
    assert schedule.factor(total + step, total) == schedule.factor(total - 1, total)


def test_inverse_square_root_halves_in_four_times_the_updates() -> None:
    schedule = InverseSquareRoot(warmup=0.01, final=0.06)
    assert schedule.factor(4, 1000) == 0.5 and schedule.factor(9, 1000) == 1.0
    assert schedule.factor(39, 1000) == pytest.approx(0.5) and schedule.factor(159, 1000) == pytest.approx(0.25)
    assert schedule.factor(999, 1000) == pytest.approx(math.sqrt(10 / 1000)) and InverseSquareRoot(final=0.5).factor(999, 1000) == 0.5


def test_one_cycle_equals_torchs() -> None:
    parameter = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=101, pct_start=0.31, div_factor=25, final_div_factor=1e3
    )
    ours = OneCycle(warmup=0.297, start=0.04, final=0.04e-3)  # the 31st of 101 updates is the top in both
    for step in range(101):
        assert ours.factor(step, 101) == pytest.approx(optimizer.param_groups[0]["lr"], abs=0.02)
        optimizer.step()
        if step < 100:
            theirs.step()
    assert ours.factor(0, 101) == 0.04 and max(ours.factor(step, 101) for step in range(101)) == 1.0
