"""What readers raise for a file that can't be read, or not to its end."""

from __future__ import annotations


class CorruptFile(Exception):
    """A file, or the rest of one, that can't be read; `offset` is how far into the file on disk reading got."""

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.offset = offset
