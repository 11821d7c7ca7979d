"""Left-overs of HTML: tags, entities, comments, scripts and style sheets that an extractor let through."""

from __future__ import annotations

import re
from html import unescape
from importlib import import_module
from typing import Any, ClassVar, Literal

from ropewalk.core.extras import extra_version
from ropewalk.data.steps import Batch, Change, Step, rewrite

_BLOCKS = (
    "address|article|aside|blockquote|body|br|caption|center|dd|details|dialog|div|dl|dt|fieldset|figcaption|figure|footer|form|frameset|"
    "h[1-6]|head|header|hgroup|hr|html|legend|li|main|menu|nav|noscript|ol|optgroup|option|p|pre|section|select|summary|table|tbody|td|"
    "template|textarea|tfoot|th|thead|title|tr|ul"
)
_INLINE = (
    "a|abbr|acronym|area|audio|b|base|basefont|bdi|bdo|big|button|canvas|cite|code|col|colgroup|data|datalist|del|dfn|em|embed|font|"
    "frame|i|iframe|img|input|ins|kbd|label|link|map|mark|meta|meter|nobr|object|output|param|picture|progress|q|rp|rt|ruby|s|samp|script|"
    "small|source|span|strike|strong|style|sub|sup|svg|time|track|tt|u|var|video|wbr"
)
_FLAGS = "async|autofocus|checked|controls|defer|disabled|hidden|multiple|novalidate|nowrap|readonly|required|reversed|selected"
# A known name right behind the bracket, then the end or attributes: `List<String>`, `a < b`, `<a, b>` and `<meta path>` are none.
_TAG = re.compile(
    rf"<(?:(!doctype)\b[^<>]*|/?(?:({_BLOCKS})|(?:{_INLINE}))(?:\s+[^<>]*=[^<>]*|\s+(?:{_FLAGS})\b[^<>]*)?\s*/?)>", re.IGNORECASE
)
_BRACKETS = re.compile("([<>])")
_ENTITY = re.compile(r"&(?:amp;|#38;|#x26;)*(#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
_UNSHOWN = re.compile(r"<(script|style|!--)(?:\s[^<>]*)?(>|(?<=--))", re.IGNORECASE)
_ENDS = {
    "script": re.compile(r"</script\s*>", re.IGNORECASE),
    "style": re.compile(r"</style\s*>", re.IGNORECASE),
    "!--": re.compile("-->"),
}
_PAGE = re.compile(r"\s*(?:<!--[^<>]{0,2000}-->\s*)?<(?:!doctype html|html)\b", re.IGNORECASE)
_HINT = r"<[A-Za-z/!]|&[#A-Za-z][0-9A-Za-z]{1,30};"
MOST_ROUNDS = 8


class Html(Step, type="html"):
    """Takes out tags, scripts, style sheets and comments and reads entities. A comparison (`a < b`) or `List<String>` stays."""

    shows_changes: ClassVar[bool] = True
    entities: bool = True
    """Read `&eacute;` as é, also where it was escaped twice (`&amp;eacute;`)."""
    pages: Literal["tags", "trafilatura"] = "tags"
    """A whole page (it begins with `<html` or a doctype): take out its tags, or keep what trafilatura finds to be its main text."""

    def fingerprint(self) -> Any:
        """trafilatura's version, where it is asked for."""
        return {"trafilatura": extra_version("trafilatura", "data", "step html with pages: trafilatura")} if self.pages != "tags" else None

    def apply(self, batch: Batch) -> Change:
        """Counts tags and entities; documents with neither are told by one pass of Arrow and cost no more."""
        import pyarrow.compute as pc

        hinted = pc.match_substring_regex(batch.table["text"], _HINT).to_pylist()
        found = [self.stripped(text) if is_hinted else (text, 0, 0) for text, is_hinted in zip(batch.texts, hinted, strict=True)]
        return rewrite([text for text, _, _ in found], tags=[tags for _, tags, _ in found], entities=[number for _, _, number in found])

    def stripped(self, text: str) -> tuple[str, int, int]:
        """(text, tags, entities), again and again until nothing is left to do: an entity may have hidden a tag."""
        if self.pages == "trafilatura" and _PAGE.match(text):
            text = _main_text(text)
        tags = entities = 0
        for _ in range(MOST_ROUNDS):
            before = text
            text, number = without_tags(text)
            tags += number
            if self.entities:
                text, number = _ENTITY.subn(_character, text)
                entities += number
            if text == before:
                return text, tags, entities
        # Mark-up within mark-up so deep is made to keep a cleaner busy: without these three characters there is none.
        return text.translate({ord(character): None for character in "<>&"}), tags, entities


def without_tags(text: str) -> tuple[str, int]:
    """(text without tags and what is never shown, tags). One pass with a stack, so `<<b>b>` can't hide the outer one."""
    text, number = _without_unshown(text)
    out: list[str] = []
    open_at: list[int] = []  # where in `out` a bracket stands that a tag may begin with
    for part in _BRACKETS.split(text):
        if part == "<":
            open_at.append(len(out))
        if part == ">" and open_at:
            start = open_at.pop()
            found = _TAG.fullmatch("".join([*out[start:], ">"]))
            if found:
                del out[start:]
                number += 1
                if found[1] or found[2]:
                    out.append("\n")
                continue
            open_at.clear()  # this `>` stands between an earlier bracket and all that follows
        out.append(part)
    return ("".join(out), number) if number else (text, 0)


def _without_unshown(text: str) -> tuple[str, int]:
    """Without comments, scripts and style sheets; one that never ends is left to the tags. Each end is looked for in vain once."""
    parts: list[str] = []
    position = number = 0
    endless: set[str] = set()
    for found in _UNSHOWN.finditer(text):
        kind = found[1].lower()
        if found.start() < position or kind in endless:
            continue
        end = _ENDS[kind].search(text, found.end())
        if end is None:
            endless.add(kind)
            continue
        parts += [text[position : found.start()], "\n" if kind != "!--" else ""]
        position = end.end()
        number += 1
    return ("".join(parts) + text[position:], number) if number else (text, 0)


def _character(found: re.Match[str]) -> str:
    return unescape(f"&{found[1]};")


def _main_text(page: str) -> str:
    """The page itself where nothing was found."""
    found: str | None = import_module("trafilatura").extract(page, include_comments=False)
    return found or page
