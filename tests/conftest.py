"""What all tests share: one thread a process, a clean environment, no network, real data only where DATA_DIR names some."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# Before numpy, torch or numba is imported: the workers of pytest-xdist share the cores.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}
os.environ |= {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "120"}
os.environ.pop("FORCE_COLOR", None)

# The same examples each time, and no deadline that a busy machine would miss.
hypothesis.settings.register_profile("ropewalk", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("ropewalk")

OURS = ("ROPEWALK_STORE", "CHECKPOINT_DIR", "DATA_DIR", "WANDB_PROJECT")
NEEDS_DATA = "needs DATA_DIR, the folder with real data"
NEEDS_CUDA = "needs CUDA"


class NetworkUsed(BaseException):
    """A test reached for the network; no `except Exception` hides it."""


def is_local(address: Any) -> bool:
    """Whether a socket address, host name or None stays on this machine."""
    host = address[0] if isinstance(address, tuple) else address
    if not isinstance(host, str):  # a path socket's bytes, or None for "any of mine"
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("", "localhost") or (isinstance(address, str) and host.startswith("/"))


@pytest.fixture(scope="session", autouse=True)
def _no_network() -> Iterator[None]:
    """Connections and look-ups that leave this machine fail the test that makes them."""

    def guarded(function: Any, position: int) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            address = arguments[position] if len(arguments) > position else None
            if not is_local(address):
                raise NetworkUsed(f"a test reached for {address!r}")
            return function(*arguments, **named)

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded(socket.socket.connect, 1))
        patch.setattr(socket.socket, "connect_ex", guarded(socket.socket.connect_ex, 1))
        patch.setattr(socket, "getaddrinfo", guarded(socket.getaddrinfo, 0))
        yield


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables that ropewalk reads are unset; a test sets what it wants."""
    for name in OURS:
        monkeypatch.delenv(name, raising=False)


DATA_DIR = os.environ.get("DATA_DIR", "")


@pytest.fixture
def data_dir(monkeypatch: pytest.MonkeyPatch, _own_environment: None) -> Path:
    """The folder of real data; the test is skipped, and counted at the end, where DATA_DIR is not set."""
    if not DATA_DIR:
        pytest.skip(NEEDS_DATA)
    if not Path(DATA_DIR).is_dir():
        pytest.fail(f"DATA_DIR={DATA_DIR} is not a folder")
    monkeypatch.setenv("DATA_DIR", DATA_DIR)
    return Path(DATA_DIR)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `gpu` are skipped where there is no CUDA; torch is imported only if there are some."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked:
        import torch

        if not torch.cuda.is_available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason=NEEDS_CUDA))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests did not run for want of data or a GPU."""
    reasons = Counter(
        reason
        for report in terminalreporter.getreports("skipped")
        for reason in (NEEDS_DATA, NEEDS_CUDA)
        if isinstance(report.longrepr, tuple) and reason in report.longrepr[2]
    )
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"not run: {count} {'test' if count == 1 else 'tests'}: {reason}")
