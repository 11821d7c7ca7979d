"""Personal data goes, what only looks like it stays, and nothing is found twice (case O12)."""

from __future__ import annotations

import ipaddress
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.data.corpus import from_documents
from ropewalk.data.pii.ip import is_public
from ropewalk.data.pii.pii import Pii
from ropewalk.data.records import Document
from ropewalk.data.steps import Batch


def cleaned(text: str, **fields: Any) -> str:
    change = Pii(**fields).apply(Batch(from_documents([Document("a", text)])))
    assert change.texts is not None
    return change.texts[0]


UNTOUCHED = [
    "version 8.8.8.8000",
    "build 52.12.4.123456",
    "1700000000",
    "order 4155550123",
    "127.0.0.1",
    "10.0.0.1 and 192.168.1.1 and 169.254.1.1 and 0.0.0.0 and 255.255.255.255",
    "v8.8.8.8 novas-3.1.1.3",
    "Of dates.\n8.5.1.4. Special values\n8.5.1.5.\u00a0Other values",
    "1.8.8.8.8",
    "8.8.8.8.8",
    "8.8.8.8.com",
    "8.8.8.256",
    "08.8.8.8",
    "192.0.2.1 and 198.51.100.7 are for documentation, 224.0.0.1 for many",
    "2001:db8::1 and fe80::1 and ::1 and fd00::1 and ff02::1",
    "std::vector a::b 12:30:45 aa:bb:cc:dd:ee:ff 1:2:3:4:5:6:7",
    "00:11:22:33:44:55:66:77",
    "section 2:3 at 10:20",
    "@decorator user@localhost @user a@b 5@3.x.1 x @ y.com",
    "matrix@product",
    "https://example.com/@user/page",
]


@pytest.mark.parametrize("text", UNTOUCHED)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert cleaned(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8.8.8.8:443", "<IP>:443"),
        ("section 5.5.5.5", "section <IP>"),
        ("\n8.8.8.8 Google\n1.1.1.1\n9.9.9.9.\n", "\n<IP> Google\n<IP>\n<IP>.\n"),
        ("8.8.8.8-8.8.4.4", "<IP>-<IP>"),
        ("at 8.8.8.8. Then 1.1.1.1, (9.9.9.9) and 8.8.4.0/24", "at <IP>. Then <IP>, (<IP>) and <IP>/24"),
        ("2606:4700:4700::1111", "<IP>"),
        ("[2606:4700:4700::1111]:443", "[<IP>]:443"),
        ("from 2606:4700:4700::1111: unreachable. 2A00:1450:4001:81B::200E.", "from <IP>: unreachable. <IP>."),
        ("2606:4700::", "<IP>"),
        ("ping ::ffff:8.8.8.8", "ping ::ffff:<IP>"),
        ("first.last+tag@sub.example.co.uk", "<EMAIL>"),
        ("<a@b.org>, mailto:c_d-e@f-g.io; 'h@i.de'.", "<<EMAIL>>, mailto:<EMAIL>; '<EMAIL>'."),
        ("a@b.org,c@d.org a@b.org@c.org", "<EMAIL>,<EMAIL> a@<EMAIL>"),
        ("o'neill@x.ie ...dots@x.ie", "<EMAIL> ...<EMAIL>"),
        ("write to ann@x.com.", "write to <EMAIL>."),
        ("ann@8.8.8.8", "ann@<IP>"),
    ],
)
def test_what_is_found_goes(text: str, expected: str) -> None:
    assert cleaned(text) == expected
    assert cleaned(expected) == expected


def test_a_rule_may_be_off_and_a_mask_keeps_the_shape() -> None:
    text = "section 5.5.5.5 by ann.b@x.com and 2606:4700::1"
    assert cleaned(text, kinds=["email"]) == "section 5.5.5.5 by <EMAIL> and 2606:4700::1"
    assert cleaned(text, kinds=["ip"]) == "section <IP> by ann.b@x.com and <IP>"
    masked = cleaned(text, replace="mask")
    assert masked == "section *.*.*.* by ***.*@*.*** and ****:****::*" and cleaned(masked, replace="mask") == masked


def test_counts_say_how_much_and_never_what() -> None:
    change = Pii().apply(Batch(from_documents([Document("a", "x@y.org 8.8.8.8 z@y.org"), Document("b", "nothing")])))
    assert change.counts == {"email": [2, 0], "ip": [1, 0]} and change.texts == ["<EMAIL> <IP> <EMAIL>", "nothing"]


PIECES = st.sampled_from(
    ["a", "B7", "@", ".", ":", "::", "8.8.8.8", "2606:4700::1", "x@y.org", " ", "-", "+", "é", "_", "\n", "255", "<IP>", "%", "'"]
)


@given(st.lists(PIECES, max_size=12).map("".join), st.sampled_from(["tag", "mask"]))
def test_twice_is_once(text: str, replace: Any) -> None:
    once = cleaned(text, replace=replace)
    assert cleaned(once, replace=replace) == once == cleaned(text, replace=replace)


@given(st.ip_addresses())
def test_exactly_public_addresses_go(address: Any) -> None:
    text = f"at {address} now"
    assert (cleaned(text) == "at <IP> now") == (is_public(str(address)) and "." not in str(address)[:-1].replace(".", "", 3))
    assert not is_public(str(address)) or address.is_global


@pytest.mark.parametrize("address", ["::ffff:1.2.3.4", "64:ff9b::1", "2002:808:808::1"])
def test_v6_addresses_that_stand_for_others_are_not_crashed_on(address: str) -> None:
    cleaned(address)


@pytest.mark.parametrize("unit", ["a", "a@", "1.", "aA0-", "a.", "@a.", "1:", ":", "f:", "8.8.8.8 ", "a@b.co ", "'", "x@y-"])
def test_time_grows_with_the_text_only(unit: str) -> None:
    step = Pii()

    def seconds(size: int) -> float:
        batch = Batch(from_documents([Document("a", unit * (size // len(unit)))]))
        begun = time.process_time()
        step.apply(batch)
        return time.process_time() - begun

    assert seconds(200_000) < 0.5  # 2 s a MiB at most, with room for a busy machine


def test_ip_network_module_agrees_on_the_public_range() -> None:
    assert is_public("8.8.8.8") and not is_public("a::b") and ipaddress.ip_address("a::b").version == 6
