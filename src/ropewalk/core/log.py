"""Logging and progress: one logger, a console handler through rich, a file beside the run, bars that become lines in a pipe."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ropewalk.core.units import show_count, show_seconds

LOGGER = logging.getLogger("ropewalk")
LINE_SECONDS = 10.0


def safe_text(text: str) -> str:
    """The text with line breaks and control characters escaped, so that data can't forge a log line."""
    return "".join(
        character if character.isprintable() or character == " " else character.encode("unicode_escape").decode() for character in text
    )


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return "\n".join(safe_text(line) for line in text.split("\n")) if record.exc_info else safe_text(text)


def set_up_console(level: str = "info", *, quiet: bool = False) -> None:
    """Log to the terminal; `quiet` leaves warnings and errors."""
    for handler in [handler for handler in LOGGER.handlers if getattr(handler, "console", False)]:
        LOGGER.removeHandler(handler)
    LOGGER.setLevel(logging.DEBUG)
    LOGGER.propagate = False
    handler = logging.StreamHandler(sys.stderr)
    handler.console = True  # type: ignore[attr-defined]
    handler.setLevel(logging.WARNING if quiet else level.upper())
    handler.setFormatter(_OneLine("%(message)s"))
    LOGGER.addHandler(handler)


class LogFile(AbstractContextManager["LogFile"]):
    """Everything from debug up into one file while the context lasts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.handler: logging.Handler | None = None

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.handler = logging.FileHandler(self.path, encoding="utf-8")
        self.handler.setLevel(logging.DEBUG)
        self.handler.setFormatter(_OneLine("%(asctime)s %(levelname)-7s %(message)s"))
        LOGGER.addHandler(self.handler)
        if LOGGER.level == logging.NOTSET:
            LOGGER.setLevel(logging.DEBUG)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.handler:
            LOGGER.removeHandler(self.handler)
            self.handler.close()


class Progress(AbstractContextManager["Progress"]):
    """A bar on a terminal, a line now and then in a pipe, nothing when quiet."""

    def __init__(self, title: str, total: float, unit: str, *, total_bytes: int = 0, quiet: bool = False) -> None:
        """Where the total is not known in units it may be in bytes: share and time left are then of these, and MB/s is said."""
        self.title, self.total, self.unit, self.total_bytes, self.quiet = title, total, unit, total_bytes, quiet
        self.done = 0.0
        self.done_bytes = self.resumed = self.resumed_bytes = 0.0
        self.started = self.said = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        self.started = self.said = time.monotonic()
        if not self.quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as Bar

            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[text]}"))
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True, refresh_per_second=4)
            self._task = self._bar.add_task(self.title, total=self.total_bytes or self.total or None, text="")
            self._bar.start()
        return self

    def advance(self, amount: float = 1.0, note: str = "", *, size_bytes: int = 0, resumed: bool = False) -> None:
        """Count `amount` more units as done; `note` is said beside the rate (a loss), which what was found done does not raise."""
        self.done += amount
        self.done_bytes += size_bytes
        if resumed:
            self.resumed += amount
            self.resumed_bytes += size_bytes
        text = self.text(note)
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done_bytes if self.total_bytes else self.done, text=text)
        elif not self.quiet and time.monotonic() - self.said >= LINE_SECONDS:
            self.said = time.monotonic()
            LOGGER.info("%s: %s", self.title, text)

    def text(self, note: str = "") -> str:
        seconds = max(time.monotonic() - self.started, 1e-9)
        rate, bytes_rate = (self.done - self.resumed) / seconds, (self.done_bytes - self.resumed_bytes) / seconds
        total, done, pace = (self.total_bytes, self.done_bytes, bytes_rate) if self.total_bytes else (self.total, self.done, rate)
        share = f"{100 * done / total:.0f}% · " if total else ""
        speed = f" · {bytes_rate / 1e6:.3g} MB/s" if self.total_bytes else ""
        left = f" · {show_seconds((total - done) / pace)} left" if total and pace and done < total else ""
        return f"{share}{show_count(self.done)} {self.unit} · {show_count(rate)}/s{speed}{left}{f' · {note}' if note else ''}"

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()
