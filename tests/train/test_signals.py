"""A first signal is a wish, a second one is obeyed at once."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from ropewalk.train.signals import StopSignals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_remembered_and_the_next_one_acts(number: signal.Signals) -> None:
    def stop(received: int, frame: object) -> None:
        raise SystemExit(received)

    before = signal.signal(number, stop)
    try:
        with StopSignals() as signals:
            assert signals.received is None
            os.kill(os.getpid(), number)
            assert signals.received == number
            with pytest.raises(SystemExit, match=str(int(number))):
                os.kill(os.getpid(), number)
        assert signal.getsignal(number) is stop
    finally:
        signal.signal(number, before)


def test_handlers_come_back_when_nothing_happened() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with StopSignals():
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_outside_the_main_thread_nothing_is_installed() -> None:
    before, seen = signal.getsignal(signal.SIGTERM), []

    def enter() -> None:
        with StopSignals() as signals:
            seen.append((signal.getsignal(signal.SIGTERM) is before, signals.received))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [(True, None)]
