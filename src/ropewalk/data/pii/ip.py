"""Which IP addresses are public: private, loopback, documentation and other special ones are nobody's data."""

from __future__ import annotations

import functools
import ipaddress

_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")  # all that is given out; `a::b` and `::1` are none of it


@functools.lru_cache(65536)
def is_public(found: str) -> bool:
    """Whether the text is an address that anybody could reach."""
    try:
        address = ipaddress.ip_address(found)
    except ValueError:
        return False
    return address.is_global and not address.is_multicast and (address.version == 4 or address in _GLOBAL_UNICAST)
