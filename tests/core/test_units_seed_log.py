"""Units as people write them, named seeds, log lines that data can't forge, progress texts."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from ropewalk.core.events import Ended, StepEnded, StopRequest, every
from ropewalk.core.log import LOGGER, LogFile, Progress, safe_text, set_up_console
from ropewalk.core.measure import Meter
from ropewalk.core.seed import derive, numpy_generator, torch_generator
from ropewalk.core.units import Bytes, Count, Seconds, show_bytes, show_count, show_seconds


@pytest.mark.parametrize(
    ("text", "value"), [("300k", 300_000), ("2M", 2_000_000), ("1.5k", 1500), ("1e3", 1000), ("7", 7), (8, 8), ("1_000", 1000)]
)
def test_counts(text: str | int, value: int) -> None:
    assert TypeAdapter(Count).validate_python(text) == value


@pytest.mark.parametrize("text", ["1.2345k", "5x", "k", "-3k", "nan", "1 2"])
def test_bad_counts_are_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Count).validate_python(text)


def test_bytes_and_seconds() -> None:
    assert TypeAdapter(Bytes).validate_python("4GiB") == 4 << 30 and TypeAdapter(Bytes).validate_python("1.5 MB") == 1_500_000
    assert TypeAdapter(Seconds).validate_python("10m") == 600 and TypeAdapter(Seconds).validate_python(2.5) == 2.5


def test_shown_numbers() -> None:
    assert [show_count(n) for n in (0, 999, 1234, 2_500_000, 3e9, 4e12, 0.5)] == ["0", "999", "1.23k", "2.5M", "3G", "4T", "0.5"]
    assert [show_bytes(n) for n in (12, 2048, 5 << 20, 3 << 30, 2 << 40)] == ["12 B", "2.0 KiB", "5.0 MiB", "3.0 GiB", "2.0 TiB"]
    assert [show_seconds(n) for n in (0.25, 42, 65, 3725)] == ["0.2s", "42s", "1m05s", "1h02m"]


def test_seeds_differ_by_purpose_and_step_and_are_the_same_everywhere() -> None:
    assert derive(7, "dropout", 3) == 5451253809298765311
    assert (
        len({derive(7, "dropout", 3), derive(7, "dropout", 4), derive(7, "order", 3), derive(8, "dropout", 3), derive(7, "dropout3")}) == 5
    )
    assert np.array_equal(numpy_generator(1, "a").random(4), numpy_generator(1, "a").random(4))
    assert torch_generator(1, "a").initial_seed() == derive(1, "a")


def test_data_cannot_forge_log_lines_or_colours() -> None:
    assert safe_text("ok\nERROR forged\x1b[31m") == "ok\\nERROR forged\\x1b[31m" and safe_text("naïve 日本") == "naïve 日本"


def test_log_file_gets_everything_and_is_closed(tmp_path: Path) -> None:
    with LogFile(tmp_path / "deep" / "run.log"):
        LOGGER.debug("a detail\nsecond")
    LOGGER.debug("later")
    text = (tmp_path / "deep" / "run.log").read_text()
    assert "DEBUG   a detail\\nsecond" in text and "later" not in text


def test_console_is_set_up_once(capsys: pytest.CaptureFixture[str]) -> None:
    before = list(LOGGER.handlers)
    propagate = LOGGER.propagate
    set_up_console("info")
    set_up_console("info", quiet=True)
    LOGGER.info("unheard")
    LOGGER.warning("heard")
    assert capsys.readouterr().err == "heard\n"
    for handler in [handler for handler in LOGGER.handlers if handler not in before]:
        LOGGER.removeHandler(handler)
    LOGGER.propagate = propagate


def test_progress_says_rate_share_and_time_left(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ropewalk.core.log.LINE_SECONDS", -1.0)
    monkeypatch.setattr(LOGGER, "propagate", True)
    with caplog.at_level(logging.INFO, "ropewalk"), Progress("clean", 10, "documents") as bar:
        bar.advance(4, "loss 2.1")
    assert "clean: 40% · 4 documents" in caplog.text and "left · loss 2.1" in caplog.text
    with Progress("x", 0, "rows", quiet=True) as bar:
        bar.advance(3)
    assert bar.text().startswith("3 rows · ")


def test_progress_in_bytes_says_both_rates_and_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 100.0, 101.0, 102.0, 104.0])
    monkeypatch.setattr("ropewalk.core.log.time.monotonic", lambda: next(clock))
    with Progress("clean", 0, "documents", total_bytes=40_000_000, quiet=True) as bar:
        bar.advance(1000, size_bytes=10_000_000, resumed=True)  # found finished: no merit of this run's
        bar.advance(500, size_bytes=10_000_000)
        assert bar.text() == "50% · 1.5k documents · 125/s · 2.5 MB/s · 8.0s left"


def test_every_hears_each_nth_step_and_all_else() -> None:
    heard: list[object] = []

    def listen(event: object) -> StopRequest | None:
        heard.append(event)
        return StopRequest("enough")

    listener = every(2, listen)
    steps = [StepEnded(step, 4, 1.0, 0.1, 1.0, 10, 0.1) for step in (1, 2, 3, 4)]
    answers = [listener(step) for step in steps]
    listener(Ended(4, "done"))
    assert heard == [steps[1], steps[3], Ended(4, "done")] and answers[0] is None and answers[1] == StopRequest("enough")


def test_meter_counts_time_and_memory() -> None:
    with Meter() as meter:
        block = np.ones(4_000_000)
        block.sum()
        cost = meter.cost()
    assert cost.seconds > 0 and cost.cpu_seconds >= 0 and cost.peak_bytes > 30_000_000
