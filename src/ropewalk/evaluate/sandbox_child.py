"""The process in which a model's program runs: takes its limits, then runs the file. Started by sandbox.py as a script, alone."""

from __future__ import annotations

import ctypes
import resource
import runpy
import sys
from pathlib import Path

NEW_USER, NEW_NETWORK = 0x10000000, 0x40000000


def main() -> None:
    folder, seconds, memory_bytes = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "unshare") and (libc.unshare(NEW_NETWORK) == 0 or libc.unshare(NEW_USER | NEW_NETWORK) == 0):
        (folder / "network").touch()
    for limit, value in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, 1 << 20),
        (resource.RLIMIT_NOFILE, 32),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    sys.argv = ["program.py"]
    runpy.run_path(str(folder / "program.py"), run_name="__main__")
    (folder / "done").touch()


if __name__ == "__main__":
    main()
