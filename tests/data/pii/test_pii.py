"""Personal data goes, what only looks like it stays, and nothing is found twice (case O12)."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.core.errors import ConfigError, MissingExtra
from ropewalk.data.corpus import from_documents
from ropewalk.data.pii.ip import is_public
from ropewalk.data.pii.pii import Pii
from ropewalk.data.records import Document
from ropewalk.data.steps import Batch, Change

ALL: list[Any] = ["email", "ip", "phone", "card", "iban", "national_id", "api_key", "private_key", "url_credentials", "crypto"]
SECRET = "a secret of at least sixteen bytes"


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROPEWALK_PII_KEY", SECRET)


def changed(texts: list[str], **fields: Any) -> Change:
    return Pii(**{"kinds": ALL, **fields}).apply(Batch(from_documents([Document(str(row), text) for row, text in enumerate(texts)])))


def cleaned(text: str, **fields: Any) -> str:
    texts = changed([text], **fields).texts
    assert texts is not None
    return str(next(iter(texts)))


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
    # Siblings of the case: numbers of other things, by the dozen in any log or page.
    "message 1234567890123456 id 9876543210 uid 20211203123456789 at 1700000000000",
    "<20240102030405.1234567890.17@x> ISBN 978-3-16-148410-0, ISSN 2049-3630, doi 10.1000/182.2345",
    "2021-03-26 12:12:52, 02/29/2000, 2006-2026, 2016-01-02 2017-01-02, 20210326",
    "commit 4155550123ab 356a192b7913b04c54574d18c28d46e6395428ab, 550e8400-e29b-41d4-a716-446655440000",
    "3.141592653589793, 1,234,567,890 and 1 234 567 890, -9223372036854775807, 4.111111111111111",
    "CVE-2020-10543, RFC 2616, SKU 111-222-3333, 123-456-7890, 000-12-3456, 666-12-3456, 123-00-4567",
    "1234 5678 9012 3456 and 4111 1111 1111 1112 and 4111 1111-1111 1111",
    "-14155550123 $415.555.0123 #415-555-0123 0x4155550123 415-555-0123-1 1.415.555.0123.2",
    "GB00QZXO20740530696990 GB85QZXO2074053069699 DE12",
    "AKIA sk-learn ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx sk_live_ PyUnicode_FromStringAndSize AKIAIOSFODNN7EXAMPLEX",
    "-----BEGIN CERTIFICATE-----\nMIIBszCCARygAwIBAgIJAKc\n-----END CERTIFICATE-----",
    "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
    "https://$USER:$PASSWORD@host http://host:80/a@b://c ftp://user@host std://a:@b",
    "0x0000000000000000000000000000000000000000 0x5aAeb6053f3E94C9b9A09f33669435E7Ef1BeAed 1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3",
    "111222333 12345678A 44051401359 52998224725 36574261809 234123412346",
]


@pytest.mark.parametrize("text", UNTOUCHED)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert cleaned(text) == text


KEY = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIEpAIBAAKCAQEA7bq\nx2+/aaaaBBBB99==\n"
FOUND = [
    ("8.8.8.8:443", "<IP>:443"),
    ("section 5.5.5.5", "section <IP>"),
    ("\n8.8.8.8 Google\n1.1.1.1\n9.9.9.9.\n", "\n<IP> Google\n<IP>\n<IP>.\n"),
    ("8.8.8.8-8.8.4.4", "<IP>-<IP>"),
    ("at 8.8.8.8. Then 1.1.1.1, (9.9.9.9) and 8.8.4.0/24", "at <IP>. Then <IP>, (<IP>) and <IP>/24"),
    ("地址8.8.8.8。", "地址<IP>。"),
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
    ("call (415) 555-0123, 415-555-0124 or 415.555.0125.", "call <PHONE>, <PHONE> or <PHONE>."),
    ("+1 415 555 0123, +442079460958; +49 (30) 901820", "<PHONE>, <PHONE>; <PHONE>"),
    ("ring 020 7946 0958 or 07400 123456", "ring <PHONE> or <PHONE>"),
    ("415-555-0123 (415) 555-0124 12 415.555.0125 2021", "<PHONE> <PHONE> 12 <PHONE> 2021"),
    ("phone: 4155550123, Fax:\n01.84.17.61.18", "phone: <PHONE>, Fax:\n<PHONE>"),
    ("(212)272-9781x0135 mobile 001-518-640-0854", "<PHONE> mobile <PHONE>"),
    ("+1\u00a0415\u00a0555\u00a00123 415\u2011555\u20110123", "<PHONE> <PHONE>"),
    ("4111 1111 1111 1111, 4111111111111111; 3782-822463-10005 and 30569309025904.", "<CARD>, <CARD>; <CARD> and <CARD>."),
    ("+442079460958 4155550123 and <CARD> 676222165679", "<PHONE> 4155550123 and <CARD> 676222165679"),  # a tag is no word for it
    ("my card is 676222165679, the number 676222165679", "my card is <CARD>, the number 676222165679"),
    ("GB82WEST12345698765432, DE89 3704 0044 0532 0130 00.", "<IBAN>, <IBAN>."),
    ("NO93 8601 1117 947 FR14 2004 1010 0505 0001 3M02 606", "<IBAN> <IBAN>"),
    ("SSN 123-45-6789 or ssn: 123456789", "SSN <NATIONAL_ID> or ssn: <NATIONAL_ID>"),
    ("AB123456C, AB 12 34 56 C", "<NATIONAL_ID>, <NATIONAL_ID>"),
    ("12345678Z X1234567L RSSMRA85T10A562S", "<NATIONAL_ID> <NATIONAL_ID> <NATIONAL_ID>"),
    ("PESEL 44051401359; BSN: 111222333; CPF 52998224725", "PESEL <NATIONAL_ID>; BSN: <NATIONAL_ID>; CPF <NATIONAL_ID>"),
    ("529.982.247-25, 756.9217.0769.85", "<NATIONAL_ID>, <NATIONAL_ID>"),
    ("Steuer-ID 36 574 261 809 und 2341 2341 2346", "Steuer-ID <NATIONAL_ID> und <NATIONAL_ID>"),
    ("131052-308T 131052A308T 880320-0016 18910101+0003", "<NATIONAL_ID> <NATIONAL_ID> <NATIONAL_ID> 18910101+0003"),
    ("key=AKIAIOSFODNN7EXAMPLE&x", "key=<API_KEY>&x"),
    ("'ghp_0123456789abcdefghijABCDEFGHIJ012345' sk-proj-abcDEF0123456789_-abcDEF0123456789", "'<API_KEY>' <API_KEY>"),
    ("xoxb-123456789012-abcdefGHIJKL hf_abcdefghijklmnopqrstuvwxyzABCDEFGH", "<API_KEY> <API_KEY>"),
    ("AIzaSyA-1234567890abcdefghijklmnopqrstu SG.abcdefghijklmnopqrstuv." + "aB3dE5" * 7 + "x", "<API_KEY> <API_KEY>"),
    ("bot123456789:AAabcdefghijklmnopqrstuvwxyz0123456", "bot123456789:AAabcdefghijklmnopqrstuvwxyz0123456"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9", "<API_KEY>"),
    (f"a\n{KEY}-----END RSA PRIVATE KEY-----\nb", "a\n<PRIVATE_KEY>\nb"),
    (f"a\n{KEY}\nThe rest of it is lost.", "a\n<PRIVATE_KEY>\n\nThe rest of it is lost."),
    ("postgres://ann:s3cr@t@db.example.com:5432/x", "postgres://<URL_CREDENTIALS>@db.example.com:5432/x"),
    ("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2 bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "<CRYPTO> <CRYPTO>"),
    ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "<CRYPTO>"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), FOUND)
def test_what_is_found_goes(text: str, expected: str) -> None:
    assert cleaned(text) == expected
    assert cleaned(expected) == expected == cleaned(text)


def test_the_compiled_scan_never_looks_past_a_documents_ends() -> None:
    for text, _ in FOUND:
        raw = text.encode()
        for cut in range(1, len(raw), max(len(raw) // 7, 1)):
            parts = [raw[:cut].decode(errors="ignore"), raw[cut:].decode(errors="ignore")]
            both, alone = changed(parts).texts, [cleaned(part) for part in parts]
            assert both is not None and list(both) == alone


def test_a_rule_may_be_off_and_a_mask_keeps_the_shape() -> None:
    text = "section 5.5.5.5 by ann.b@x.com and 2606:4700::1"
    assert cleaned(text, kinds=["email"]) == "section 5.5.5.5 by <EMAIL> and 2606:4700::1"
    assert cleaned(text, kinds=["ip"]) == "section <IP> by ann.b@x.com and <IP>"
    masked = cleaned(text, replace="mask")
    assert masked == "section *.*.*.* by ***.*@*.*** and ****:****::*" and cleaned(masked, replace="mask") == masked
    assert cleaned(text, kinds=["email", "ip"], replace_kinds={"ip": "mask"}) == "section *.*.*.* by <EMAIL> and ****:****::*"
    assert cleaned("12345678Z 529.982.247-25", national_ids=["br"]) == "12345678Z <NATIONAL_ID>"
    assert cleaned("020 7946 0958 (415) 555-0123", phone_regions=["US"]) == "020 7946 0958 <PHONE>"


def test_what_is_allowed_stays() -> None:
    text = "Help@Ropewalk.example.org ann@ropewalk.example.org bob@x.org 8.8.8.8 9.9.9.9"
    assert cleaned(text, allow=["help@ropewalk.example.org", "8.8.8.8"]) == "Help@Ropewalk.example.org <EMAIL> <EMAIL> 8.8.8.8 <IP>"
    assert cleaned(text, allow=["@ropewalk.example.org"]) == "Help@Ropewalk.example.org ann@ropewalk.example.org <EMAIL> <IP> <IP>"


def test_counts_say_how_much_and_never_what() -> None:
    change = changed(["x@y.org 8.8.8.8 z@y.org", "nothing"], kinds=["email", "ip"])
    assert change.counts == {"email": [2, 0], "ip": [1, 0]} and change.texts == ["<EMAIL> <IP> <EMAIL>", "nothing"]
    assert set(Pii().apply(Batch(from_documents([Document("a", "")]))).counts) == set(ALL) - {"phone"}


def test_a_slice_of_a_column_is_read_in_its_own_place() -> None:
    table = from_documents([Document(str(row), f"{row} a{row}@b.org") for row in range(9)])
    texts = Pii().apply(Batch(table.slice(3, 2))).texts
    assert texts is not None and list(texts) == ["3 <EMAIL>", "4 <EMAIL>"] and texts[1] == "4 <EMAIL>"


def test_a_pseudonym_is_the_same_for_the_same_value_and_nobodys() -> None:
    text = "Ann@x.org ann@X.org bob@x.org +1 415 555 0123 +14155550123 8.8.8.8 2606:4700::1 4111 1111 1111 1111 GB82WEST12345698765432"
    once = cleaned(text, replace="pseudonym")
    ann, also_ann, bob, *rest = once.split()
    assert ann == also_ann != bob and ann.endswith(".invalid")
    assert "".join(rest[:4])[1:] == rest[4][1:] and rest[0] != "+1"
    assert rest[5].startswith("10.") and rest[6].startswith("2001:db8:") and rest[-1].startswith("GB00") and len(rest[-1]) == 22
    assert not any(value in once for value in text.split() if len(value) > 4)
    assert cleaned(once, replace="pseudonym") == once == cleaned(text, replace="pseudonym")
    alone = cleaned("to ann@x.org", replace="pseudonym")
    assert alone == f"to {ann}"  # in another batch too
    secrets = cleaned("AKIAIOSFODNN7EXAMPLE 123-45-6789 postgres://a:b1@c", replace="pseudonym")
    assert secrets.startswith("<API_KEY:") and "123-45-6789" not in secrets and cleaned(secrets, replace="pseudonym") == secrets


def test_pseudonyms_hang_on_the_secret_and_the_secret_is_stored_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    step = Pii(kinds=["email"], replace_kinds={"email": "pseudonym"})
    first, mark = cleaned("ann@x.org", kinds=["email"], replace="pseudonym"), step.fingerprint()
    assert SECRET not in f"{step!r}{mark!r}" and mark == step.fingerprint()
    monkeypatch.setenv("ROPEWALK_PII_KEY", "another secret of enough bytes")
    assert cleaned("ann@x.org", kinds=["email"], replace="pseudonym") != first and step.fingerprint() != mark  # so a resume is refused
    monkeypatch.setenv("ROPEWALK_PII_KEY", "short")
    with pytest.raises(ConfigError, match="shorter than 16 bytes"):
        cleaned("ann@x.org", replace="pseudonym")
    monkeypatch.delenv("ROPEWALK_PII_KEY")
    with pytest.raises(ConfigError, match="not set"):
        step.fingerprint()


def test_packages_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    for kind, extra in (("phone", "data"), ("name", "presidio")):
        with pytest.raises(MissingExtra, match=kind) as caught:
            cleaned("a", kinds=[kind])
        assert extra in caught.value.remedy
    assert cleaned("a@b.org", kinds=["email"]) == "<EMAIL>"
    monkeypatch.undo()
    with pytest.raises(ConfigError, match="XX"):
        cleaned("a", phone_regions=["XX"])


PIECES = st.sampled_from(
    ["a", "B7", "@", ".", ":", "::", "8.8.8.8", "2606:4700::1", "x@y.org", " ", "-", "+", "é", "_", "\n", "255", "<IP>", "%", "'", "phone ",
     "(415) 555-0123", "4111111111111111", "GB82WEST12345698765432", "123-45-6789", "12345678Z", "AKIAIOSFODNN7EXAMPLE", "://", "a:b", "1 ",
     "+1 415 555 0123", "415-", "ssn ", "0x", "*", "\u00a0", "-----BEGIN PRIVATE KEY-----", "AAAAAAAAAAAAAAAAAAAAAAAA", "x12"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=12).map("".join), st.sampled_from(["tag", "mask", "pseudonym"]))
def test_twice_is_once(text: str, replace: Any) -> None:
    once = cleaned(text, replace=replace)
    assert cleaned(once, replace=replace) == once == cleaned(text, replace=replace)


PLANTED = {
    "email": "ann.lee@mail.org", "ip": "8.8.4.4", "card": "5555555555554444", "iban": "DE89370400440532013000",
    "national_id": "529.982.247-25",
    "phone": "+442079460958", "api_key": "AKIAIOSFODNN7EXAMPLE", "crypto": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
}  # fmt: skip
PROSE = st.text(st.characters(exclude_characters="0123456789@+-:./\\", exclude_categories=["Cs"]), max_size=30)


@given(st.lists(st.tuples(PROSE, st.sampled_from(sorted(PLANTED))), max_size=6), PROSE)
def test_what_is_planted_is_found_and_all_else_stays_byte_for_byte(parts: list[tuple[str, str]], rest: str) -> None:
    text = "".join(f"{prose} ({PLANTED[kind]})\n" for prose, kind in parts) + rest
    expected = "".join(f"{prose} (<{kind.upper()}>)\n" for prose, kind in parts) + rest
    change = changed([text, rest])
    assert change.texts == [expected, rest]
    assert {kind: numbers[0] for kind, numbers in change.counts.items() if numbers[0]} == {
        kind: sum(1 for _, other in parts if other == kind) for kind in {kind for _, kind in parts}
    }


@given(st.ip_addresses())
def test_exactly_public_addresses_go(address: Any) -> None:
    text = f"at {address} now"
    assert (cleaned(text, kinds=["ip"]) == "at <IP> now") == (is_public(str(address)) and "." not in str(address)[:-1].replace(".", "", 3))
    assert not is_public(str(address)) or address.is_global


@pytest.mark.parametrize("address", ["::ffff:1.2.3.4", "64:ff9b::1", "2002:808:808::1"])
def test_v6_addresses_that_stand_for_others_are_not_crashed_on(address: str) -> None:
    cleaned(address)


UNITS = ["a", "a@", "1.", "aA0-", "a.", "@a.", "1:", ":", "f:", "8.8.8.8 ", "a@b.co ", "'", "x@y-", "1 ", "+1 ", "1(", "://a:", "GB12 ",
         "eyJaaaaaaaaaaaaaaaaa.", "AKIA", "-----BEGIN PRIVATE KEY-----", "12345678Z ", "415-555-0123 ",
         "4111 1111 1111 1111 ", "phone ", "-", "0x", "a@b.org-"]  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
def test_time_grows_with_the_text_only(unit: str) -> None:
    def seconds(size: int) -> float:
        begun = time.process_time()
        changed([unit * (size // len(unit))])
        return time.process_time() - begun

    seconds(1000)
    assert min(seconds(100_000) for _ in range(3)) < 0.4  # 2 s a MiB at most, with room for a busy machine


def test_random_bytes_that_happen_to_be_text_do_no_harm() -> None:
    draw = random.Random(7)
    texts = ["".join(draw.choice("0123456789 .-@:/+()aZ_é\u00a0\u2013<>\n") for _ in range(400)) for _ in range(40)]
    once = changed(texts).texts
    assert once is not None
    assert changed(list(once)).texts == list(once)
