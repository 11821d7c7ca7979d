"""How long the command takes to answer before any work: `--help` below 0.3 s, `validate` of a recipe that trains below 1 s.

Each command is a process of its own; the median of several runs counts. Exit code 1 when one is above its bar.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUNS = 7
COMMAND = [sys.executable, "-m", "ropewalk.cli.main"]
BARS = (
    (["--help"], 0.3),
    (["list", "stage"], 1.0),
    (["validate", "recipes/quickstart.yaml"], 1.0),
)


def seconds(arguments: list[str]) -> float:
    """Wall time of one run; raises CalledProcessError when it fails."""
    started = time.perf_counter()
    subprocess.run([*COMMAND, *arguments], cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> int:
    """A line for each command: fastest, median and bar."""
    slow = 0
    for arguments, bar in BARS:
        seconds(arguments)  # the first run fills the disk cache
        times = sorted(seconds(arguments) for _ in range(RUNS))
        median = statistics.median(times)
        slow += median > bar
        verdict = "ok" if median <= bar else "SLOW"
        print(f"ropewalk {' '.join(arguments):34} fastest {times[0]:.2f} s   median {median:.2f} s   bar {bar:.1f} s   {verdict}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
