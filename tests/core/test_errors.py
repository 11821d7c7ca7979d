"""Errors have exit codes, say the mend, and foreign ones that mean memory or disk are told apart."""

from __future__ import annotations

import errno

import pytest

from ropewalk.core import errors
from ropewalk.core.errors import ConfigError, DiskError, Interrupted, OutOfMemory, Problem, RopewalkError, typed


def test_each_kind_has_the_code_of_the_design() -> None:
    codes = {name: kind.exit_code for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, RopewalkError)}
    assert codes == {
        "RopewalkError": 1,
        "ConfigError": 2,
        "DataError": 3,
        "DiskError": 4,
        "OutOfMemory": 5,
        "NotFinite": 6,
        "Locked": 7,
        "CheckpointError": 8,
        "ChangedRun": 8,
        "GateFailed": 9,
        "MissingExtra": 10,
        "NetworkError": 11,
        "Interrupted": 1,
    }
    assert Interrupted("x", signal_number=15).code == 143 and Interrupted("x", signal_number=2).code == 130


def test_messages_hold_problems_and_the_mend() -> None:
    problems = [Problem("a.b", "is wrong", "r.yaml:1:2", "did you mean 'c'?"), Problem("", "no stages")]
    assert str(ConfigError(problems, remedy="look")) == "r.yaml:1:2: a.b: is wrong (did you mean 'c'?)\nno stages\n  -> look"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), OutOfMemory),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory.\nmore"), OutOfMemory),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"), OutOfMemory),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), DiskError),
        (OSError(errno.EROFS, "Read-only file system"), DiskError),
        (OSError(errno.ENOENT, "No such file"), type(None)),
        (ValueError("x"), type(None)),
        (DiskError("already ours"), type(None)),
    ],
)
def test_foreign_errors_of_memory_and_disk_are_ours(error: BaseException, kind: type) -> None:
    found = typed(error, "base")
    assert type(found) is kind
    assert found is None or (found.message.startswith("base: ") and found.remedy and "\n" not in found.message)
