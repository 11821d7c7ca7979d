"""A mapper for tests of shard maps: runs shards here, the last one first, and remembers which it was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


class InProcess:
    """`asked` holds the shards' names in the order in which they ran."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def map(self, function: Callable[[Any], Any], items: list[Any], size_bytes: int) -> Iterator[tuple[int, Any]]:
        for index, item in reversed(list(enumerate(items))):
            self.asked.append(item.name)
            yield index, function(item)
