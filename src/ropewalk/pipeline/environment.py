"""What a result was made with: versions, machine and commit, for manifests and reports; never part of a key."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
from importlib import metadata
from typing import Any

_PACKAGES = ("ropewalk", "torch", "numpy", "pyarrow", "tokenizers", "safetensors", "numba", "pydantic")


@functools.cache
def environment() -> dict[str, Any]:
    """Package versions, Python, machine, cores and (in a checkout) the git commit."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "versions": versions,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count() or 1,
        "commit": _commit(),
    }


def _commit() -> str:
    try:
        found = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""
