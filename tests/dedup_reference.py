"""The hash and the signature written from their description with Python's integers: slow, and nothing shared with the kernels.

`python tests/dedup_reference.py` writes `tests/data/dedup/vectors.json.gz`; its bits are fixed, so a change of them breaks every
index that a user has made.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import re
import struct
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parent / "data" / "dedup" / "vectors.json.gz"
NGRAM, VALUES, IN_FULL = 5, 128, 16
WORD_FACTOR, SHINGLE_FACTOR = 0xD6E8FEB86659FD93, 0xA0761D6478BD642F
EXACT_FACTORS = (0xE7037ED1A0B428DB, 0x8EBC6AF09C88C6E3)
MASK, GOLDEN = (1 << 64) - 1, 0x9E3779B97F4A7C15


def splitmix(seed: int, number: int = 1) -> int:
    """The number-th output, from 1, of a splitmix64 generator."""
    value = (seed + number * GOLDEN) & MASK
    value = ((value ^ value >> 30) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ value >> 27) * 0x94D049BB133111EB) & MASK
    return value ^ value >> 31


def polynomial(numbers: list[int] | bytes, factor: int) -> int:
    return sum(number * pow(factor, len(numbers) - 1 - place, 1 << 64) for place, number in enumerate(numbers)) & MASK


def words(text: str) -> list[bytes]:
    return re.findall(rb"[0-9a-z_\x80-\xff]+", text.encode().lower())


def unfolded(text: str, unit: str) -> str:
    """What Unicode folding makes of a text, which is what the word rule then sees."""
    if text.isascii():
        return text
    small = "".join(sign.lower() if len(sign.lower()) == 1 and sign <= "\uffff" else sign for sign in text)
    return "".join(sign if sign.isalnum() or sign == "_" else " " for sign in small) if unit == "word" else small


def letters(text: str) -> list[bytes]:
    return [sign.encode() for sign in folded(text).decode()]


def shingles(text: str, ngram: int = NGRAM, unit: str = "word", fold: bool = True) -> set[int]:
    text = unfolded(text, unit) if fold else text
    hashes = [splitmix(polynomial(word, WORD_FACTOR)) for word in (words(text) if unit == "word" else letters(text))]
    grams = [hashes[start : start + ngram] for start in range(max(1, len(hashes) - ngram + 1))] if hashes else []
    return {splitmix(polynomial(gram, SHINGLE_FACTOR)) for gram in grams}


def folded(text: str) -> bytes:
    return b" ".join(text.encode().lower().split())


def exact(text: str) -> tuple[int, int]:
    data = folded(text)
    first, second = (splitmix(polynomial(data, factor) + len(data)) for factor in EXACT_FACTORS)
    return first, second


def jaccard(left: str, right: str, ngram: int = NGRAM) -> float:
    return jaccard_of(shingles(left, ngram), shingles(right, ngram))


def jaccard_of(a: set[int], b: set[int]) -> float:
    return len(a & b) / len(a | b) if a or b else 0.0


def signature(found: set[int], values: int = VALUES) -> list[int]:
    """Fast Similarity Sketching; zeros for an empty set."""
    slots: dict[int, int] = {}
    turn = 0
    while found and len(slots) < values:
        reached: dict[int, int] = {}
        for shingle in found:
            drawn = splitmix(shingle, turn) if turn else shingle
            slot = (drawn >> 32) * values >> 32 if turn < values else turn - values
            if slot not in slots:
                reached[slot] = min(reached.get(slot, MASK), drawn & 0xFFFFFFFF)
        slots |= reached
        turn += 1
    return [slots.get(slot, 0) for slot in range(values)]


def digest(numbers: list[int], kind: str) -> str:
    """Sixteen hex digits over little-endian numbers."""
    return hashlib.sha256(struct.pack(f"<{len(numbers)}{kind}", *numbers)).hexdigest()[:16]


def row(text: str, place: int) -> dict[str, Any]:
    found = shingles(text, fold=False)
    signed = signature(found)
    facts = {
        "text": text,
        "exact": "{:016x}{:016x}".format(*exact(text)),
        "shingles": digest(sorted(found), "Q"),
        "signature": digest(signed, "I"),
    }
    return facts | ({"values": signed} if place < IN_FULL else {})


def strings() -> list[str]:
    """1,000 texts: edge cases first, then all shapes and lengths."""
    edges = ["", " ", "\t\r\n\x0b\x0c", ".", "...!", "a", "A", "a b c d", "A  B\nC\tD", "a b c d e", "a_b 0 9 Z z", "_", "0"]
    edges += ["\x00", "a\x00b", "@[`{/:", "\x7f", "é", "É", "naïve café", "日本語 の テキスト", "😀 👩\u200d👩\u200d👧", "a\u00a0b"]
    edges += ["“quoted” — dash…", "\ufeffa", "x" * 3000, "the " * 400, "a b " * 300, "I don't know; you'd better ask."]
    edges += ["don't", "e-mail", "def f(x):\n    return x + 1\n"]
    draw = random.Random(20171)
    letters = "etaoinshrdlu"
    vocabulary = ["".join(draw.choice(letters) for _ in range(draw.randint(1, 9))) for _ in range(300)]
    gaps = [" "] * 12 + ["\n", ", ", ". ", "  ", "-", "\t", "\u2003"]
    found = list(edges)
    while len(found) < 1000:
        length = draw.choice([1, 2, 3, 4, 5, 6, 8, 12, 20, 40, 80, 160])
        chosen = [draw.choice(vocabulary) for _ in range(length)]
        text = "".join(word + draw.choice(gaps) for word in chosen)
        found.append(text.title() if draw.random() < 0.2 else text + draw.choice(["", "ü", "№ 7", "\n\n"]))
    return found


def read_vectors() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(gzip.decompress(VECTORS.read_bytes()))["texts"]
    return rows


if __name__ == "__main__":
    body = {"ngram": NGRAM, "values": VALUES, "texts": [row(text, place) for place, text in enumerate(strings())]}
    VECTORS.write_bytes(gzip.compress(json.dumps(body, ensure_ascii=False).encode(), 9, mtime=0))
