"""Numbers as people write them in a recipe: `2M` tokens, `64k`, `4GiB`, `10m`; and back."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator

_COUNT = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12}
_BYTES = {
    "": 1,
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
}
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_NUMBER = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)\s*([A-Za-z]*)\s*")


def _scaled(value: Any, units: dict[str, int], example: str) -> Any:
    if not isinstance(value, str):
        return value
    match = _NUMBER.fullmatch(value.replace("_", ""))
    if match is None or match[2] not in units:
        raise ValueError(f"expected a number such as {example}")
    return float(match[1]) * units[match[2]]


def parse_count(value: Any) -> Any:
    """`"300k"` -> 300000; other things pass."""
    return _whole(_scaled(value, _COUNT, "64k or 2M"))


def parse_bytes(value: Any) -> Any:
    """`"4GiB"` -> 4294967296; other things pass."""
    return _whole(_scaled(value, _BYTES, "64MB or 4GiB"))


def parse_seconds(value: Any) -> Any:
    """`"10m"` -> 600.0; other things pass."""
    return _scaled(value, _SECONDS, "90s, 10m or 2h")


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def parse_every(value: Any) -> Any:
    """`500` stays a count, `"10m"` (a number with s, m, h or d) becomes `"600s"`."""
    if isinstance(value, str) and (match := _NUMBER.fullmatch(value)) and match[2] in ("s", "m", "h", "d"):
        return f"{float(match[1]) * _SECONDS[match[2]]:g}s"
    return parse_count(value)


Count = Annotated[int, BeforeValidator(parse_count)]
Bytes = Annotated[int, BeforeValidator(parse_bytes)]
Seconds = Annotated[float, BeforeValidator(parse_seconds)]


def show_count(value: float) -> str:
    """1234567 -> `1.23M`."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.3g}"


def show_bytes(value: float) -> str:
    """4294967296 -> `4.0 GiB`."""
    for unit, size in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if abs(value) >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.0f} B"


def show_seconds(value: float) -> str:
    """3725 -> `1h02m`; 65 -> `1m05s`; 0.25 -> `0.2s`."""
    if value < 60:
        return f"{value:.0f}s" if value >= 10 else f"{value:.1f}s"
    minutes, seconds = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes}m{seconds:02d}s"
    return f"{minutes // 60}h{minutes % 60:02d}m"
