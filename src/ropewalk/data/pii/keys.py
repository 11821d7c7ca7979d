"""Secrets of machines: keys with a well-known beginning, and private keys in their armour."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

from ropewalk.data.pii.window import Window

LONGEST_TOKEN, LONGEST_ARMOUR = 4096, 16384  # bytes behind the beginning that are looked at
LEAST_BITS = 2.0
"""Entropy a character of its last 24 below which it is a placeholder (`sk_live_xxxxxxxxxxxxxxxxxxxxxxxx`); random hex has about 3.4."""

# Beginning, then what follows it: as the issuers document them or their scanners look for them.
_SHAPES = (
    r"(?:AKIA|ASIA)[A-Z2-7]{16}",  # AWS
    r"gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}",  # GitHub
    r"gl(?:pat|dt|rt|ptt|ft|soat|cbt)-[A-Za-z0-9_-]{20,64}",  # GitLab
    r"xox[abeoprs]-[A-Za-z0-9-]{16,250}|xapp-[0-9]-[A-Za-z0-9-]{30,250}",  # Slack
    r"[sr]k_(?:live|test)_[A-Za-z0-9]{20,247}|whsec_[A-Za-z0-9]{32,64}",  # Stripe
    r"AIza[A-Za-z0-9_-]{35}|GOCSPX-[A-Za-z0-9_-]{28}",  # Google
    r"sk-ant-[A-Za-z0-9_-]{32,200}",  # Anthropic
    r"sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{32,250}|sk-[A-Za-z0-9]{32,64}|sk-or-v1-[0-9a-f]{64}",  # OpenAI, OpenRouter
    r"hf_[A-Za-z]{34}|r8_[A-Za-z0-9]{37}|gsk_[A-Za-z0-9]{52}",  # Hugging Face, Replicate, Groq
    r"npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,250}",  # npm, PyPI
    r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|do[opr]_v1_[0-9a-f]{64}|dckr_pat_[A-Za-z0-9_-]{27}",  # Shopify, DigitalOcean, Docker
    r"(?:SK|AC)[0-9a-f]{32}|key-[0-9a-f]{32}|ya29\.[A-Za-z0-9_-]{30,250}",  # Twilio, Mailgun, Google OAuth
    r"lin_api_[A-Za-z0-9]{40}|figd_[A-Za-z0-9_-]{40}|PMAK-[0-9a-f]{24}-[0-9a-f]{34}|nvapi-[A-Za-z0-9_-]{60,70}",
    r"eyJ[A-Za-z0-9_-]{14,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}",  # a signed JSON web token
)
_KEY = re.compile(rf"(?:{'|'.join(_SHAPES)})(?![A-Za-z0-9_])", re.ASCII)
_BEFORE_DOT = re.compile(r"(?<![A-Za-z0-9_-])SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])", re.ASCII)  # SendGrid
_BOT = re.compile(r"(?<![A-Za-z0-9])[0-9]{8,10}:AA[A-Za-z0-9_-]{33}(?![A-Za-z0-9_-])", re.ASCII)  # Telegram
PREFIXES = (
    "AK", "AS", "gh", "gi", "gl", "xo", "xa", "sk", "rk", "wh", "AI", "GO", "hf", "r8", "gs", "np", "py", "sh", "do", "dc", "SK", "AC",
    "ke", "ya", "li", "fi", "PM", "nv", "ey",
)  # fmt: skip
"""The first two bytes of each; the scan stops at these only."""
BEHIND = 13  # bytes before a candidate that may belong to it

_BEGIN = re.compile(r"-----BEGIN ((?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?)-----")
_BASE64 = re.compile(r"[A-Za-z0-9+/=]{16,}")


def entropy(text: str) -> float:
    """Bits a character, by how often each turns up."""
    return -sum(number / len(text) * math.log2(number / len(text)) for number in Counter(text).values())


def api_keys(window: Window) -> Iterator[tuple[int, int]]:
    """(start, stop) in the window of the key that the candidate is or belongs to."""
    match = _KEY.match(window.text, window.begin)
    if match is None and window.begin:
        if window.text[window.begin - 1] == ".":
            match = _BEFORE_DOT.match(window.text, max(window.begin - 3, 0))
        elif window.text[window.begin - 1] == ":":
            match = _BOT.search(window.text, max(window.begin - 11, 0))
    if match is not None and match.start() <= window.begin and entropy(match[0][-24:]) >= LEAST_BITS:
        yield match.start(), match.end()


def private_keys(window: Window) -> Iterator[tuple[int, int]]:
    """The armoured block that begins with the candidate; one that breaks off goes to where its base64 ends."""
    begin = _BEGIN.match(window.text, window.begin)
    if begin is None:
        return
    dashes = window.text.find("-----", begin.end())
    body = window.text[begin.end() : dashes if dashes >= 0 else len(window.text)]
    end = f"-----END {begin[1]}-----"
    whole = dashes >= 0 and window.text.startswith(end, dashes)
    body = body if whole else body[: armoured(body)]
    if _BASE64.search(body):  # else there is "..." where a key would be
        yield window.begin, begin.end() + len(body) + (len(end) if whole else 0)


def armoured(body: str) -> int:
    """How far lines of base64 and headers go."""
    stop = 0
    for line in re.finditer(r"[^\S\n]*([^\n]*)(?:\n|\Z)", body):
        if line[1].strip() and not (re.fullmatch(r"[A-Za-z0-9+/=\\nr]+\s*", line[1]) or ": " in line[1]):
            break
        stop = line.start(1) + len(line[1].rstrip()) if line[1].strip() else stop
        if line.end() == len(body):
            break
    return stop
