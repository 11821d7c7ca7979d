"""Public IPv4 and IPv6 addresses in a text."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

# Neither part of a longer number, word or version (1.2.3.4.5, novas-3.1.1.3), nor before more digits, nor the number of a heading
# ("8.5.1.4. Special values" on a line of its own); a port, a slash or a full stop may follow.
_V4 = re.compile(r"(?<![\w.])(?<![A-Za-z]-)(?!(?<=\n)[0-9.]{7,15}\.[ \xa0]+\S)(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?!\w)(?!\.\w)")
_V6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{1,4}:[0-9A-Fa-f:]{2,34}(?![\w:])(?!\.\w)")
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")  # all that is given out; `a::b` and `::1` are none of it


def addresses(text: str) -> Iterator[tuple[int, int]]:
    """(start, stop) of each, in order; private, loopback, documentation and other special ones are left alone."""
    spans = [*_valid(text, _V4), *_valid(text, _V6)] if ":" in text else list(_valid(text, _V4))
    yield from sorted(spans)


def _valid(text: str, pattern: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    for match in pattern.finditer(text):
        found = match[0]
        if found.endswith(":") and not found.endswith("::"):  # "address 2606:4700::1111: unreachable"
            found = found[:-1]
        if is_public(found):
            yield match.start(), match.start() + len(found)


def is_public(found: str) -> bool:
    """Whether the text is an address that anybody could reach."""
    try:
        address = ipaddress.ip_address(found)
    except ValueError:
        return False
    return address.is_global and not address.is_multicast and (address.version == 4 or address in _GLOBAL_UNICAST)
