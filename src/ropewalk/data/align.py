"""Where a quoted text stands in a document: word for word, in other white space, case or Unicode form, or nearly so."""

from __future__ import annotations

import unicodedata
from typing import Literal, NamedTuple

from ropewalk.core.errors import MissingExtra

How = Literal["exact", "normalised", "fuzzy"]


class Aligned(NamedTuple):
    """A span [start, end) of characters, how it was found, and how alike it is to the quote (1 unless fuzzy)."""

    start: int
    end: int
    how: How
    score: float = 1.0


def align(text: str, quote: str, least: float = 0.9) -> Aligned | None:
    """The first place of the quote; None where even the likest passage is less alike than `least` (1: no fuzzy search).

    Alike is 1 - edits / characters of quote and passage, as rapidfuzz has it; a quote too short to tell (12 characters) is not searched so.
    """
    wanted = quote.strip()
    if not wanted:
        return None
    start = text.find(wanted)
    if start >= 0:
        return Aligned(start, start + len(wanted), "exact")
    plain, places = folded(text)
    sought, _ = folded(wanted)
    sought = sought.strip()
    start = plain.find(sought) if sought else -1
    if start >= 0:
        return Aligned(places[start][0], places[start + len(sought) - 1][1], "normalised")
    if least >= 1 or len(sought) < 12 or not plain:
        return None
    try:
        from rapidfuzz import fuzz
    except ImportError:
        raise MissingExtra("aligning quotes that are not word for word needs rapidfuzz", remedy="pip install 'ropewalk[data]'") from None
    if len(plain) < len(sought):
        score = fuzz.ratio(sought, plain) / 100
        return Aligned(places[0][0], places[-1][1], "fuzzy", score) if score >= least else None
    found = fuzz.partial_ratio_alignment(sought, plain, score_cutoff=100 * least)
    if found is None or found.dest_end <= found.dest_start:
        return None
    return Aligned(places[found.dest_start][0], places[found.dest_end - 1][1], "fuzzy", found.score / 100)


def folded(text: str) -> tuple[str, list[tuple[int, int]]]:
    """The text in NFKC, case-folded, runs of white space as one space, quotes and dashes plain; and each character's place in it."""
    characters: list[str] = []
    places: list[tuple[int, int]] = []
    number = 0
    while number < len(text):
        end = number + 1
        while end < len(text) and unicodedata.combining(text[end]):
            end += 1
        for character in unicodedata.normalize("NFKC", text[number:end]).translate(_PLAIN).casefold():
            if character.isspace():
                if characters and characters[-1] == " ":
                    places[-1] = (places[-1][0], end)
                    continue
                character = " "
            characters.append(character)
            places.append((number, end))
        number = end
    return "".join(characters), places


_PLAIN = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
        "\u00ad": None,
    }
)
