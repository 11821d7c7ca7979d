"""Where nothing can be kept on disk, kernels are compiled anew, and that is said once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numba
import pytest

from ropewalk.data.dedup import compiled as module
from ropewalk.data.dedup.compiled import compiled


def double(value: int) -> int:
    return value + value


def test_a_kernel_without_a_place_for_its_cache_still_runs(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    plain = numba.njit

    def njit(*functions: Any, **options: Any) -> Callable[[Any], Any]:  # numba decorates its own with it too
        if options.get("cache"):
            raise RuntimeError("cannot cache function 'double': no locator available for file 'x.py'")
        decorated: Callable[[Any], Any] = plain(*functions, **options)
        return decorated

    monkeypatch.setattr(numba, "njit", njit)
    monkeypatch.setattr(logging.getLogger("ropewalk"), "propagate", True)
    module._say_uncached.cache_clear()
    with caplog.at_level(logging.INFO, "ropewalk"):
        assert compiled(double)(21) == compiled(double)(21) == 42
    said = {id(record) for record in caplog.records if "NUMBA_CACHE_DIR" in record.getMessage()}  # two handlers may have heard it
    assert len(said) == 1 and "cannot cache function 'double'" in caplog.text
