"""Runs a program that a model wrote, in a process of its own with limits; nothing of ours is open to it but its own folder.

Limits on time, memory, file size and processes, an empty environment, no network where the kernel lets us cut it. This keeps accidents
in; it is no wall against code that means harm: run such suites in a container.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

CHILD = Path(__file__).with_name("sandbox_child.py")
OUTPUT_BYTES = 2000


@dataclass(frozen=True)
class Outcome:
    """How a program ended; `said` is the end of what it wrote to its error stream."""

    ended: Literal["passed", "failed", "timed_out"]
    said: str = ""
    network: Literal["cut", "open"] = "open"


def run_program(program: str, seconds: float, memory_bytes: int) -> Outcome:
    """Passed is: ended by itself with exit code 0 after its last line ran."""
    with tempfile.TemporaryDirectory(prefix="ropewalk-code-") as folder:
        place = Path(folder)
        (place / "program.py").write_text(program, encoding="utf-8", errors="replace")
        command = [sys.executable, "-I", "-S", str(CHILD), str(place), str(max(1, round(seconds))), str(memory_bytes)]
        with (place / "said").open("wb") as said:
            process = subprocess.Popen(
                command, cwd=place, env={}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True
            )
            try:
                code = process.wait(seconds + 2)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        text = (place / "said").read_bytes()[-OUTPUT_BYTES:].decode("utf-8", "replace")
        network: Literal["cut", "open"] = "cut" if (place / "network").is_file() else "open"
        done = (place / "done").is_file()
    if code is None or code in (-signal.SIGXCPU, -signal.SIGKILL):
        return Outcome("timed_out", text, network)
    return Outcome("passed" if code == 0 and done else "failed", text, network)
