"""Words as people disguise them to slip past filters: `sh1t`, `s**t`, `s h i t`, `shiiit`. Shown to a classifier while it learns."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from ropewalk.core.seed import numpy_generator

_WORD = re.compile(r"(?<![@\w])[A-Za-z]{3,}(?!\w)")
_LEET = {"a": "4@", "b": "8", "e": "3", "i": "1!", "o": "0", "s": "5$", "t": "7"}
SHARE = 0.3


def disguised(text: str, purpose: str) -> str:
    """The text with about a third of its words in disguise; the same for the same text and purpose."""
    draw = numpy_generator(0, purpose, text)

    def changed(match: re.Match[str]) -> str:
        return WAYS[int(draw.integers(len(WAYS)))](match[0], draw) if draw.random() < SHARE else match[0]

    return _WORD.sub(changed, text)


def _leet(word: str, draw: np.random.Generator) -> str:
    open_ = [place for place, letter in enumerate(word) if letter.lower() in _LEET]
    if not open_:
        return _masked(word, draw)
    letters = list(word)
    for place in draw.choice(open_, size=min(len(open_), 1 + int(draw.integers(2))), replace=False).tolist():
        choice = _LEET[word[place].lower()]
        letters[place] = choice[int(draw.integers(len(choice)))]
    return "".join(letters)


def _masked(word: str, draw: np.random.Generator) -> str:
    if draw.random() < 0.4:
        return word[0] + "*" * (len(word) - 2) + word[-1]
    place = 1 + int(draw.integers(len(word) - 2))
    return word[:place] + "*" + word[place + 1 :]


def _stretched(word: str, draw: np.random.Generator) -> str:
    place = int(draw.integers(len(word)))
    return word[:place] + word[place] * (3 + int(draw.integers(3))) + word[place + 1 :]


def _spaced(word: str, draw: np.random.Generator) -> str:
    return " .-"[int(draw.integers(3))].join(word)


def _swapped(word: str, draw: np.random.Generator) -> str:
    place = int(draw.integers(len(word) - 1))
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


WAYS: tuple[Callable[[str, np.random.Generator], str], ...] = (_leet, _masked, _stretched, _spaced, _swapped)
