"""SIGTERM and SIGINT become a wish to stop, SIGUSR1 a wish to save; the loop grants them at the next step boundary."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignals(AbstractContextManager["StopSignals"]):
    """Listens while the context lasts; a second signal acts as if nobody listened, so that one can always get out."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self.wants_save = False
        """Set by SIGUSR1, which batch systems send before a job's time is up; the run goes on."""
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # Python refuses handlers elsewhere
            self._before = {number: signal.signal(number, self._receive) for number in SIGNALS}
            if hasattr(signal, "SIGUSR1"):
                self._before[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.wants_save = True

    def save_wanted(self) -> bool:
        """Whether a save was asked for since the last call."""
        wanted, self.wants_save = self.wants_save, False
        return wanted

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
        self._restore(SIGNALS)

    def _restore(self, numbers: Iterable[signal.Signals]) -> None:
        for number in [number for number in numbers if number in self._before]:
            signal.signal(number, self._before.pop(number))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._restore(list(self._before))
