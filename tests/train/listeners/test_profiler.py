"""The profiler records the updates that were asked for and changes none of them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from ropewalk.data.loader import Loader
from ropewalk.train.listeners.profiler import TABLE_FILE, TRACE_FILE, Profile, Profiler
from training_kit import Run, make_state, make_tokens, plan, weights


@pytest.fixture
def loader(tmp_path: Path) -> Loader:
    return Loader(make_tokens(tmp_path / "tokens", [20] * 16, 19), "train", 4, seed=3)


def test_it_leaves_a_trace_and_a_table(tmp_path: Path, loader: Loader) -> None:
    watched, plain = make_state(), make_state()
    Run(tmp_path / "a").go(watched, loader, plan(5), listener=Profiler(Profile(after=1, steps=2), tmp_path / "profile"))  # type: ignore[arg-type]
    Run(tmp_path / "b").go(plain, loader, plan(5))
    assert weights(watched) == weights(plain)
    rows = json.loads((tmp_path / "profile" / TABLE_FILE).read_text())
    assert any("mm" in row["name"] for row in rows) and all(row["calls"] > 0 for row in rows)
    seconds = [row["own_seconds"] for row in rows]
    assert seconds == sorted(seconds, reverse=True)
    with gzip.open(tmp_path / "profile" / TRACE_FILE) as file:
        assert json.load(file)["traceEvents"]


def test_a_run_that_ends_first_is_written_too(tmp_path: Path, loader: Loader) -> None:
    Run(tmp_path).go(make_state(), loader, plan(2), listener=Profiler(Profile(after=1, steps=99), tmp_path / "profile"))  # type: ignore[arg-type]
    assert (tmp_path / "profile" / TABLE_FILE).is_file()
