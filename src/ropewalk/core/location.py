"""Text from a recipe that remembers its folder, so that a relative path means the same from everywhere."""

from __future__ import annotations

from pathlib import Path


class Located(str):
    """A scalar of a recipe; `base` is what a relative path in it is relative to."""

    base: Path

    def __new__(cls, text: str, base: Path) -> Located:
        made = super().__new__(cls, text)
        made.base = base
        return made

    def resolved(self) -> str:
        """The text as a path: `~` expanded, relative ones below `base`; URLs stay."""
        if "://" in self or not self:
            return str(self)
        return str(self.base / Path(str(self)).expanduser())
