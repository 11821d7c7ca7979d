"""What stands in the place of personal data: a tag, a mask of the same shape, or a pseudonym that the same value always gets."""

from __future__ import annotations

import functools
import hashlib
import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from ropewalk.core.errors import ConfigError
from ropewalk.data.pii.card import is_card
from ropewalk.data.pii.national import RULES

Replacement = Literal["tag", "mask", "pseudonym"]
LEAST_SECRET_BYTES = 16
_LETTERS = "bcdfghjklmnpqrstvwxz"  # no digits, no words
_TRIES = 64


@dataclass(frozen=True)
class Replacer:
    """Writes what each kind is replaced by; `secret` is needed for pseudonyms only."""

    choices: Mapping[str, Replacement]
    secret: bytes = b""
    is_phone: Callable[[str], bool] = lambda _: False
    """Whether a number without a country code would be taken for a telephone's."""

    def put(self, kind: str, found: bytes, *, settled: bool) -> bytes:
        """`settled` once rounds enough have gone by: from then on only tags, in which nothing more is found."""
        choice = "tag" if settled else self.choices[kind]
        if choice == "mask":
            return masked(found.decode()).encode()
        if choice == "tag":
            return f"<{kind.upper()}>".encode()
        return (self._pseudonym(kind, found.decode()) or f"<{kind.upper()}>").encode()

    def _pseudonym(self, kind: str, found: str) -> str | None:
        """Of the value's own form where it has one, but never one that somebody could have; None where none was drawn."""
        digest = functools.partial(_digest, self.secret, kind, canonical(kind, found))
        if kind == "email":
            return f"{_letters(digest(0), 12)}@{_letters(digest(1), 6)}.invalid"
        if kind == "ip":
            return _address(digest(0), found)
        if kind == "iban":
            return found[:2] + "00" + _shaped(found[4:], digest(0), "")  # real check digits are 02 to 98
        if kind in {"phone", "card", "national_id"}:
            for turn in range(_TRIES):
                drawn = _shaped(found, digest(turn), "0")
                if not self._taken(drawn):
                    return drawn
            return None
        return f"<{kind.upper()}:{_letters(digest(0), 10)}>"

    def _taken(self, drawn: str) -> bool:
        """Whether the number would be found again, with whatever words before it."""
        alone = "".join(filter(str.isdigit, drawn))
        if is_card(alone) or self.is_phone(drawn):
            return True
        for rule in RULES:
            match = rule.shape.search(drawn)
            if match and rule.valid("".join(character for character in match[0] if character.isalnum() or character in rule.keep)):
                return True
        return False


def masked(found: str) -> str:
    """`a.b@c.org` -> `*.*@*.***`."""
    return "".join("*" if character.isalnum() else character for character in found)


def secret(variable: str) -> bytes:
    """What the environment holds; it is never written anywhere. ConfigError where there is none or a short one."""
    found = os.environ.get(variable, "").encode()
    if len(found) < LEAST_SECRET_BYTES:
        what = f"is shorter than {LEAST_SECRET_BYTES} bytes" if found else "is not set"
        raise ConfigError(
            f"pii: pseudonyms are keyed by the secret in {variable}, which {what}",
            remedy=f"export {variable}=$(openssl rand -hex 32), the same wherever pseudonyms shall agree; or choose replace: tag",
        )
    return found


def check_of(found: bytes) -> str:
    """Tells secrets apart without giving one away: 64 bits of a keyed hash."""
    return hashlib.blake2b(b"which secret", key=_key(found), digest_size=8).hexdigest()


def canonical(kind: str, found: str) -> str:
    """One value written in two ways is one value."""
    if kind == "ip":
        return ipaddress.ip_address(found).compressed
    if kind in {"phone", "card", "iban", "national_id"}:
        return "".join(character for character in found.upper() if character.isalnum() or character == "+")
    return found.lower() if kind == "email" else found


def _key(found: bytes) -> bytes:
    return hashlib.blake2b(found).digest()


def _digest(found: bytes, kind: str, value: str, turn: int) -> bytes:
    return hashlib.blake2b(f"{kind}\0{turn}\0{value}".encode(), key=_key(found)).digest()


def _letters(digest: bytes, number: int) -> str:
    value = int.from_bytes(digest, "big")
    return "".join(_LETTERS[value // len(_LETTERS) ** place % len(_LETTERS)] for place in range(number))


def _shaped(found: str, digest: bytes, first: str) -> str:
    """Other digits and letters in the same places; the first digit is `first` where that is given."""
    value = int.from_bytes(digest, "big")
    drawn = []
    for character in found:
        if character.isascii() and character.isdigit():
            value, digit = divmod(value, 10)
            drawn.append(first or str(digit))
            first = ""
        elif character.isascii() and character.isalpha():
            value, letter = divmod(value, 26)
            drawn.append(chr((65 if character.isupper() else 97) + letter))
        else:
            drawn.append(character)
    return "".join(drawn)


def _address(digest: bytes, found: str) -> str:
    """10.0.0.0/8 is anybody's own, 2001:db8::/32 is for documentation: neither is public."""
    if ":" in found:
        return ipaddress.IPv6Address(0x20010DB8 << 96 | int.from_bytes(digest[:12], "big")).compressed
    return ipaddress.IPv4Address(10 << 24 | int.from_bytes(digest[:3], "big")).compressed
