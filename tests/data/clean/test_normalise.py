"""Normalising: the same text gets the same characters; done twice it does no more; what one sees stays."""

from __future__ import annotations

import time
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.data.clean.normalise import Normalise

AWKWARD = st.text(
    st.characters(codec="utf-8") | st.sampled_from("\r\n\t \v\f\x85\u2028\u00a0\u200b\ufeff\u0301e\u00a8\ufb01\u1100\u1161\x00")
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\nb\rc\x85d\u2028e\vf\fg", "a\nb\nc\nd\ne\nf\ng"),
        ("e\u0301 \u212b", "\u00e9 \u00c5"),
        ("one\u00a0two\u2003three\u3000four", "one two three four"),
        ("zero\u200bwidth \u00adsoft \ufeffmark \u202eback\x00\x1b\x7f", "zerowidth soft mark back"),
        (
            "family \U0001f468\u200d\U0001f469\u200d\U0001f467 \u0645\u06cc\u200c\u062e",
            "family \U0001f468\u200d\U0001f469\u200d\U0001f467 \u0645\u06cc\u200c\u062e",
        ),
        ("def f():\n    if x:\n\treturn  1", "def f():\n    if x:\n\treturn  1"),
        ("a  \n\n\n\n\t\nb\n", "a\n\nb"),
        ("\n \n  indented\n  ", "  indented"),
        ("e\u00ad\u0301", "\u00e9"),
        ("ﬁne ²", "ﬁne ²"),
        ("", ""),
        (" \n\t", ""),
    ],
)
def test_what_changes_and_what_stays(text: str, expected: str) -> None:
    assert Normalise().normalised(text) == expected


def test_options() -> None:
    assert Normalise(form="NFKC").normalised("ﬁne ²") == "fine 2"
    assert Normalise(form="none").normalised("e\u0301\r\n") == "e\u0301"
    assert Normalise(max_blank_lines=None).normalised("a\n\n\n\nb") == "a\n\n\n\nb"
    assert Normalise(max_blank_lines=0).normalised("a\n\nb") == "a\nb"


@given(AWKWARD, st.sampled_from(["NFC", "NFKC", "none"]), st.sampled_from([None, 0, 1, 2]))
def test_twice_is_once(text: str, form: Any, blank: Any) -> None:
    step = Normalise(form=form, max_blank_lines=blank)
    once = step.normalised(text)
    assert step.normalised(once) == once
    assert form == "none" or unicodedata.is_normalized(form, once)
    assert not set(once) & set("\r\v\f\x85\u2028\u00a0\u200b\ufeff\x00") and once == once.rstrip()


@pytest.mark.parametrize("unit", ["\t", " ", "\n", "\r", "x \n", "\u00a0", "e\u0301", "\u200b"])
def test_time_grows_with_the_text_only(unit: str) -> None:
    begun = time.process_time()
    Normalise().normalised(unit * 200_000 + "x")
    assert time.process_time() - begun < 1


@pytest.mark.parametrize("form", ["NFC", "NFKC"])
def test_every_character_that_is_not_in_form_is_stable(form: Any) -> None:
    step = Normalise(form=form)
    characters = [chr(code) for code in range(0x30000) if not 0xD800 <= code < 0xE000]
    odd = [character for character in characters if not unicodedata.is_normalized(form, character)]
    assert len(odd) > 1000
    once = step.normalised("".join(f"x{character}y{character}\n" for character in odd))
    assert step.normalised(once) == once
