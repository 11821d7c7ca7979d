"""The quality rules' counts in plain Python: what the compiled passes must say too, to the letter."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_PARAGRAPH_BREAK = re.compile(r"\n\s*\n")
_BULLET = re.compile(r"[•‣◦●▪]|[-*](?:\s|$)")  # `**Mrs. Cheveley:**` and a dialogue's dash are no bullets
_CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
_INITIAL = re.compile(r"[^\W\d_]\.")


def measured(text: str, stop_words: Sequence[str], end_marks: str, short_characters: int) -> dict[str, int]:
    """The counts of `kernels.NAMES`."""
    words, lines = text.split(), lines_of(text)
    duplicate_lines, duplicate_paragraphs = repeated(lines), repeated(paragraphs_of(text))
    return {
        "characters": len(text),
        "newlines": text.count("\n"),
        "words": len(words),
        "word_characters": sum(map(len, words)),
        "letter_words": sum(any(map(str.isalpha, word)) for word in words),
        "hashes": text.count("#"),
        "ellipses": text.count("...") + text.count("…"),
        "lines": len(lines),
        "bullet_lines": sum(_BULLET.match(line) is not None for line in lines),
        "ellipsis_lines": sum(line.endswith(("...", "…")) for line in lines),
        "end_lines": sum(line.endswith(tuple(end_marks)) for line in lines),
        "short_lines": sum(len(line) <= short_characters for line in lines),
        "line_characters": sum(map(len, lines)),
        "duplicate_lines": duplicate_lines[0],
        "duplicate_line_characters": duplicate_lines[1],
        "paragraphs": len(paragraphs_of(text)),
        "duplicate_paragraphs": duplicate_paragraphs[0],
        "duplicate_paragraph_characters": duplicate_paragraphs[1],
        "stop_words": len({word.strip(".,;:!?\"'()[]").lower() for word in words}.intersection(stop_words)),
    }


def lines_of(text: str) -> list[str]:
    """The lines that are not blank, without the blanks around them."""
    return [line for line in (line.strip() for line in text.split("\n")) if line]


def paragraphs_of(text: str) -> list[str]:
    """What stands between blank lines."""
    return [part for part in (part.strip() for part in _PARAGRAPH_BREAK.split(text)) if part]


def repeated(parts: Sequence[str]) -> tuple[int, int]:
    """(number, characters) of the parts that were there before."""
    again = [part for place, part in enumerate(parts) if part in parts[:place]]
    return len(again), sum(map(len, again))


def top_ngram_characters(words: Sequence[str], size: int) -> int:
    """Characters, one blank between words, in all places of the n-gram that is there most often; 0 when none is there twice."""
    counts = Counter(zip(*(words[start:] for start in range(size)), strict=False))
    most = max(counts.values(), default=0)
    return max(most * len(" ".join(ngram)) for ngram, number in counts.items() if number == most) if most > 1 else 0


def duplicate_ngram_characters(words: Sequence[str], size: int) -> int:
    """Characters, without blanks, of the words inside n-grams that were there before; each word counts once."""
    grams = [tuple(words[start : start + size]) for start in range(len(words) - size + 1)]
    covered = {place for start, gram in enumerate(grams) if gram in grams[:start] for place in range(start, start + size)}
    return sum(len(words[place]) for place in covered)


def uncited(line: str) -> str:
    """Without citations, those that appear when one inside another goes included."""
    while (shorter := _CITATION.sub("", line)) != line:
        line = shorter
    return line.strip()


def sentences_of(line: str) -> int:
    """One more than the words that end a sentence and have one behind them that does not begin with a small letter."""
    words = line.split()
    ends = [(core := word.rstrip("\"')]}")).endswith((".", "?", "!")) and not _INITIAL.fullmatch(core) for word in words]
    return 1 + sum(end and not after[0].islower() for end, after in zip(ends, words[1:], strict=False))


def chosen_lines(
    text: str, end_marks: Sequence[str], min_words: int, max_word_length: int, phrases: Sequence[str], cite: bool
) -> tuple[str, dict[str, int]]:
    """C4: the lines that stay, and the counts of `c4_kernels.COUNTS`."""
    names = ("lines", "long_word", "no_end_mark", "few_words", "javascript", "policy", "lorem_ipsum", "curly_bracket", "sentences")
    counts = dict.fromkeys(names, 0)
    kept = []
    for whole in lines_of(text):
        counts["lines"] += 1
        line = uncited(whole) if cite else whole
        words = line.split()
        if end_marks and (not line.endswith(tuple(end_marks)) or line.endswith("...")):
            counts["no_end_mark"] += 1
        elif max(map(len, words), default=0) > max_word_length:
            counts["long_word"] += 1
        elif len(words) < max(min_words, 1):
            counts["few_words"] += 1
        else:
            counts["lorem_ipsum"] += "lorem ipsum" in line.lower()
            if "javascript" in line.lower():
                counts["javascript"] += 1
                continue
            counts["curly_bracket"] += "{" in line
            if any(phrase in line.lower() for phrase in phrases):
                counts["policy"] += 1
                continue
            counts["sentences"] += sentences_of(line)
            kept.append(line)
    return "\n".join(kept), counts
