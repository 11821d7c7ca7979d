"""Compiled kernels: numba with an on-disk cache. Importing this imports numba (0.3 s), so do it where a kernel is called.

With `NUMBA_DISABLE_JIT=1` the kernels run as plain Python, slowly and with the same bits; `wrapping()` is for that case,
where numpy would warn of the 64-bit overflow that the hashes are made of.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar, cast

import numba
import numpy as np

from ropewalk.core.log import LOGGER

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """The function as machine code, made at its first call and kept on disk for the next process."""
    try:
        return cast(F, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError as error:  # neither the file's folder nor the user's cache can be written
        _say_uncached(str(error).partition(":")[0])
        return cast(F, numba.njit(nogil=True)(function))


@functools.cache
def _say_uncached(why: str) -> None:
    LOGGER.info("numba can't keep compiled code here, each process compiles anew (2 s); NUMBA_CACHE_DIR names a folder for it (%s)", why)


def wrapping() -> AbstractContextManager[Any]:
    """Unsigned overflow is meant."""
    return np.errstate(over="ignore")
