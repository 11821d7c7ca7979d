"""E-mail addresses in a text."""

from __future__ import annotations

import re
from collections.abc import Iterator

# Every repetition is bounded (64 before the @, 63 a label, as RFC 5321 and 1035 have it), so a long run of letters costs no more.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_AT = re.compile(rf"@(?:{_LABEL}\.){{1,8}}[A-Za-z]{{2,24}}(?![A-Za-z0-9@-])")
_LOCAL = re.compile(r"[A-Za-z0-9_%+'-]+(?:\.[A-Za-z0-9_%+'-]+)*\Z")
_LOCAL_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._%+'-")
MAX_LOCAL = 64


def emails(text: str) -> Iterator[tuple[int, int]]:
    """(start, stop) of each; found by its @, from which it is read both ways."""
    last = 0
    for match in _AT.finditer(text):
        start = at = match.start()
        while start > max(last, at - MAX_LOCAL - 1) and text[start - 1] in _LOCAL_CHARACTERS:
            start -= 1
        local = _LOCAL.search(text, start, at)
        if local is None or at - local.start() > MAX_LOCAL:
            continue
        begin = local.start()
        while begin < at and text[begin] in "'-%+":  # a quote or a dash before the address is no part of it
            begin += 1
        if begin < at:
            last = match.end()
            yield begin, last
