"""Boilerplate: lines of a page that are about the site and not about anything: cookie banners, navigation, rights, calls to share."""

from __future__ import annotations

import re
from collections import Counter
from functools import cached_property
from typing import Annotated, ClassVar

from pydantic import Field

from ropewalk.data.steps import Batch, Change, Step, rewrite

RULES: dict[str, tuple[str, ...]] = {
    "cookies": (
        r"\b(?:we|(?:web)?site|page|app)\b.{0,40}\buses? (?:[\w-]+ ){0,3}cookies?\b",
        r"\bby (?:using|continuing|browsing|clicking)\b.{0,80}\bcookies?\b",
        r"^\W*(?:accept|reject|allow|decline|manage|enable)(?: all| only)?(?: necessary| essential)? cookies?\W*$",
        r"\bcookie (?:policy|settings|preferences|notice|consent)\b",
        r"\bgdpr\b.{0,40}consent",
    ),
    "rights": (
        r"all rights reserved",
        r"^\W*(?:copyright\b\W*)?(?:©|\(c\))\W*(?:copyright\W*)?(?:19|20)\d\d\b",
        r"^copyright (?:©|\(c\)|(?:19|20)\d\d)",
    ),
    "navigation": (
        r"^\W*skip to (?:main )?(?:content|navigation)\W*$",
        r"^\W*(?:back|return|scroll|jump) to (?:the )?(?:top|home ?page)\W*$",
        r"^\W*(?:previous|next|older|newer) (?:post|article|entry|entries|page)s?\W*$",
        r"^\W*(?:toggle navigation|(?:main|site) (?:menu|navigation)|breadcrumbs?|site ?map)\W*$",
        r"^\W*home(?: *[|>»/·•] *\w[\w &]{0,30}){1,12}\W*$",
    ),
    "sharing": (
        r"^\W*(?:share (?:(?:this )?(?:on|via)|this (?:page|post|article|story))\b|(?:follow|like|find) us on\b|click to share\b)",
        r"^\W*(?:tweet|pin it|email this|print this page)\W*$",
    ),
    "calls": (
        r"^\W*(?:sign up|subscribe)\b.{0,40}\b(?:newsletter|mailing list|e-?mail updates?|rss)",
        r"^\W*(?:log ?in|sign ?in)(?: (?:or|/|to) .{0,40})?\W*$",
        r"^\W*(?:read more|continue reading|learn more|click here|load more|show more|view all|leave a (?:comment|reply))\W*$",
        r"^\W*(?:advertisements?|sponsored(?: content)?)\W*$",
        r"enable javascript|javascript (?:is|to be) (?:disabled|enabled|required)",
    ),
    "policies": (
        r"^\W*(?:(?:privacy policy|terms (?:of (?:use|service)|(?:and|&) conditions)|disclaimer|contact us|about us|help)\W{0,4}){2,12}$",
        r"^\W*(?:privacy policy|terms of (?:use|service))\W*$",
    ),
}
"""Rule -> patterns, looked for in short lines in any case. RE2 reads them too, so that one fast pass tells the texts that have none."""


class Boilerplate(Step, type="boilerplate"):
    """Removes short lines of site furniture, a rule a field. What is said within longer lines stays."""

    shows_changes: ClassVar[bool] = True
    cookies: bool = True
    """Cookie banners."""
    rights: bool = True
    """Copyright lines and "all rights reserved"."""
    navigation: bool = True
    """Menus, bread crumbs, "skip to content", "next post"."""
    sharing: bool = True
    """Invitations to share and follow."""
    calls: bool = True
    """Log in, subscribe, read more, enable JavaScript."""
    policies: bool = True
    """Rows of links to terms and policies."""
    phrases: list[str] = []
    """Further phrases, in any case; a short line that holds one goes."""
    repeated: Annotated[int, Field(ge=2)] | None = None
    """A short line that is there so often (4, say) is a page's running head, and only its first place stays. Not for plays and manuals."""
    max_line_characters: Annotated[int, Field(gt=0)] = 160
    """Longer lines are text."""

    def apply(self, batch: Batch) -> Change:
        """Counts removed lines by rule."""
        import pyarrow.compute as pc

        names = [*self._patterns, *(["repeated"] if self.repeated else [])]
        hint = "(?im)" + "|".join(f"(?:{pattern.pattern})" for pattern in self._patterns.values())
        hinted = pc.match_substring_regex(batch.table["text"], hint).to_pylist() if self._patterns else [False] * len(batch)
        texts = []
        counts: dict[str, list[int]] = {name: [] for name in names}
        for text, is_hinted in zip(batch.texts, hinted, strict=True):
            removed: Counter[str] = Counter()
            texts.append(self._without(text, is_hinted, removed))
            for name, column in counts.items():
                column.append(removed[name])
        return rewrite(texts, **counts)

    @cached_property
    def _patterns(self) -> dict[str, re.Pattern[str]]:
        chosen = {name: "|".join(patterns) for name, patterns in RULES.items() if getattr(self, name)}
        if self.phrases:
            chosen["phrases"] = "|".join(map(re.escape, self.phrases))
        return {name: re.compile(pattern, re.IGNORECASE) for name, pattern in chosen.items()}

    def _without(self, text: str, is_hinted: bool, removed: Counter[str]) -> str:
        lines = text.split("\n")
        if is_hinted:
            lines = [line for line in lines if not self._matched(line, removed)]
        if self.repeated and len(lines) >= self.repeated:
            lines = self._once(lines, removed)
        return "\n".join(lines) if removed.total() else text

    def _matched(self, line: str, removed: Counter[str]) -> bool:
        if len(line) > self.max_line_characters:
            return False
        for name, pattern in self._patterns.items():
            if pattern.search(line):
                removed[name] += 1
                return True
        return False

    def _once(self, lines: list[str], removed: Counter[str]) -> list[str]:
        """Without the later places of lines that are there `repeated` times."""
        if len(set(lines)) > len(lines) - (self.repeated or 0) + 1:
            return lines
        often = {
            line
            for line, number in Counter(lines).items()
            if number >= (self.repeated or 0) and len(line) <= self.max_line_characters and any(map(str.isalpha, line))
        }
        seen: set[str] = set()
        kept = []
        for line in lines:
            if line in seen:
                removed["repeated"] += 1
            else:
                kept.append(line)
            if line in often:
                seen.add(line)
        return kept
