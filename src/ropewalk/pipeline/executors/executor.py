"""The executor family: where the shards of a data stage run. Runtime-only: never part of a key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ropewalk.core.component import Component


class Executor(Component, family="executor", folders=("ropewalk.pipeline.executors",)):
    """Runs a pure function over items."""

    def map(
        self, function: Callable[[Any], Any], items: list[Any], size_bytes: int, setup: Callable[[], None]
    ) -> Iterator[tuple[int, Any]]:
        """(index, result) as they finish; `setup` prepares another process (plugins)."""
        raise TypeError(f"executor {self.tag!r} has no map()")
