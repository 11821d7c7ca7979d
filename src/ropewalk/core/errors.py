"""The tree of errors that users meet; each says thing, place and mend, and has its exit code.

RopewalkError 1 (a bug of ours when bare)
├── ConfigError 2        recipe, override or command line; holds every problem found, not the first
├── DataError 3          input that can't be read, an empty or wholly dropped corpus, an accounting mismatch
├── DiskError 4          no space, read-only, input/output error
├── OutOfMemory 5        after every remedy was tried
├── NotFinite 6          NaN or infinity in loss or gradient
├── Locked 7             another live process holds the run
├── CheckpointError 8    no valid checkpoint where there should be one
│   └── ChangedRun 8     unfinished work belongs to another recipe or code
├── GateFailed 9
├── MissingExtra 10      an optional package or a device that is not here
├── NetworkError 11
└── Interrupted 130/143  stopped by a signal after saving
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import ClassVar


class RopewalkError(Exception):
    """Anything ropewalk raises on purpose."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  -> {self.remedy}" if self.remedy else self.message


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a recipe: `where` is file:line:column (or the override), `path` the dotted field."""

    path: str
    message: str
    where: str = ""
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}{self.path}: {self.message}{hint}" if self.path else f"{place}{self.message}{hint}"


class ConfigError(RopewalkError):
    """A recipe, an override or an option that can't be used; every problem at once."""

    exit_code = 2

    def __init__(self, problems: list[Problem] | str, *, remedy: str = "") -> None:
        self.problems = [Problem("", problems)] if isinstance(problems, str) else problems
        super().__init__("\n".join(str(problem) for problem in self.problems), remedy=remedy)


class DataError(RopewalkError):
    """Input that can't be read as it should, or of which nothing is left."""

    exit_code = 3


class DiskError(RopewalkError):
    """The disk is full, read-only or failing."""

    exit_code = 4


class OutOfMemory(RopewalkError):
    """Memory ran out after every remedy was tried."""

    exit_code = 5


class NotFinite(RopewalkError):
    """A loss or gradient became NaN or infinite."""

    exit_code = 6


class Locked(RopewalkError):
    """Another live process holds the run or the key."""

    exit_code = 7


class CheckpointError(RopewalkError):
    """No checkpoint could be used where one was expected."""

    exit_code = 8


class ChangedRun(CheckpointError):
    """Unfinished work was made by another recipe or by other code."""


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether a foreign error says that memory ran out, on a GPU or on the machine."""
    refused = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return refused or isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def typed(error: BaseException, what: str) -> RopewalkError | None:
    """The error of this tree that says what a foreign one means: a missing package, memory or disk that ran out; else None."""
    if isinstance(error, RopewalkError):
        return None
    package = error.name.partition(".")[0] if isinstance(error, ModuleNotFoundError) and error.name else ""
    if package and package != "ropewalk":
        remedy = f"pip install {package}, or reinstall ropewalk with its extra (ropewalk doctor lists what is missing)"
        return MissingExtra(f"{what}: the package {package} is not installed", remedy=remedy)
    if ran_out_of_memory(error):
        lines = str(error).splitlines() or ["memory ran out"]
        return OutOfMemory(
            f"{what}: {lines[0]}", remedy="lower batch.micro_batch or length, or use a smaller model; what was saved is kept"
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO):
        place = f"{error.filename}: " if error.filename else ""
        return DiskError(f"{what}: {place}{error.strerror}", remedy="free some space or choose another store; finished work is kept")
    return None


class GateFailed(RopewalkError):
    """A gate said no; the stages behind it did not run."""

    exit_code = 9


class MissingExtra(RopewalkError):
    """An optional package or device is not here; `remedy` says how to get it."""

    exit_code = 10


class NetworkError(RopewalkError):
    """A download failed after its retries."""

    exit_code = 11


class Interrupted(RopewalkError):
    """A signal stopped the run after it had saved."""

    def __init__(self, message: str, *, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number

    @property
    def code(self) -> int:
        """130 for SIGINT, 143 for SIGTERM."""
        return 128 + self.signal_number
