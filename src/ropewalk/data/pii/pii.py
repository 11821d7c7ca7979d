"""Personal data: found by patterns that are checked, and put out of sight. No value that was found is written anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Literal

from pydantic import Field

from ropewalk.data.pii.email import emails
from ropewalk.data.pii.ip import addresses
from ropewalk.data.steps import Batch, Change, Step, rewrite

Span = tuple[int, int]
Kind = Literal["email", "ip"]
FINDERS: dict[Kind, Callable[[str], Iterator[Span]]] = {"email": emails, "ip": addresses}


class Pii(Step, type="pii"):
    """Replaces e-mail addresses and public IP addresses; what only looks like one (a version, a build number) stays."""

    kinds: Annotated[list[Kind], Field(min_length=1)] = ["email", "ip"]
    """What is looked for, in this order."""
    replace: Literal["tag", "mask"] = "tag"
    """`tag` puts `<EMAIL>` or `<IP>`, `mask` a `*` for each letter and digit."""

    def apply(self, batch: Batch) -> Change:
        texts = list(batch.texts)
        counts = {}
        for kind in self.kinds:
            replaced = [self._replaced(text, kind) for text in texts]
            texts = [text for text, _ in replaced]
            counts[kind] = [number for _, number in replaced]
        return rewrite(texts, **counts)

    def _replaced(self, text: str, kind: Kind) -> tuple[str, int]:
        parts: list[str] = []
        end = number = 0
        for start, stop in FINDERS[kind](text):
            found = text[start:stop]
            parts += [text[end:start], f"<{kind.upper()}>" if self.replace == "tag" else masked(found)]
            end = stop
            number += 1
        return ("".join(parts) + text[end:], number) if number else (text, 0)


def masked(found: str) -> str:
    """`a.b@c.org` -> `*.*@*.***`."""
    return "".join("*" if character.isalnum() else character for character in found)
