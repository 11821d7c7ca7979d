"""Phone numbers: found by how people write them, judged by the numbering plans of `phonenumbers`.

- `+` and a country code: any number that its country could have given out.
- Without it: groups as the named regions write them, valid there. North America's are 3-3-4; elsewhere the trunk prefix must be
  there where the country has one.
- Behind a word such as `phone` or `fax`: groups that are valid in any of a few more countries, and `00` for `+`.
- Digits in one piece (`4155550123`) are ids, times and counts far more often: they count only behind such a word.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

from ropewalk.data.pii.window import Window

# One blank, dot, dash or slash, with brackets beside it or alone; the longer ones are a no-break space and dashes in UTF-8.
_ONE = r"(?:[ .\-/]|\xc2\xa0|\xe2\x80[\x90-\x93])"
_GAP = rf"(?:[()]{{0,2}}{_ONE}[()]{{0,2}}|[()]{{1,2}})"
_EXTENSION = r"(?: ?(?:x|ext\.?) ?\d{1,5})?"
_ABROAD = re.compile(rf"\+ ?\(?\d(?:{_GAP}?\d){{6,14}}{_EXTENSION}(?!\w)(?![.,/-]\d)", re.ASCII)
# Two to six groups: with one kind of gap all through, with the first in brackets, or `030/123-456`.
_GROUPS = re.compile(
    rf"(?:(?:1{_ONE}?)?\(\d{{2,5}}\)(?:{_ONE}?\d{{2,8}})(?:{_ONE}\d{{2,5}}){{0,4}}"
    rf"|\d{{1,5}}({_ONE})\d{{2,8}}(?:\1\d{{2,5}}){{0,4}}|\d{{2,5}}[ /]\d{{2,4}}-\d{{2,5}}){_EXTENSION}(?!\w)(?!{_GAP}\d)(?![.,:/-]\d)",
    re.ASCII,
)
_BEFORE = re.compile(r"(?:[\w+#$/.-]|[\d)][-.,/ ]|\d(?:\)|\xc2\xa0|\xe2\x80[\x90-\x93]))\Z", re.ASCII)
"""What a number without country code is not behind: it would be a part of something longer."""
_AMONG_OTHERS = re.compile(
    r"(?<![\w+#$/.-])(?<!\d[-./)])(?:1[-. ])?(?:\(\d{3}\) ?|\d{3}[-.])\d{3}[-.]\d{4}(?!\w)(?![-.,:/]\d)(?!\.\w)", re.ASCII
)
"""North America's dashes tell one number from the next where only blanks part them."""
_WORD_OR_PLUS = re.compile(r"[\w+]", re.ASCII)
_NORTH_AMERICAN = re.compile(r"(?:1\D{0,2})?\(?\d{3}\D{1,3}\d{3}\D{1,3}\d{4}\Z", re.ASCII)
_LIKE_A_DATE = re.compile(
    r"(?:19|20)\d\d\D[01]?\d\D[0-3]?\d|[0-3]?\d\D[01]?\d\D(?:19|20)\d\d|(?:19|20)\d\d\D{1,3}(?:19|20)\d\d\Z|\d{1,5}\.\d+\Z", re.ASCII
)
_PIECE = re.compile(r"(?<![\w+.-])\d{8,13}(?!\w)(?![.-]\w)", re.ASCII)
_SAID = re.compile(
    r"(?i)(?<![a-z<])(?:tel(?:ephone)?|phone|mobile|cell(?:phone)?|desk|office|fax|whatsapp|sms|call|dial|number|messages)(?![a-z])"
    r"(?: (?:is|me|us|on|at|to|no\.?|number)){0,3}[ \t.:=(]{0,4}\n?[ (]{0,2}\Z"
)
_EXTENDED = re.compile(r" ?(?:x|ext).*\Z")
SPOKEN_REGIONS = (
    "US",
    "GB",
    "AU",
    "AT",
    "BE",
    "BR",
    "CH",
    "DE",
    "DK",
    "ES",
    "FI",
    "FR",
    "IE",
    "IN",
    "IT",
    "NL",
    "NO",
    "PL",
    "PT",
    "SE",
    "ZA",
)
"""Where else a number behind a word may come from."""
SAID_BYTES = 40
MOST_GROUPS = 7


@functools.lru_cache(65536)
def is_phone(digits: str, region: str | None) -> bool:
    """Whether the number, as it is written, could have been given out; `region` is None where it begins with +."""
    import phonenumbers

    if region is not None and not _could_be(digits, region):
        return False
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
    plain = "".join(filter(str.isdigit, phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)))
    return not prefix or not plain.startswith(prefix) or digits == plain


def _could_be(digits: str, region: str) -> bool:
    """A quick look at the plan's shortest rule: it spares most numbers the whole way."""
    whole, prefix = _plan(region)
    return whole.fullmatch(digits) is not None or (digits.startswith(prefix) and whole.fullmatch(digits, len(prefix)) is not None)


@functools.cache
def _plan(region: str) -> tuple[re.Pattern[str], str]:
    import phonenumbers

    plan = phonenumbers.PhoneMetadata.metadata_for_region(region)
    assert plan is not None and plan.general_desc is not None, f"{region} is not among the regions that were checked"
    return re.compile(plan.general_desc.national_number_pattern or ""), plan.national_prefix or ""


def phones(window: Window, regions: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """(start, stop) in the window of the candidate, where it is one."""
    text, begin = window.text, window.begin
    plus = text.rfind("+", max(begin - 3, 0), begin)
    if plus >= 0 and not text[plus + 1 : begin].strip(" ("):
        yield from _abroad(text, plus)
        yield from _several(text, window, regions)
        return
    if window.digits >= 10 and window.groups >= 3:
        one = [*_whole(text, begin, window, regions)]
        yield from one or _several(text, window, regions)
    else:
        yield from _whole(text, begin, window, regions)


def _several(text: str, window: Window, regions: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    home = next((region for region in regions if _is_north_american(region)), None)
    for match in _AMONG_OTHERS.finditer(text, max(window.begin - 1, 0)) if home else ():
        if match.start() < window.stop and is_phone(_plain(match[0]), home):
            yield match.span()


def _whole(text: str, begin: int, window: Window, regions: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    if not 8 <= window.digits <= 13 or window.groups > MOST_GROUPS:
        return
    begin -= window.groups > 1 and text[begin - 1 : begin] == "("
    match = (_PIECE if window.groups == 1 else _GROUPS).match(text, begin)
    if match is None or _BEFORE.search(text, max(begin - 4, 0), begin) or _LIKE_A_DATE.match(match[0]):
        return
    said = _SAID.search(text, max(begin - SAID_BYTES, 0), begin) is not None
    written, digits, grouped = match[0], _plain(match[0]), window.groups > 1
    possible = (regions if grouped or said else ()) + (SPOKEN_REGIONS if grouped and said else ())
    abroad = said and digits.startswith("00") and is_phone("+" + digits[2:], None)
    if abroad or any(_grouped_as(written, region) and is_phone(digits, region) for region in possible):
        yield begin, match.end()


def _abroad(text: str, plus: int) -> Iterator[tuple[int, int]]:
    match = _ABROAD.match(text, plus)
    stop = match.end() if match and not _WORD_OR_PLUS.match(text, max(plus - 1, 0), plus) else plus
    while stop > plus + 7:  # what follows may be a number of its own, so the last groups are tried without
        if is_phone(_plain(text[plus:stop]), None):
            yield plus, stop
            return
        stop = plus + _without_last_group(text[plus:stop])


def _plain(found: str) -> str:
    """Its digits, and the plus, without an extension."""
    return "".join(character for character in _EXTENDED.sub("", found) if character.isdecimal() or character == "+")


def _without_last_group(found: str) -> int:
    """Length of what stands before the last gap; 0 where there is none."""
    match = re.search(r"[^0-9]+[0-9]+\Z", found)
    return match.start() if match else 0


@functools.lru_cache(1024)
def _is_north_american(region: str) -> bool:
    import phonenumbers

    return phonenumbers.country_code_for_region(region) == 1


def _grouped_as(found: str, region: str) -> bool:
    return not _is_north_american(region) or found.isdecimal() or _NORTH_AMERICAN.match(_EXTENDED.sub("", found)) is not None


def taken_for_phone(written: str, regions: tuple[str, ...]) -> bool:
    """Whether this would be found as a number, with whatever words before it."""
    if written.startswith("+"):
        return is_phone(_plain(written), None)
    return any(is_phone(_plain(written), region) for region in regions)


def unknown_regions(regions: tuple[str, ...]) -> list[str]:
    """Those that `phonenumbers` does not know."""
    import phonenumbers

    return [region for region in regions if region not in phonenumbers.SUPPORTED_REGIONS]
