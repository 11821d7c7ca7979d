"""How the report writes text: everything that comes from data passes `text` or `block`, which leave nothing active."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from ropewalk.core.units import show_count

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(value: Any, *, lines: bool = False) -> str:
    """Control characters, direction marks and lone surrogates as signs one can see; newlines too unless `lines`."""
    found = _CONTROL.sub(_sign, str(value).replace("\r\n", "\n"))
    return found if lines else found.replace("\n", "␊").replace("\t", "␉")


def text(value: Any, limit: int = 300) -> str:
    """A value within a line, escaped and cut."""
    shown = visible(value)
    return escape(shown if len(shown) <= limit else shown[: limit - 1] + "…")


def block(value: Any, limit: int = 4000) -> str:
    """A value over several lines, escaped and cut."""
    shown = visible(value, lines=True)
    return escape(shown if len(shown) <= limit else shown[: limit - 1] + "…")


def number(value: Any) -> str:
    """A number as people read it: 12,345; 0.0312; 1.2e-05."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or (value.is_integer() and abs(value) < 1e15):
        return f"{value:,.0f}"
    return f"{value:.4g}" if math.isfinite(value) else str(value)


def share(part: float, whole: float) -> str:
    """`3 of 40` as a percentage that is never a wrong 0% or 100%."""
    if not whole:
        return "0%"
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "under 0.1%"
    if 99.9 < percent < 100:
        return "over 99.9%"
    return f"{percent:.1f}%" if percent % 1 else f"{percent:.0f}%"


def count(value: float, one: str, many: str = "") -> str:
    """`1 document`, `12.3k documents`."""
    return f"{show_count(value) if value >= 100_000 else f'{value:,.0f}'} {one if value == 1 else many or one + 's'}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numeric: Sequence[int] = (), kind: str = "") -> str:
    """Rows of finished HTML cells under plain words; `numeric` columns are set right."""
    right = set(numeric)

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(f"<{tag}{' class=n' if place in right else ''}>{cell}</{tag}>" for place, cell in enumerate(row))

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f'<div class="wide"><table class="{kind}"><thead><tr>{cells("th", head)}</tr></thead><tbody>{body}</tbody></table></div>'


def section(anchor: str, title: str, body: str, lead: str = "") -> str:
    """A part of the page; nothing when its body is empty."""
    if not body:
        return ""
    opening = f'<p class="lead">{lead}</p>' if lead else ""
    return f'<section id="{anchor}"><h2>{title}</h2>{opening}{body}</section>'


def figure(drawing: str, caption: str) -> str:
    """A chart with its words; nothing when there was nothing to draw."""
    return f"<figure><figcaption>{caption}</figcaption>{drawing}</figure>" if drawing else ""


def bar(part: float, whole: float, kind: str = "") -> str:
    """A horizontal bar: `part` of `whole`."""
    width = 100 * part / whole if whole else 0.0
    return f'<span class="track"><span class="fill {kind}" style="width:{min(width, 100):.2f}%"></span></span>'


def badge(state: str) -> str:
    """A stage's or check's state as a coloured word."""
    letters = "".join(letter for letter in state if letter.isalpha() and letter.isascii())
    return f'<span class="badge {letters}">{text(state, 40)}</span>'


def _sign(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(0x2400 + code) if code < 0x20 else "␡" if code == 0x7F else f"⟨U+{code:04X}⟩"
