"""The `pii` step's five everyday kinds as plain `re` over whole strings: what the compiled scan must find, no more and no less."""

from __future__ import annotations

import ipaddress
import math
import re
from collections import Counter
from collections.abc import Iterator

import phonenumbers

Found = tuple[int, int, str]

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_AT = re.compile(rf"@(?:{_LABEL}\.){{1,8}}[A-Za-z]{{2,24}}(?![A-Za-z0-9@-])")
_LOCAL = re.compile(r"[A-Za-z0-9_%+'-]+(?:\.[A-Za-z0-9_%+'-]+)*\Z")
_LOCAL_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._%+'-")
_MOST_LOCAL = 64


def emails(text: str) -> Iterator[Found]:
    last = 0
    for match in _AT.finditer(text):
        start = at = match.start()
        while start > max(last, at - _MOST_LOCAL - 1) and text[start - 1] in _LOCAL_CHARACTERS:
            start -= 1
        local = _LOCAL.search(text, start, at)
        if local is None or at - local.start() > _MOST_LOCAL:
            continue
        begin = local.start()
        while begin < at and text[begin] in "'-%+":
            begin += 1
        if begin < at:
            last = match.end()
            if not match[0].lower().endswith(".invalid"):
                yield begin, last, "email"


_V4 = re.compile(r"(?<![\w.])(?<![A-Za-z]-)(?!(?<=\n)[0-9.]{7,15}\.[ \xa0]+\S)(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?!\w)(?!\.\w)", re.ASCII)
_V6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{1,4}:[0-9A-Fa-f:]{1,34}(?![\w:])(?!\.\w)", re.ASCII)


def addresses(text: str) -> Iterator[Found]:
    for match in [*_V4.finditer(text), *_V6.finditer(text)]:
        found = match[0]
        if found.endswith(":") and not found.endswith("::"):
            found = found[:-1]
        try:
            address = ipaddress.ip_address(found)
        except ValueError:
            continue
        public = address.is_global and not address.is_multicast
        if public and (address.version == 4 or address in ipaddress.ip_network("2000::/3")):
            yield match.start(), match.start() + len(found), "ip"


_CARD = re.compile(
    r"(?<!\w)(?<!\d[-. ,/])(?<![-+.])(?:\d{12,19}|(?:\d{4} ){3}\d{1,4}(?: \d{3})?|(?:\d{4}-){3}\d{1,4}(?:-\d{3})?"
    r"|\d{4}([ -])\d{6}\1\d{4,5})(?!\w)(?![-. ,/]\d)",
    re.ASCII,
)
_NETWORKS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}"
    r"|(?:30[0-5]\d|3095|38\d\d|39\d\d)(?:\d{10}|\d{12,15})|36\d{12,17}|(?:6011|64[4-9]\d|65\d\d|62\d\d|35(?:2[89]|[3-8]\d))\d{12,15}"
    r"|(?:1800|2131)\d{11}|(?:5018|5020|5038|6304|6759|676[123])\d{12}"
)


_MAESTRO = re.compile(r"(?:50|5[6-9]|6\d)\d{10,17}")
_CARD_WORD = re.compile(r"(?i)(?<![a-z<])(?:card|credit|debit|maestro)s?(?![a-z])[^\d\n<*]{0,24}\Z", re.ASCII)


def cards(text: str) -> Iterator[Found]:
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match[0])
        doubled = [int(d) * (2 if place % 2 else 1) for place, d in enumerate(reversed(digits))]
        known = _NETWORKS.fullmatch(digits) or (
            _MAESTRO.fullmatch(digits) and _CARD_WORD.search(text, max(match.start() - 40, 0), match.start())
        )
        if known and sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0:
            yield match.start(), match.end(), "card"


_KEY = re.compile(
    r"(?<![A-Za-z0-9_-])(?:(?:AKIA|ASIA)[A-Z2-7]{16}|gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"
    r"|gl(?:pat|dt|rt|ptt|ft|soat|cbt)-[A-Za-z0-9_-]{20,64}|xox[abeoprs]-[A-Za-z0-9-]{16,250}|xapp-[0-9]-[A-Za-z0-9-]{30,250}"
    r"|[sr]k_(?:live|test)_[A-Za-z0-9]{20,247}|whsec_[A-Za-z0-9]{32,64}|AIza[A-Za-z0-9_-]{35}|GOCSPX-[A-Za-z0-9_-]{28}"
    r"|sk-ant-[A-Za-z0-9_-]{32,200}|sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{32,250}|sk-[A-Za-z0-9]{32,64}|sk-or-v1-[0-9a-f]{64}"
    r"|hf_[A-Za-z]{34}|r8_[A-Za-z0-9]{37}|gsk_[A-Za-z0-9]{52}|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,250}"
    r"|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|do[opr]_v1_[0-9a-f]{64}|dckr_pat_[A-Za-z0-9_-]{27}|(?:SK|AC)[0-9a-f]{32}|key-[0-9a-f]{32}"
    r"|lin_api_[A-Za-z0-9]{40}|figd_[A-Za-z0-9_-]{40}|PMAK-[0-9a-f]{24}-[0-9a-f]{34}|nvapi-[A-Za-z0-9_-]{60,70}"
    r"|eyJ[A-Za-z0-9_-]{17,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}"
    r"|SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}(?!-))(?![A-Za-z0-9_])|(?<![A-Za-z0-9])[0-9]{8,10}:AA[A-Za-z0-9_-]{33}(?![A-Za-z0-9_-])"
)


def keys(text: str) -> Iterator[Found]:
    for match in _KEY.finditer(text):
        tail = match[0][-24:]
        bits = -sum(n / len(tail) * math.log2(n / len(tail)) for n in Counter(tail).values())
        if bits >= 2:
            yield match.start(), match.end(), "api_key"


_ONE = "[ ./\xa0\u2010-\u2013-]"
_GAP = rf"(?:[()]{{0,2}}{_ONE}[()]{{0,2}}|[()]{{1,2}})"
_EXTENSION = r"(?: ?(?:x|ext\.?) ?\d{1,5})?"
_ABROAD = re.compile(rf"(?<!\w)(?<!\+)\+ ?\(?\d(?:{_GAP}?\d){{6,14}}{_EXTENSION}(?!\w)(?![.,/-]\d)", re.ASCII)
_ALONE = r"(?<![\w+#$/.-])(?<![\d)][-.,/ ])(?<!\d[)\xa0\u2010-\u2013])(?<!\+ )(?<!\+ \()(?<!\+\()"
_GROUPS = re.compile(
    rf"{_ALONE}(?:(?:1{_ONE}?)?\(\d{{2,5}}\)(?:{_ONE}?\d{{2,8}})(?:{_ONE}\d{{2,5}}){{0,4}}"
    rf"|\d{{1,5}}({_ONE})\d{{2,8}}(?:\1\d{{2,5}}){{0,4}}|\d{{2,5}}[ /]\d{{2,4}}-\d{{2,5}})"
    rf"{_EXTENSION}(?!\w)(?!{_GAP}\d)(?![.,:/-]\d)",
    re.ASCII,
)
_AMERICAN = re.compile(
    r"(?<![\w+#$/.-])(?<!\d[-./)])(?:1[-. ])?(?:\(\d{3}\) ?|\d{3}[-.])\d{3}[-.]\d{4}(?!\w)(?![-.,:/]\d)(?!\.\w)", re.ASCII
)
_PIECE = re.compile(rf"{_ALONE}\d{{8,13}}(?!\w)(?![.-]\w)(?!{_GAP}\d)", re.ASCII)
_DATE = re.compile(
    r"(?:19|20)\d\d\D[01]?\d\D[0-3]?\d|[0-3]?\d\D[01]?\d\D(?:19|20)\d\d|(?:19|20)\d\d\D{1,3}(?:19|20)\d\d\Z|\d{1,5}\.\d+\Z", re.ASCII
)
_WORD = re.compile(
    r"(?i)(?<![a-z<])(?:tel(?:ephone)?|phone|mobile|cell(?:phone)?|desk|office|fax|whatsapp|sms|call|dial|number|messages)(?![a-z])"
    r"(?: (?:is|me|us|on|at|to|no\.?|number)){0,3}[ \t.:=(]{0,4}\n?[ (]{0,2}\Z",
    re.ASCII,
)
_HOME = ("US", "GB")
_AWAY = ("AU", "AT", "BE", "BR", "CH", "DE", "DK", "ES", "FI", "FR", "IE", "IN", "IT", "NL", "NO", "PL", "PT", "SE", "ZA")


def _is_number(written: str, region: str | None) -> bool:
    digits = re.sub(r"[^\d+]", "", re.sub(r" ?(?:x|ext).*", "", written))
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return False
    if not phonenumbers.is_valid_number(number) or region is None:
        return phonenumbers.is_valid_number(number)
    if number.country_code != phonenumbers.country_code_for_region(region):
        return False
    if region == "US":
        three_three_four = re.match(r"(?:1\D{0,2})?\(?\d{3}\D{1,3}\d{3}\D{1,3}\d{4}(?!\d)", written)
        return written.isdecimal() or three_three_four is not None
    formatted = re.sub(r"\D", "", phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL))
    prefix = phonenumbers.ndd_prefix_for_region(region, True)
    return not prefix or not formatted.startswith(prefix) or formatted == digits


def phones(text: str) -> Iterator[Found]:
    """For the regions US and GB."""
    for match in _ABROAD.finditer(text):
        stop = match.end()
        while stop - match.start() > 7 and not _is_number(text[match.start() : stop], None):
            shorter = re.search(r"[^0-9]+[0-9]+\Z", text[match.start() : stop])
            stop = match.start() + (shorter.start() if shorter else 0)
        if stop - match.start() > 7:
            yield match.start(), stop, "phone"
    for match in _AMERICAN.finditer(text):
        if _is_number(match[0], "US"):
            yield *match.span(), "phone"
    for match in [*_GROUPS.finditer(text), *_PIECE.finditer(text)]:
        written = match[0]
        if _DATE.match(written) or not 8 <= sum(map(str.isdecimal, re.sub("[xe].*", "", written))) <= 13:
            continue
        said = _WORD.search(text, max(match.start() - 40, 0), match.start())
        grouped = not written.isdecimal()
        regions = (_HOME if grouped or said else ()) + (_AWAY if grouped and said else ())
        abroad = said and written.startswith("00") and _is_number("+" + written[2:], None)
        if abroad or any(_is_number(written, region) for region in regions):
            yield match.start(), match.end(), "phone"


FINDERS = {"email": emails, "ip": addresses, "card": cards, "api_key": keys, "phone": phones}
_RANK = ("api_key", "email", "card", "ip", "phone")


def spans(text: str) -> list[tuple[int, int, str]]:
    """(start, stop, kind) in bytes of UTF-8, none overlapping: the better-ranked kind has it."""
    found = [span for finder in FINDERS.values() for span in finder(text)]
    kept: list[Found] = []
    for span in sorted(found, key=lambda span: (span[0], _RANK.index(span[2]), -span[1])):
        while kept and kept[-1][1] > span[0] and _RANK.index(span[2]) < _RANK.index(kept[-1][2]):
            kept.pop()
        if not kept or kept[-1][1] <= span[0]:
            kept.append(span)
    if text.isascii():
        return kept
    return [(len(text[:start].encode()), len(text[:stop].encode()), kind) for start, stop, kind in kept]
