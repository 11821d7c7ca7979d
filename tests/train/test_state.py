"""TrainState's scalars."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest

from ropewalk.train.state import SCALARS, TrainState

NOTHING: Any = None


def test_every_field_is_a_tensor_holder_or_a_scalar_that_is_saved() -> None:
    assert {field.name for field in fields(TrainState)} == {"model", "update", "average", *SCALARS}


def test_scalars_go_through_json_unchanged() -> None:
    state = TrainState(NOTHING, NOTHING, step=3, best=0.1 + 0.2, stopped="x", metrics={"holdout_loss": 1.5}, log_offset=7)
    fresh = TrainState(NOTHING, NOTHING)
    fresh.set_scalars(json.loads(json.dumps(state.scalars())))
    assert fresh == state


def test_a_missing_or_unknown_scalar_is_named() -> None:
    values = TrainState(NOTHING, NOTHING).scalars()
    del values["best"]
    with pytest.raises(KeyError, match="best, extra"):
        TrainState(NOTHING, NOTHING).set_scalars({**values, "extra": 1})
