"""The training log: each step once, also after a resume; nothing hidden."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ropewalk.core.errors import DiskError
from ropewalk.core.events import Ended, Evaluated, Recovered, Saved, Started, StepEnded
from ropewalk.train.listeners.event_log import EventLog


def step(number: int, loss: float = 2.0) -> StepEnded:
    return StepEnded(number, 9, loss, 0.1, 1.0, 64, 0.123, {"predicted": 60})


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_it_holds_what_is_no_matter_of_the_clock(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "a" / "log.jsonl", 0)
    for event in (
        Started(0, 9),
        step(1),
        Evaluated(1, {"holdout_loss": 3.0}, True),
        Saved(1, tmp_path, 0.2),
        Recovered(2, "x"),
        Ended(9, "y"),
    ):
        log(event)
    log.close()
    assert rows(tmp_path / "a" / "log.jsonl") == [
        {"event": "step", "step": 1, "loss": 2.0, "learning_rate": 0.1, "gradient_norm": 1.0, "tokens": 64, "predicted": 60},
        {"event": "evaluated", "step": 1, "holdout_loss": 3.0, "best": True},
        {"event": "recovered", "step": 2, "what": "x"},
        {"event": "ended", "step": 9, "reason": "y"},
    ]


def test_a_resumed_log_has_every_step_once(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = EventLog(path, 0)
    log(step(1))
    offset = log.sync()
    log(step(2))
    log.close()
    with path.open("a") as file:
        file.write('{"event": "st')  # the kill cut a line
    log = EventLog(path, offset)
    assert log.sync() == offset
    log(step(2))
    log(step(3))
    log.close()
    assert [row["step"] for row in rows(path)] == [1, 2, 3]


def test_a_fresh_start_empties_an_old_log(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("old\n")
    EventLog(path, 0).close()
    assert path.read_text() == ""


def test_a_log_that_lost_its_end_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("short\n")
    EventLog(path, 100).close()
    assert "holds 6 of 100 bytes" in caplog.text and path.read_text() == "short\n"


def test_not_a_number_is_visible(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "log.jsonl", 0)
    log(step(1, float("nan")))
    log(Evaluated(1, {"holdout_loss": float("inf")}, False))
    log.close()
    assert [row.get("loss", row.get("holdout_loss")) for row in rows(tmp_path / "log.jsonl")] == ["nan", "inf"]


def test_a_failing_disk_is_a_disk_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError):
        EventLog(tmp_path / "file" / "log.jsonl", 0)
    log = EventLog(tmp_path / "log", 0)

    def fail(*arguments: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(DiskError, match="Input/output error"):
        log.sync()
    log.close()
