"""Saving beside training: the state is copied at a step boundary, and a thread writes, hashes and renames the copy.

What is on disk is the same either way; training waits for the copy only. A save begun while another is being written
waits for that one. An error of the thread is raised where the loop next asks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ropewalk.core.errors import DiskError
from ropewalk.core.events import Event, Recovered, Saved, StopRequest
from ropewalk.hardware.memory import available_bytes
from ropewalk.train.checkpoint import Checkpoints, Snapshot
from ropewalk.train.state import TrainState

Tell = Callable[[Event], StopRequest | None]
SPACE = 4  # copies of the state that must fit into free memory before one is made


@dataclass
class _Writing:
    step: int
    place: Path | None = None
    error: Exception | None = None
    seconds: float = 0.0
    """That training waited."""


class Saver(Protocol):
    """What the loop saves with."""

    def begin(self, state: TrainState) -> None:
        """Take the state as it stands; raises the error of an earlier save that is not yet told."""

    def finished(self, *, wait: bool) -> Saved | None:
        """The save that is done and not yet told; None while there is none. Raises DiskError when it failed."""


class CheckpointSaver:
    """Saves to a folder of checkpoints, beside the loop where `background` is set and memory allows."""

    def __init__(self, checkpoints: Checkpoints, sync_log: Callable[[], int], *, background: bool) -> None:
        self.checkpoints, self.sync_log, self.background = checkpoints, sync_log, background
        self._writing: _Writing | None = None
        self._thread: threading.Thread | None = None

    def begin(self, state: TrainState) -> None:
        assert self._writing is None, "an earlier save was not asked for"
        started = time.perf_counter()
        state.log_offset = self.sync_log()
        snapshot = Snapshot.of(state)
        writing = self._writing = _Writing(state.step)
        if self.background and snapshot.size_bytes * SPACE < available_bytes("cpu"):
            self._thread = threading.Thread(target=self._write, args=(snapshot.copied(), writing), name="checkpoint")
            self._thread.start()
        else:
            self._write(snapshot, writing)
        writing.seconds = time.perf_counter() - started

    def _write(self, snapshot: Snapshot, writing: _Writing) -> None:
        try:
            writing.place = self.checkpoints.save(snapshot)
        except Exception as error:  # raised where the loop asks
            writing.error = error

    def finished(self, *, wait: bool) -> Saved | None:
        if self._thread is not None:
            if self._thread.is_alive() and not wait:
                return None
            started = time.perf_counter()
            self._thread.join()
            self._thread = None
            if self._writing is not None:
                self._writing.seconds += time.perf_counter() - started
        writing, self._writing = self._writing, None
        if writing is None:
            return None
        if writing.error is not None:
            raise writing.error
        assert writing.place is not None, "a save has a place or an error"
        return Saved(writing.step, writing.place, writing.seconds)


class Saves:
    """Saves, their events, and what becomes of an error: raised where the result hangs on the save, else said."""

    def __init__(self, saver: Saver, tell: Tell) -> None:
        self.saver, self.tell = saver, tell
        self.must = False
        self.last = time.perf_counter()

    def due(self, seconds: float | None) -> bool:
        return seconds is not None and time.perf_counter() - self.last >= seconds

    def save(self, state: TrainState, *, must: bool, wait: bool) -> None:
        self.poll(state, wait=True)
        self.must, self.last = must, time.perf_counter()
        self.saver.begin(state)
        self.poll(state, wait=wait)

    def poll(self, state: TrainState, *, wait: bool = False) -> None:
        try:
            saved = self.saver.finished(wait=wait)
        except DiskError as error:
            if self.must:
                raise
            self.tell(Recovered(state.step, f"not saved, trying again later: {error.message}"))
        else:
            if saved is not None:
                self.tell(saved)

    def emergency(self, state: TrainState) -> None:
        """Save on the way out; that it fails must not hide why the run ends."""
        with suppress(DiskError):
            self.poll(state, wait=True)
            self.save(state, must=False, wait=True)
