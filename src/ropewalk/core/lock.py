"""Locks: one process a run and one a key being made. The kernel drops a dead owner's lock, so none is ever stale.

Uses flock, which needs a file system that supports it (NFS does from version 4 on); not inherited by child processes.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

from ropewalk.core.errors import DiskError, Locked


class Lock(AbstractContextManager["Lock"]):
    """Holds `path` while the context lasts; `wait=False` raises Locked naming the owner."""

    def __init__(self, path: Path, what: str, *, wait: bool = False) -> None:
        self.path, self.what, self.wait = path, what, wait
        self.descriptor: int | None = None

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            remedy = "choose a folder that can be written: ROPEWALK_STORE moves the store, CHECKPOINT_DIR the runs"
            raise DiskError(f"{self.path}: {error.strerror}", remedy=remedy) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if self.wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = self.path.read_text(encoding="utf-8", errors="replace")
            os.close(descriptor)
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise DiskError(f"{self.path}: locks are not supported here ({error.strerror})") from error
            raise Locked(
                f"{self.what} is in use by {_owner(owner)}",
                remedy="wait for it, stop it, or give this run another name",
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}).encode())
        self.descriptor = descriptor
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


def _owner(text: str) -> str:
    try:
        facts = json.loads(text)
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(facts["since"]))
        return f"process {facts['pid']} on {facts['host']} since {since}"
    except (ValueError, KeyError, TypeError):
        return "another process"
