"""What this machine can do, what `auto` picks on it, and which optional packages are here or how to get them."""

from __future__ import annotations

import os
import platform
import re
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

from ropewalk.core.store import default_root
from ropewalk.core.units import show_bytes
from ropewalk.hardware.device import pick_device
from ropewalk.hardware.precision import resolve_precision

_INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
_EXTRA = re.compile(r"""^([A-Za-z0-9._-]+).*;.*extra == ['"]([a-z0-9-]+)['"]""")
NOT_FOR_USERS = ("dev", "docs")


def machine_rows() -> list[dict[str, Any]]:
    """What is here: {what, found, note} rows; imports torch."""
    import torch

    device = pick_device("auto")
    store = default_root()
    place = next(path for path in (store, *store.parents) if path.exists())
    rows = [
        ("python", platform.python_version(), ""),
        ("torch", torch.__version__, f"{torch.get_num_threads()} threads"),
        ("processor", f"{os.cpu_count()} cores", ", ".join(_instructions()) or "no wide vector units found"),
        ("memory", show_bytes(_memory_bytes()), ""),
        ("store", str(store), f"{show_bytes(shutil.disk_usage(place).free)} free"),
    ]
    for number in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(number)
        rows.append((f"cuda:{number}", facts.name, show_bytes(facts.total_memory)))
    if not torch.cuda.device_count():
        rows.append(("cuda", "none", "training runs on the CPU"))
    rows.append(("device: auto", device, ""))
    why = "the same on every CPU; bf16 can be asked for" if device == "cpu" else "computed natively"
    rows.append(("precision: auto", resolve_precision("auto", device), why))
    rows.append(("text kernels", *_kernels()))
    return [dict(zip(("what", "found", "note"), row, strict=True)) for row in rows]


def extra_rows() -> list[dict[str, Any]]:
    """The optional packages by extra; a missing one says how to get it."""
    extras: dict[str, list[str]] = {}
    for requirement in metadata.requires("ropewalk") or []:
        match = _EXTRA.match(requirement)
        if match and match[2] not in NOT_FOR_USERS:
            extras.setdefault(match[2], []).append(match[1])
    rows = []
    for extra, packages in sorted(extras.items()):
        missing = [name for name in packages if not _installed(name)]
        note = f"pip install 'ropewalk[{extra}]'" if missing else ""
        rows.append({"what": f"[{extra}]", "found": "missing " + ", ".join(missing) if missing else "here", "note": note})
    return rows


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _kernels() -> tuple[str, str]:
    if not _installed("numba"):
        return "missing", "pip install numba"
    off = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
    return f"numba {metadata.version('numba')}", "the compiler is off (NUMBA_DISABLE_JIT): very slow" if off else ""


def _instructions() -> list[str]:
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return []
    return [name for name in _INSTRUCTIONS if name in flags]


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
