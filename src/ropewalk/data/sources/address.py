"""Which addresses may be fetched: http and https, without a name or password in them, and by default none of a private network."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import SplitResult, urlsplit

from ropewalk.core.errors import DataError, NetworkError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
PORTS = {"http": 80, "https": 443}


def shown(url: str) -> str:
    """An address for messages: without name, password, query and fragment, where secrets stand."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}{'?…' if parts.query else ''}"


def checked(url: str) -> SplitResult:
    """The parts of an address that may be asked for. Raises DataError for all others."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError as error:
        raise DataError(f"not an address: {error}", remedy="give one such as https://example.org/data.jsonl.gz") from None
    if parts.scheme not in PORTS:
        raise DataError(
            f"{parts.scheme or 'no scheme'}: only http and https are fetched", remedy="for files here use type: files with path:"
        )
    if parts.username is not None or parts.password is not None:
        raise DataError(f"{shown(url)}: holds a name or password", remedy="put a token into an environment variable: token_variable: NAME")
    if not host or port == 0:
        raise DataError(f"{shown(url)}: names no host", remedy="give one such as https://example.org/data.jsonl.gz")
    if any(ord(character) <= 32 or ord(character) == 127 for character in url):
        raise DataError(f"{shown(url)!r}: holds a space or control character", remedy="write it as %20 and so on")
    return parts


def resolved(parts: SplitResult, *, allow_private: bool) -> list[tuple[socket.AddressFamily, str]]:
    """The numeric addresses of a host, of which one is connected to: nobody resolves the name again. All of them must be public.

    Raises DataError for a private one and NetworkError for a host that isn't known.
    """
    port = parts.port or PORTS[parts.scheme]
    try:
        answers = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NetworkError(f"{parts.hostname}: {error}", remedy="look at the address and at the network") from None
    found: list[tuple[socket.AddressFamily, str]] = list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in answers))
    if not allow_private and (inside := [address for _, address in found if not is_public(address)]):
        raise DataError(
            f"{parts.hostname}: {inside[0]} is an address of a private network or of this machine",
            remedy="set allow_private: true if it is meant",
        )
    return found


def is_public(text: str) -> bool:
    """Whether an address is of the open internet, also where it wraps one of version 4."""
    try:
        address: Address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return all(each.is_global and not each.is_multicast and not each.is_reserved for each in _wrapped(address))


def _wrapped(address: Address) -> list[Address]:
    """The address that traffic ends at, or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped or address.sixtofour:
        return [address.ipv4_mapped or address.sixtofour or address]
    if address.teredo:
        return [*address.teredo]
    if address in ipaddress.ip_network("64:ff9b::/96") or address in ipaddress.ip_network("::/96"):  # NAT64; ::a.b.c.d
        return [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    return [address]
