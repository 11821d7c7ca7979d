"""Phone numbers: found by how people write them, judged by the numbering plans of `phonenumbers`.

- `+` and a country code: any number that its country could have given out.
- Without it: groups as the named regions write them, valid there. North America's are 3-3-4; elsewhere the trunk prefix must be
  there where the country has one.
- Digits in one piece (`4155550123`) are ids, times and counts far more often: they count only behind a word such as `phone`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

from ropewalk.data.pii.window import Window

# One blank, dot, dash or slash, with brackets beside it or alone; the longer ones are a no-break space and dashes in UTF-8.
_ONE = r"(?:[ .\-/]|\xc2\xa0|\xe2\x80[\x90-\x93])"
_GAP = rf"(?:[()]{{0,2}}{_ONE}[()]{{0,2}}|[()]{{1,2}})"
_ABROAD = re.compile(rf"\+ ?\(?\d(?:{_GAP}?\d){{6,14}}(?!\w)(?![.,/-]\d)", re.ASCII)
# Two to six groups: with one kind of gap all through, with the first in brackets, or `030/123-456`.
_GROUPS = re.compile(
    rf"(?:(?:1{_ONE}?)?\(\d{{2,5}}\)(?:{_ONE}?\d{{2,8}})(?:{_ONE}\d{{2,5}}){{0,4}}"
    rf"|\d{{1,5}}({_ONE})\d{{2,8}}(?:\1\d{{2,5}}){{0,4}}|\d{{2,5}}[ /]\d{{2,4}}-\d{{2,5}})(?!\w)(?!{_GAP}\d)(?![.,:/-]\w)",
    re.ASCII,
)
_BEFORE = re.compile(r"(?:[\w+#$/.-]|[\d)][-.,/ ]|\d(?:\)|\xc2\xa0|\xe2\x80[\x90-\x93]))\Z", re.ASCII)
"""What a number without country code is not behind: it would be a part of something longer."""
_NORTH_AMERICAN = re.compile(r"(?:1\D{0,2})?\(?\d{3}\D{1,3}\d{3}\D{1,3}\d{4}\Z", re.ASCII)
_LIKE_A_DATE = re.compile(
    r"(?:19|20)\d\d\D[01]?\d\D[0-3]?\d|[0-3]?\d\D[01]?\d\D(?:19|20)\d\d|(?:19|20)\d\d\D{1,3}(?:19|20)\d\d\Z|\d{1,5}\.\d+\Z", re.ASCII
)
_PIECE = re.compile(r"(?<![\w+.-])\d{8,13}(?!\w)(?![.-]\w)", re.ASCII)
_SAID = re.compile(r"(?i)(?<![a-z])(?:tel(?:ephone)?|phone|mobile|cell(?:phone)?|fax|whatsapp|sms|call|dial)(?![a-z])[^\d\n]{0,16}\Z")
SAID_BYTES = 40
MOST_GROUPS = 7


@functools.lru_cache(65536)
def is_phone(digits: str, region: str | None) -> bool:
    """Whether the number, as it is written, could have been given out; `region` is None where it begins with +."""
    import phonenumbers

    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return False
    if not phonenumbers.is_valid_number(number):
        return False
    if region is None:
        return True
    if number.country_code != phonenumbers.country_code_for_region(region):
        return False
    prefix = phonenumbers.ndd_prefix_for_region(region, True)
    # Only what writes its trunk prefix, where the plan's own format does.
    written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
    plain = "".join(filter(str.isdigit, written))
    return not prefix or not plain.startswith(prefix) or "".join(filter(str.isdigit, digits)) == plain


def phones(window: Window, regions: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """(start, stop) in the window of the candidate, where it is one."""
    text, begin = window.text, window.begin
    plus = text.rfind("+", max(begin - 3, 0), begin)
    if plus >= 0 and not text[plus + 1 : begin].strip(" ("):
        yield from _abroad(text, plus)
    elif not 8 <= window.digits <= 13:
        return
    elif window.groups == 1:
        match = _PIECE.match(text, begin)
        if match and _SAID.search(text, max(begin - SAID_BYTES, 0), begin) and any(is_phone(match[0], region) for region in regions):
            yield begin, match.end()
    elif window.groups <= MOST_GROUPS:
        begin -= text[begin - 1 : begin] == "("
        match = _GROUPS.match(text, begin)
        if match is None or _BEFORE.search(text, max(begin - 4, 0), begin) or _LIKE_A_DATE.match(match[0]):
            return
        if any(_grouped_as(match[0], region) and is_phone(_plain(match[0]), region) for region in regions):
            yield begin, match.end()


def _abroad(text: str, plus: int) -> Iterator[tuple[int, int]]:
    match = _ABROAD.match(text, plus)
    stop = match.end() if match and not (plus and (text[plus - 1].isalnum() or text[plus - 1] in "_+")) else plus
    while stop > plus + 7:  # what follows may be a number of its own, so the last groups are tried without
        if is_phone(_plain(text[plus:stop]), None):
            yield plus, stop
            return
        stop = plus + _without_last_group(text[plus:stop])


def _plain(found: str) -> str:
    return "".join(character for character in found if character.isdecimal() or character == "+")


def _without_last_group(found: str) -> int:
    """Length of what stands before the last gap; 0 where there is none."""
    match = re.search(r"[^0-9]+[0-9]+\Z", found)
    return match.start() if match else 0


@functools.lru_cache(1024)
def _is_north_american(region: str) -> bool:
    import phonenumbers

    return phonenumbers.country_code_for_region(region) == 1


def _grouped_as(found: str, region: str) -> bool:
    return not _is_north_american(region) or _NORTH_AMERICAN.match(found) is not None


def taken_for_phone(written: str, regions: tuple[str, ...]) -> bool:
    """Whether this would be found as a number, with whatever words before it."""
    if written.startswith("+"):
        return is_phone(_plain(written), None)
    return any(is_phone(_plain(written), region) for region in regions)


def unknown_regions(regions: tuple[str, ...]) -> list[str]:
    """Those that `phonenumbers` does not know."""
    import phonenumbers

    return [region for region in regions if region not in phonenumbers.SUPPORTED_REGIONS]
