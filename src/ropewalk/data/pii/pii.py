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
    """What is looked for."""
    replace: Literal["tag", "mask"] = "tag"
    """`tag` puts `<EMAIL>` or `<IP>`, `mask` a `*` for each letter and digit."""

    def apply(self, batch: Batch) -> Change:
        texts = []
        counts: dict[str, list[int]] = {kind: [] for kind in self.kinds}
        for text in batch.texts:
            found = dict.fromkeys(self.kinds, 0)
            texts.append(self._cleaned(text, found))
            for kind, number in found.items():
                counts[kind].append(number)
        return rewrite(texts, **counts)

    def _cleaned(self, text: str, found: dict[Kind, int]) -> str:
        """The text once nothing more is found in it: what is put in may end what stood in the way of its neighbour."""
        again = True
        while again:
            again = False
            for kind in found:
                text, number = self._replaced(text, kind)
                found[kind] += number
                again |= number > 0
        return text

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
