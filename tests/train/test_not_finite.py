"""A loss or gradient that is not finite moves nothing and is never hidden (O35)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ropewalk.core.errors import NotFinite
from ropewalk.core.events import Ended, Recovered, StepEnded
from ropewalk.data.loader import Loader
from ropewalk.models.gpt_module import Decoder
from ropewalk.optim.schedules import Linear
from ropewalk.tasks.lm import LanguageModelling
from ropewalk.tasks.task import Loss, TorchBatch
from ropewalk.train.checkpoint import restore
from ropewalk.train.refusals import MAX_IN_A_ROW
from training_kit import PLAIN, Run, make_state, make_tokens, plan, weights


class _Spoilt(torch.autograd.Function):
    """The loss unchanged, and an infinite gradient for one parameter."""

    @staticmethod
    def forward(ctx: Any, total: Tensor, parameter: Tensor) -> Tensor:
        ctx.save_for_backward(parameter)
        return total.clone()

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, Tensor]:
        return outer[0], torch.full_like(ctx.saved_tensors[0], torch.inf)


class Poisoned(LanguageModelling):
    """Spoils the batches whose first tokens are listed, in the loss or only on the way back."""

    firsts: tuple[tuple[int, ...], ...] = ()
    value: float = 0.0
    in_gradient: bool = False

    def loss(self, model: Decoder, batch: TorchBatch) -> Loss:
        found = super().loss(model, batch)
        if tuple(batch.tokens[0].tolist()) not in self.firsts:
            return found
        if self.in_gradient:
            return Loss(_Spoilt.apply(found.total, model.get_parameter("blocks.0.norm1.weight")), found.weight)
        return Loss(found.total / self.value, found.weight)


def poisoned(loader: Loader, *positions: int, gradient: bool = False) -> Poisoned:
    """Spoils the batches at these positions."""
    firsts = tuple(tuple(loader.at(position).tokens[0].tolist()) for position in positions)
    return Poisoned(firsts=firsts, in_gradient=gradient)


@pytest.fixture
def loader(tmp_path: Path) -> Loader:
    return Loader(make_tokens(tmp_path / "tokens", [20] * 40, 19), "train", 4, seed=3)


@pytest.mark.parametrize("gradient", [False, True])
def test_by_default_the_run_stops_before_the_update(tmp_path: Path, loader: Loader, gradient: bool) -> None:
    run, state = Run(tmp_path), make_state()
    with pytest.raises(NotFinite, match=r"step 3: loss is .*; no update was made from it") as caught:
        run.go(state, loader, plan(6), task=poisoned(loader, 2, gradient=gradient))
    assert caught.value.exit_code == 6 and "on_not_finite: skip" in caught.value.remedy
    rows = [json.loads(line) for line in run.log_path.read_text().splitlines()]
    assert [row["step"] for row in rows if row["event"] == "step"] == [1, 2]
    assert rows[-1]["event"] == "ended" and ("inf" in rows[-1]["reason"] or "nan" in rows[-1]["reason"])
    assert run.checkpoints.steps() == [2], "saved, so that another policy can go on from here"


def test_the_weights_at_the_stop_are_those_before_it(tmp_path: Path, loader: Loader) -> None:
    state, other = make_state(), make_state()
    with pytest.raises(NotFinite):
        Run(tmp_path / "a").go(state, loader, plan(6), task=poisoned(loader, 2))
    seen = []
    Run(tmp_path / "b").go(
        other, loader, plan(6), listener=lambda event: seen.append(weights(other)) if isinstance(event, StepEnded) else None
    )
    assert weights(state) == seen[1]


def test_a_skipped_batch_is_as_if_it_did_not_exist(tmp_path: Path, loader: Loader) -> None:
    """Weights, rates and steps are those of a run whose data lack it; the count is kept, also over a resume."""
    run, state = Run(tmp_path / "skip"), make_state(PLAIN, average=True)
    chosen = plan(6, on_not_finite="skip", save_every=1, average_decay=0.5)
    run.go(state, loader, chosen, task=poisoned(loader, 2), schedule=Linear())
    assert state.skipped == 1 and state.step == 6
    [told] = run.of(Recovered)
    assert told.step == 3 and "loss is" in told.what and told.what.endswith("batch left out (1 so far)")

    class Without(Loader):
        """The same data without batch 2."""

        def indices(self, step: int) -> NDArray[np.int64]:
            return super().indices(step + (step >= 2))

    clean, other = Run(tmp_path / "clean"), make_state(PLAIN, average=True)
    clean.go(other, Without(loader.store, "train", 4, seed=3), chosen, schedule=Linear())
    assert weights(other) == weights(state)
    assert [told.learning_rate for told in clean.of(StepEnded)] == [told.learning_rate for told in run.of(StepEnded)]
    assert [told.tokens for told in clean.of(StepEnded)] == [told.tokens for told in run.of(StepEnded)]

    for step in (2, 3, 4):
        again, fresh = Run(tmp_path / f"again{step}"), make_state(PLAIN, average=True)
        restore(fresh, run.checkpoints.place(step))
        again.go(fresh, loader, chosen, task=poisoned(loader, 2), schedule=Linear())
        assert weights(fresh) == weights(state) and fresh.skipped == 1


def test_five_in_a_row_stop_the_run_whatever_the_policy(tmp_path: Path, loader: Loader) -> None:
    run, state = Run(tmp_path), make_state()
    bad = range(1, 1 + MAX_IN_A_ROW)
    with pytest.raises(NotFinite, match="as in the 4 batches before"):
        run.go(state, loader, plan(4, on_not_finite="skip"), task=poisoned(loader, *bad))
    assert len(run.of(Recovered)) == 4 and run.of(Ended)[0].step == 1
    fine = Run(tmp_path / "fine").go(make_state(), loader, plan(4, on_not_finite="skip"), task=poisoned(loader, 1, 2, 3, 4, 6))
    assert fine.skipped == 5 and fine.step == 4
