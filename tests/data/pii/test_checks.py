"""Check digits and plans agree with those who keep them: python-stdnum, phonenumbers, and the vectors of the standards."""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable

import pytest

from ropewalk.data.pii.card import is_card
from ropewalk.data.pii.checksums import luhn, mod_11_10, verhoeff
from ropewalk.data.pii.crypto import is_base58, is_bech32, is_ethereum
from ropewalk.data.pii.iban import LENGTHS, is_iban
from ropewalk.data.pii.keccak import keccak_256
from ropewalk.data.pii.national import RULES
from ropewalk.data.pii.phone import phones
from ropewalk.data.pii.window import Window

DRAWS = 4000


def shapes(pattern: str, draw: random.Random) -> str:
    """`dd-dd` with digits, capitals for `L`, as they are for the rest."""
    letters = {"d": "0123456789", "L": "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
    return "".join(draw.choice(letters[c]) if c in letters else c for c in pattern)


def rule_of(country: str, written: str) -> Callable[[str], bool]:
    return next(rule.valid for rule in RULES if rule.country == country and rule.shape.fullmatch(written))


# Country, oracle, a shape to draw from, with dates made likely.
ORACLES = [
    ("us", "us.ssn", "ddd-dd-dddd"),
    ("gb", "gb.nhs", "dddddddddd"),
    ("fr", "fr.nir", "1850578006dddL"),
    ("es", "es.dni", "ddddddddL"),
    ("es", "es.nie", "XdddddddL"),
    ("it", "it.codicefiscale", "RSSMRA85T10A56dL"),
    ("pl", "pl.pesel", "440514ddddd"),
    ("de", "de.idnr", "ddddddddddd"),
    ("nl", "nl.bsn", "ddddddddd"),
    ("br", "br.cpf", "ddddddddddd"),
    ("in", "in_.aadhaar", "dddddddddddd"),
    ("se", "se.personnummer", "880320-dddd"),
    ("fi", "fi.hetu", "131052-dddL"),
    ("be", "be.nn", "850730ddddd"),
    ("ca", "ca.sin", "ddddddddd"),
    ("ch", "ch.ssn", "756dddddddddd"),
    ("cn", "cn.ric", "11010519491231dddL"),
    ("au", "au.tfn", "ddddddddd"),
    ("kr", "kr.rrn", "971300-ddddddd"),
]


@pytest.mark.parametrize(("country", "module", "shape"), ORACLES)
def test_a_national_id_is_valid_where_stdnum_says_so(country: str, module: str, shape: str) -> None:
    oracle = importlib.import_module(f"stdnum.{module}") if pytest.importorskip("stdnum") else None
    draw = random.Random(module)
    both = 0
    for _ in range(DRAWS):
        written = shapes(shape, draw)
        if module == "fr.nir":
            written = written[:13] + f"{draw.randrange(1, 98):02}"
        if module == "cn.ric":
            written = written[:17] + draw.choice("0123456789X")
        if module == "kr.rrn":
            written = f"{draw.randrange(100):02}{draw.randrange(1, 13):02}{draw.randrange(1, 29):02}-{draw.randrange(1, 5)}" + written[-6:]
        try:
            ours = rule_of(country, written)("".join(c for c in written if c.isalnum() or (c in "-+" and country == "fi")))
        except StopIteration:  # no shape of ours: a letter that no such id has
            ours = False
        theirs = oracle is not None and oracle.is_valid(written)
        both += theirs
        if (module == "us.ssn" and written[0] == "9") or (module == "fi.hetu" and written[7] == "9"):
            continue  # taxpayers' and temporary numbers, which stdnum tells apart
        assert ours == theirs, written
    assert both > 10


def test_check_digits_agree_with_stdnum() -> None:
    stdnum = {name: importlib.import_module(f"stdnum.{name}") for name in ("luhn", "verhoeff", "iso7064.mod_11_10", "iban")} if (
        pytest.importorskip("stdnum")
    ) else {}  # fmt: skip
    draw = random.Random(1)
    for _ in range(DRAWS):
        digits = shapes("ddddddddddd", draw)
        assert luhn(digits) == stdnum["luhn"].is_valid(digits) and verhoeff(digits) == stdnum["verhoeff"].is_valid(digits)
        assert mod_11_10(digits) == stdnum["iso7064.mod_11_10"].is_valid(digits)
    for country in LENGTHS:
        bank = shapes("dddddddddddddddddddddddddddddd", draw)[: LENGTHS[country] - 4]
        made = f"{country}{98 - int(bank + str(int(country[0], 36)) + str(int(country[1], 36)) + '00') % 97:02}{bank}"
        assert is_iban(made) and not is_iban(made[:-1]) and not is_iban(made[:-1] + str((int(made[-1]) + 1) % 10))
    assert all(
        is_iban(text) == stdnum["iban"].is_valid(text)
        for text in ("GB82WEST12345698765432", "DE89370400440532013000", "GB00WEST12345698765432")
    )


@pytest.mark.parametrize(
    "number",
    ["4111111111111111", "4222222222222", "5555555555554444", "2223003122003222", "378282246310005", "30569309025904", "6011111111111117",
     "3530111333300000", "6200000000000005", "6759649826438453", "4000000000000000006", "180000826105910"],
)  # fmt: skip
def test_the_networks_own_test_cards_are_cards(number: str) -> None:
    assert is_card(number) and not is_card(number[:-1] + str((int(number[-1]) + 1) % 10))


def test_keccak_is_not_sha3_and_addresses_carry_it() -> None:
    assert keccak_256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak_256(b"abc").hex() == "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"
    assert keccak_256(b"x" * 136) != keccak_256(b"x" * 135)
    for address in (  # of EIP-55
        "0x52908400098527886E0F7030069857D2E4169EE7", "0xde709f2102306220921060314715629080e2fb77",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ):  # fmt: skip
        assert is_ethereum(address)
        assert (
            not any(c.isupper() for c in address)
            or not any(c.islower() for c in address[2:])
            or not is_ethereum(address[:2] + address[2:].swapcase())
        )


def test_bitcoin_addresses_by_their_checks() -> None:
    for address in ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy", "1111111111111111111114oLvT2"):
        assert is_base58(address) and not is_base58(address[:-1] + ("a" if address[-1] != "a" else "b"))
    for address in (
        "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
    ):
        assert is_bech32(address) and not is_bech32(address[:-1] + "q") and not is_bech32(address[:2].swapcase() + address[2:])


def found(text: str, begin: int, digits: int, groups: int, regions: tuple[str, ...]) -> list[str]:
    return [text[start:stop] for start, stop in phones(Window(text, begin, len(text), digits, groups), regions)]


def test_every_countrys_example_is_found_behind_its_plus() -> None:
    phonenumbers = pytest.importorskip("phonenumbers")
    missed = []
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        number = phonenumbers.example_number(region)
        written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
        text = f"ring {written}"
        if found(text, 6, sum(map(str.isdigit, written)), len(written.split()), ()) != [written]:
            missed.append(written)
    assert not missed
