"""Addresses of Bitcoin (base58 and bech32) and Ethereum, by their own checks."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from ropewalk.data.pii.keccak import keccak_256
from ropewalk.data.pii.window import Window

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_ETHEREUM = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_BITCOIN_VERSIONS = (0x00, 0x05)  # pay to a public key's hash, pay to a script's
PREFIXES = ("bc", "BC", "0x", *(version + letter for version in "13" for letter in _BASE58))


def is_base58(text: str) -> bool:
    """A Bitcoin address of the first kind: version, 20 bytes, and four of the double hash."""
    if not 26 <= len(text) <= 35 or any(character not in _BASE58 for character in text):
        return False
    number = 0
    for character in text:
        number = number * 58 + _BASE58.index(character)
    if number >= 1 << 200:
        return False
    raw = number.to_bytes(25, "big")
    zeros = len(text) - len(text.lstrip("1"))
    check = hashlib.sha256(hashlib.sha256(raw[:21]).digest()).digest()[:4]
    return raw[0] in _BITCOIN_VERSIONS and raw[21:] == check and zeros == len(raw) - len(raw.lstrip(b"\0"))


def is_bech32(text: str) -> bool:
    """A segregated-witness address (BIP 173; from version 1 on BIP 350)."""
    if text not in (text.lower(), text.upper()) or not 14 <= len(text) <= 74:
        return False
    prefix, _, payload = text.lower().partition("1")
    if prefix != "bc" or len(payload) < 8 or any(character not in _BECH32 for character in payload):
        return False
    values = [_BECH32.index(character) for character in payload]
    check = 1
    for value in [*(ord(c) >> 5 for c in prefix), 0, *(ord(c) & 31 for c in prefix), *values]:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit in range(5):
            check ^= _GENERATOR[bit] if top >> bit & 1 else 0
    return check == (1 if values[0] == 0 else 0x2BC830A3)


def is_ethereum(text: str) -> bool:
    """0x and 40 hex digits; where capitals and small letters are mixed they are the check of EIP-55."""
    digits = text[2:]
    if digits in (digits.lower(), digits.upper()):
        return len(set(digits.lower())) > 4  # 0x000…0 and its like are nobody's
    hashed = keccak_256(digits.lower().encode()).hex()
    return all(d.isdigit() or d.isupper() == (int(h, 16) >= 8) for d, h in zip(digits, hashed, strict=False))


def crypto_addresses(window: Window) -> Iterator[tuple[int, int]]:
    """The candidate, where it is one."""
    found = window.text[window.begin : window.stop]
    if is_base58(found) or is_bech32(found) or (_ETHEREUM.fullmatch(found) and is_ethereum(found)):
        yield window.begin, window.stop
