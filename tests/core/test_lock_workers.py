"""Locks between processes and worker pools that survive a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ropewalk.core.errors import DiskError, Locked, RopewalkError
from ropewalk.core.lock import Lock
from ropewalk.core.workers import run_in_processes


def holder(path: Path, seconds: float) -> subprocess.Popen[str]:
    code = (
        "import sys,time\nfrom pathlib import Path\nfrom ropewalk.core.lock import Lock\n"
        f"with Lock(Path(sys.argv[1]), 'x'):\n print('held', flush=True); time.sleep({seconds})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    process = holder(tmp_path / "lock", 60)
    try:
        with pytest.raises(Locked, match=f"process {process.pid}"), Lock(tmp_path / "lock", "run 'x'"):
            raise AssertionError("both hold it")
    finally:
        process.kill()
        process.communicate()
    with Lock(tmp_path / "lock", "run 'x'"):  # a dead owner's lock is free
        pass


def test_waiting_gets_the_lock_when_it_is_free(tmp_path: Path) -> None:
    process = holder(tmp_path / "lock", 0.3)
    started = time.monotonic()
    with Lock(tmp_path / "lock", "x", wait=True):
        assert time.monotonic() - started > 0.1
    process.communicate()


def test_a_lock_in_an_impossible_place_is_a_disk_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError), Lock(tmp_path / "file" / "lock", "x"):
        pass


def square(number: int) -> int:
    return number * number


def die_once(place: str) -> str:
    path = Path(place)
    if not path.exists():
        path.write_text("was here")
        os.kill(os.getpid(), signal.SIGKILL)
    return path.read_text()


def die_always(number: int) -> int:
    os._exit(3)


def fail(number: int) -> int:
    raise ValueError(f"item {number}")


def test_results_carry_their_index() -> None:
    assert dict(run_in_processes(square, [3, 4, 5], 2)) == {0: 9, 1: 16, 2: 25}


def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    assert dict(run_in_processes(die_once, [str(tmp_path / "a")], 1)) == {0: "was here"}


def test_workers_that_always_die_are_an_error_not_a_hang() -> None:
    with pytest.raises(RopewalkError, match="keep dying"):
        list(run_in_processes(die_always, [1, 2], 1))


def test_an_exception_in_a_worker_is_raised_here() -> None:
    with pytest.raises(ValueError, match="item 7"):
        list(run_in_processes(fail, [7], 1))
