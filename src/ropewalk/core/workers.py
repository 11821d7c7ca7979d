"""A pool of worker processes that dies with its parent and survives a killed worker."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from ropewalk.core.errors import RopewalkError
from ropewalk.core.log import LOGGER

MAX_RESTARTS = 2
WATCH_SECONDS = 2.0


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    os._exit(1)


def _start(parent: int, path: list[str], setup: Callable[[], None]) -> None:
    sys.path[:] = path
    threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()
    setup()


def _nothing() -> None:
    """The default set-up of a worker."""


def run_in_processes(
    function: Callable[[Any], Any], items: list[Any], num_workers: int, setup: Callable[[], None] = _nothing
) -> Iterator[tuple[int, Any]]:
    """(index, result) as calls finish; a killed worker is replaced and its item done again, twice at most."""
    waiting = dict(enumerate(items))
    restarts = 0
    while waiting:
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(num_workers, context, _start, (os.getpid(), sys.path, setup))
        try:
            running: dict[Future[Any], int] = {pool.submit(function, item): index for index, item in waiting.items()}
            while running:
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    result = future.result()
                    index = running.pop(future)
                    del waiting[index]
                    yield index, result
        except BrokenProcessPool:
            restarts += 1
            names = ", ".join(str(getattr(item, "name", index)) for index, item in list(waiting.items())[:3])
            if restarts > MAX_RESTARTS:
                raise RopewalkError(
                    f"worker processes keep dying at {names}",
                    remedy="they may run out of memory: set executor.workers=1 and look at the log",
                ) from None
            LOGGER.warning("a worker process died (at work: %s); starting it again", names)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)  # nobody may still write when the caller sorts out what stands
