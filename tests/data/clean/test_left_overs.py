"""What extractors leave: mojibake, HTML, addresses, site furniture. Each step does its work once, counts it, in linear time."""

from __future__ import annotations

import time
from html import unescape

import ftfy
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ropewalk.core.errors import MissingExtra
from ropewalk.core.extras import extra_version
from ropewalk.data.clean.boilerplate import RULES, Boilerplate
from ropewalk.data.clean.html import Html, without_tags
from ropewalk.data.clean.normalise import Normalise
from ropewalk.data.clean.unicode import Unicode
from ropewalk.data.clean.url_lines import UrlLines, is_address_line
from ropewalk.data.corpus import from_documents
from ropewalk.data.records import Document
from ropewalk.data.steps import Batch, Step

STEPS: list[Step] = [
    Normalise(),
    Unicode(),
    Unicode(straighten_quotes=True),
    Html(),
    Html(entities=False),
    UrlLines(),
    Boilerplate(phrases=["hemp sale"], repeated=2),
    Boilerplate(max_line_characters=20),
]


def applied(step: Step, *texts: str) -> tuple[list[str], dict[str, list[int]]]:
    change = step.apply(Batch(from_documents([Document(f"d{number}", text) for number, text in enumerate(texts)])))
    assert change.texts is not None
    return list(change.texts), {name: list(numbers) for name, numbers in change.counts.items()}


PIECES = st.sampled_from(
    [
        *(
            "<b>",
            "</b>",
            "<p class='x'>",
            "<br/>",
            "<",
            ">",
            "<!--",
            "-->",
            "<script>",
            "</script>",
            "<style type=a>",
            "</style>",
            "<!doctype x>",
        ),
        *(
            "&amp;",
            "&lt;",
            "&gt;",
            "&",
            "amp;",
            "lt;",
            "#38;",
            "&#60;",
            "b>",
            "&eacute;",
            "script",
            "List<String>",
            "a < b",
            "\u00a0",
            "<html>",
        ),
        *(
            "\u00c3\u00a9",
            "\u00e2\u20ac\u2122",
            "\u00e2\u20ac",
            "\u0153",
            "\u00c2\u00a0",
            "\u201c",
            "\u2019",
            "\u00f0\u0178\u02dc\u20ac",
            "\x9d",
            "\u00e9",
            "\x85",
        ),
        *("https://a.org/x", "www.a.org", "- ", "(http://b.c)", "see ", "\n", "\n\n", " ", "\t", "word ", "hemp sale"),
        *(
            "Accept all cookies",
            "All rights reserved",
            "Home > Ropes > Hemp",
            "Read more",
            "Share on X",
            "Privacy policy | Help",
            "Skip to content",
        ),
    ]
)
ODD = st.lists(PIECES | st.text(max_size=4), max_size=14).map("".join)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.tag)
@settings(max_examples=60)
@given(texts=st.lists(ODD, min_size=1, max_size=4))
def test_done_twice_it_does_no_more_and_neighbours_do_not_matter(step: Step, texts: list[str]) -> None:
    once, counts = applied(step, *texts)
    twice, again = applied(step, *once)
    assert twice == once and not any(map(sum, again.values()))
    assert once == [applied(step, text)[0][0] for text in texts]
    for name, numbers in counts.items():
        assert all(number >= 0 for number in numbers), name
    if counts:
        untouched = [not any(numbers[place] for numbers in counts.values()) for place in range(len(texts))]
        quotes = isinstance(step, Unicode) and step.straighten_quotes
        assert quotes or all(before == after for before, after, same in zip(texts, once, untouched, strict=True) if same)


@settings(max_examples=300)
@given(ODD)
@example("voil\u00c3\u00a0 le travail")
@example("\u201cone\u201d \u00e2\u20ac\u0153two\u00e2\u20ac\x9d")
def test_mojibake_is_repaired_as_ftfy_does_line_by_line(text: str) -> None:
    wanted = "\n".join(ftfy.fix_encoding(line) for line in text.split("\n"))
    assert applied(Unicode(), text)[0] == [wanted]


@settings(max_examples=300)
@given(st.text(st.sampled_from("aZ0 \n\t.'\"\u2018\u2019\u201c\u201d\u2013\u2014\u2026<&")))
def test_good_typography_alone_is_never_taken_for_mojibake(text: str) -> None:
    assert not ftfy.badness.is_bad(text)


def test_lines_are_counted_and_good_text_stays() -> None:
    texts = ["caf\u00c3\u00a9\nna\u00efve caf\u00e9\n\u00e2\u20ac\u0153rope\u00e2\u20ac\x9d", "caf\u00e9 \u201crope\u201d", "plain"]
    found, counts = applied(Unicode(), *texts)
    assert found == ["caf\u00e9\nna\u00efve caf\u00e9\n\u201crope\u201d", texts[1], "plain"] and counts == {"repaired_lines": [2, 0, 0]}
    assert applied(Unicode(straighten_quotes=True), *texts)[0] == ['caf\u00e9\nna\u00efve caf\u00e9\n"rope"', 'caf\u00e9 "rope"', "plain"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<b>T</b>he <i class='x'>rope</i>", "The rope"),
        ("<p>One</p><p>Two<br/>three</p>", "\nOne\n\nTwo\nthree\n"),
        (
            "a < b and b > c, List<String> x, <stdio.h>, <meta path finder>",
            "a < b and b > c, List<String> x, <stdio.h>, <meta path finder>",
        ),
        ("before<script type='x'>if (a<b) { x = '<b>' }</script>after", "before\nafter"),
        ("<style>p { color: red }</style><!-- a <b>note</b> -->text", "\ntext"),
        ("an open <script> without an end", "an open  without an end"),
        ("caf&eacute; &amp;amp;lt; &copy=1 &nosuch; &#233;&#xE9; AT&T", "caf\u00e9 < &copy=1 &nosuch; \u00e9\u00e9 AT&T"),
        ("&lt;b&gt;bold&lt;/b&gt;", "bold"),
        ("<<b>b>nested", "nested"),
        ('<a href="https://a.org?x=1&amp;y=2">link</a>', "link"),
        ("<input disabled><hr>x", "\nx"),
        ("5 <6> 7 -> <-", "5 <6> 7 -> <-"),
    ],
)
def test_html_goes_and_what_looks_like_it_stays(text: str, expected: str) -> None:
    assert applied(Html(), text)[0] == [expected]


def test_html_counts_what_it_took() -> None:
    _, counts = applied(Html(), "<b>a</b> &amp; b", "plain & simple < more")
    assert counts == {"tags": [2, 0], "entities": [1, 0]}
    assert applied(Html(entities=False), "<b>&amp;</b>")[0] == ["&amp;"]


@settings(max_examples=200)
@given(st.text(st.sampled_from("ab<>/! =\n"), max_size=40))
def test_tags_are_gone_after_one_pass(text: str) -> None:
    once, _ = without_tags(text)
    assert without_tags(once) == (once, 0)


@given(st.text(st.characters(codec="utf-8") | st.sampled_from("&;#x0123lgt"), max_size=30))
def test_every_entity_is_what_the_standard_library_reads(text: str) -> None:
    found = applied(Html(), f"&{text};")[0][0]
    if text.isascii() and text.isalnum() and unescape(f"&{text};")[-1] != ";" and unescape(f"&{text};") not in "<>&":
        assert found == unescape(f"&{text};")


def test_trafilatura_is_asked_for_by_its_extra() -> None:
    with pytest.raises(MissingExtra, match="needs the package no-such-package") as caught:
        extra_version("no-such-package", "data", "step html")
    assert caught.value.remedy == "pip install 'ropewalk[data]'" and Html().fingerprint() is None
    assert Unicode().fingerprint() == {"ftfy": ftfy.__version__}


def test_a_whole_page_is_its_main_text_where_trafilatura_is_installed() -> None:
    pytest.importorskip("trafilatura")
    body = "<p>" + "A rope is made of strands that are twisted, and each strand of yarns. " * 6 + "</p>"
    page = f"<!DOCTYPE html><html><head><title>Ropes</title></head><body><nav>Home</nav><article>{body}</article></body></html>"
    (found,), _ = applied(Html(pages="trafilatura"), page)
    assert "strands" in found and "Home" not in found and "<" not in found
    assert applied(Html(pages="trafilatura"), found, "no <b>page</b>")[0] == [found, "no page"]


@pytest.mark.parametrize(
    ("line", "is_one"),
    [
        ("https://a.org/x?y=1", True),
        ("  - https://a.org www.b.org/c", True),
        ("<https://a.org>", True),
        ("(HTTP://A.ORG)", True),
        ("ftp://a.org/f", True),
        ("see https://a.org", False),
        ("https://a.org is a site", False),
        ("www.", False),
        ("- *", False),
        ("", False),
    ],
)
def test_lines_of_addresses(line: str, is_one: bool) -> None:
    assert is_address_line(line) is is_one
    expected = (["text\nmore"], {"lines": [1]}) if is_one else ([f"text\n{line}\nmore"], {"lines": [0]})
    assert applied(UrlLines(), f"text\n{line}\nmore") == expected


BANNERS = {
    "cookies": ["We use cookies to help you.", "This website uses third-party cookies", "Accept all cookies", "Cookie policy"],
    "rights": ["\u00a9 2024 The Ropery", "Copyright (c) 1999-2003 A. Smith", "The Ropery. All Rights Reserved."],
    "navigation": ["Skip to main content", "Home > Ropes > Hemp", "\u2190 Previous post", "Back to top", "Home | About"],
    "sharing": ["Share on Facebook", "Follow us on Mastodon", "Tweet", "Share this article"],
    "calls": ["Subscribe to our newsletter", "Log in", "Sign in or register", "Read more \u00bb", "Please enable JavaScript"],
    "policies": ["Privacy Policy | Terms of Use | Contact us", "Terms of service"],
}  # fmt: skip
PROSE = [
    "The baker cooled the cookies on a rack while we talked.",
    "Functions that accept cookies and return them are listed below.",
    "He went home > as one did then.",
    "She could share this with nobody, and the next post lay twelve miles off.",
    "All rights and duties are reserved to the master of the walk.",
    "The log in the fire burnt low.",
    "You may read more of this in the second chapter, where the privacy of letters is treated.",
    "The contract said: all rights reserved, " + "and went on about hemp for a very long time indeed, " * 4,
]


def test_site_furniture_goes_under_its_rule_and_prose_stays() -> None:
    assert set(BANNERS) == set(RULES)
    for rule, lines in BANNERS.items():
        for line in lines:
            (found,), counts = applied(Boilerplate(), f"text\n{line}\nmore")
            assert found == "text\nmore" and {name for name, (number,) in counts.items() if number} == {rule}, line
            off = Boilerplate.model_validate({rule: False})
            assert applied(off, line)[0] == [line] or sum(map(sum, applied(off, line)[1].values())) == 1, line
    assert applied(Boilerplate(), *PROSE)[0] == PROSE


def test_phrases_of_ones_own_and_running_heads() -> None:
    text = "THE ROPE\npage one\nTHE ROPE\npage two\nHemp Sale today\nTHE ROPE\n---\n---\n---"
    found, counts = applied(Boilerplate(phrases=["hemp sale"], repeated=3), text)
    assert found == ["THE ROPE\npage one\npage two\n---\n---\n---"] and counts["phrases"] == [1] and counts["repeated"] == [2]
    assert applied(Boilerplate(), text)[0] == [text]


HOSTILE = {
    "open tags": "<a " * 100_000,
    "nested tags": "<b" * 100_000 + ">" * 100_000,
    "brackets": "<" * 150_000 + ">" * 150_000,
    "scripts": "<script>" * 40_000,
    "comments": "<!--" * 70_000,
    "entities": "&amp;" * 60_000 + "lt;b>",
    "hidden in each other": "&l" * 40_000 + "<b>" + "t;b>" * 40_000,
    "mojibake": "\u00c3\u00a9\u00e2\u20ac" * 60_000,
    "addresses": "https://a " * 30_000,
    "no breaks": "we use " * 40_000,
    "breadcrumbs": "home > " * 40_000,
    "line ends": " \n" * 100_000 + " " * 100_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_time_is_linear_on_hostile_text(name: str) -> None:
    text = HOSTILE[name]
    for step in STEPS:
        started = time.process_time()
        applied(step, text)
        assert time.process_time() - started < 2 * max(1, len(text.encode()) / 2**20), step.tag
