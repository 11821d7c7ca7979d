"""Gates on data: what share of a stage's documents was dropped, or of what it kept is double, personal, foreign or in a test set.

What is left is measured on the documents themselves; the bound of Wilson's interval is judged, so that a small corpus must be cleaner.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from ropewalk.core.errors import ConfigError
from ropewalk.core.load import nearest
from ropewalk.core.reference import Ref
from ropewalk.data.corpus import Corpus
from ropewalk.data.filters.language import Code, Language
from ropewalk.data.pii.pii import Kind, Pii
from ropewalk.data.steps import Batch
from ropewalk.evaluate.gates.gate import Finding, Gate, Open, called
from ropewalk.evaluate.intervals import wilson
from ropewalk.evaluate.scores import Scores

Share = Annotated[float, Field(ge=0, le=1)]
On = Literal["bound", "point"]


class DropRate(Gate, type="drop_rate"):
    """A stage dropped no more than a share of what it read, for one reason or for all."""

    of: Ref[Corpus]
    """The stage that drops."""
    at_most: Share
    """Largest share."""
    reason: str = ""
    """The reason, such as `gopher` or `gopher/min_words`; all when empty."""
    on: On = "point"
    """Judge the share itself, which is what happened, or the interval's bound."""

    def needs_scores(self) -> bool:
        return False

    def check(self, scores: Scores | None, open_ref: Open) -> Finding:
        corpus: Corpus = open_ref(self.of)
        counts = corpus.manifest.counts
        wanted = f"dropped/{self.reason}"
        names = [name for name in counts if name == wanted or name.startswith((wanted + "/", wanted + "."))]
        known = [name.removeprefix("dropped/") for name in counts if name.startswith("dropped/")]
        if self.reason and not names and (near := nearest(self.reason, known)).startswith("did you"):
            raise ConfigError(f"{called(self.of, corpus)} dropped nothing for {self.reason!r} ({near})")
        dropped = sum(counts[name] for name in names) if self.reason else counts.get("dropped", 0)
        name = f"{called(self.of, corpus)}/dropped" + (f"/{self.reason}" if self.reason else "")
        return at_most(name, dropped, counts.get("records_in", 0), self.at_most, self.on)


class DuplicatesLeft(Gate, type="duplicates_left"):
    """Of the documents few say what an earlier one says: letter by letter, but for case and white space."""

    of: Ref[Corpus]
    """The documents."""
    at_most: Share = 0.0
    """Largest share."""
    on: On = "point"
    """Judge the share itself, or the interval's bound."""

    def needs_scores(self) -> bool:
        return False

    def check(self, scores: Scores | None, open_ref: Open) -> Finding:
        import hashlib

        corpus: Corpus = open_ref(self.of)
        seen: set[bytes] = set()
        total = 0
        for texts in _texts(corpus):
            total += len(texts)
            seen.update(hashlib.blake2b(" ".join(text.lower().split()).encode(), digest_size=16).digest() for text in texts)
        return at_most(f"{called(self.of, corpus)}/duplicates", total - len(seen), total, self.at_most, self.on)


class PiiLeft(Gate, type="pii_left"):
    """Of the documents few hold personal data that the step `pii` would find."""

    of: Ref[Corpus]
    """The documents."""
    kinds: Annotated[list[Kind], Field(min_length=1)] = ["email", "ip"]
    """What is looked for."""
    at_most: Share = 0.0
    """Largest share."""
    on: On = "point"
    """Judge the share itself, or the interval's bound."""

    def needs_scores(self) -> bool:
        return False

    def check(self, scores: Scores | None, open_ref: Open) -> Finding:
        corpus: Corpus = open_ref(self.of)
        step, hits, total = Pii(kinds=self.kinds), 0, 0
        for table in corpus.tables():
            found = step.apply(Batch(table)).counts
            hits += sum(any(numbers) for numbers in zip(*found.values(), strict=True))
            total += table.num_rows
        return at_most(f"{called(self.of, corpus)}/pii", hits, total, self.at_most, self.on)


class LanguageShare(Gate, type="language_share"):
    """A share of the documents at least is in given languages (extra `data`)."""

    of: Ref[Corpus]
    """The documents."""
    languages: Annotated[list[Code], Field(min_length=1)] = ["en"]
    """Codes of the languages."""
    at_least: Share = 0.9
    """Smallest share."""
    on: On = "bound"
    """Judge the interval's bound, or the share itself."""

    def needs_scores(self) -> bool:
        return False

    def check(self, scores: Scores | None, open_ref: Open) -> Finding:
        corpus: Corpus = open_ref(self.of)
        step, inside, total = Language(keep=self.languages), 0, 0
        for table in corpus.tables():
            (rule,) = step.apply(Batch(table)).rules
            inside += int(rule.keeps.sum())
            total += table.num_rows
        return at_most(f"{called(self.of, corpus)}/not in {'+'.join(self.languages)}", total - inside, total, 1 - self.at_least, self.on)


class Contamination(Gate, type="contamination"):
    """Of the items of test sets few share a long run of words with the documents."""

    of: Ref[Corpus]
    """The documents."""
    tests: Annotated[list[Path], Field(min_length=1)]
    """Files of JSON lines; all their texts count."""
    words: int = Field(default=13, ge=3)
    """Words in a row that an item and a document may not share (13 as for GPT-3); shorter items are looked for whole."""
    at_most: Share = 0.0
    """Largest share of the items."""
    on: On = "point"
    """Judge the share itself, or the interval's bound."""

    def needs_scores(self) -> bool:
        return False

    def fingerprint(self) -> Any:
        """The files' hashes."""
        from ropewalk.core.artifact import hash_file

        return [hash_file(path) for path in self.tests if path.is_file()]

    def check(self, scores: Scores | None, open_ref: Open) -> Finding:
        from ropewalk.evaluate.rows import read_rows

        corpus: Corpus = open_ref(self.of)
        items = [list(_spoken(row.columns)) for path in self.tests for row in read_rows(path)]
        runs: dict[str, set[int]] = {}
        lengths = set()
        for number, texts in enumerate(items):
            for words in map(_words, texts):
                size = min(self.words, len(words))
                if size >= min(self.words, 8):  # a handful of words stands everywhere and proves nothing
                    lengths.add(size)
                    for run in _runs(words, size):
                        runs.setdefault(run, set()).add(number)
        found: set[int] = set()
        for texts in _texts(corpus):
            for words in map(_words, texts):
                for size in lengths:
                    for run in _runs(words, size):
                        if run in runs:
                            found |= runs[run]
        return at_most(f"{called(self.of, corpus)}/contaminated items", len(found), len(items), self.at_most, self.on)


def at_most(name: str, hits: int, total: int, limit: float, on: On) -> Finding:
    """The share of hits is at most the limit."""
    found = wilson(hits, total)
    judged = found.high if on == "bound" else found.value
    passed = total > 0 and judged <= limit
    what = f"{'bound' if on == 'bound' else 'value'} {judged:.4f} must be at most {limit:g}"
    gap = "" if passed else f", off by {judged - limit:.4f}" if total else ", off by everything: there is nothing to judge"
    message = f"{name}: {hits:,} of n={total:,}, {found.value:.4f} ({found.low:.4f} to {found.high:.4f}): {what}{gap}"
    return Finding(passed, f"{name} at most {limit:g}", message, name, found.value, found.low, found.high, limit, items=total)


def _texts(corpus: Corpus) -> Iterator[list[str]]:
    for table in corpus.tables():
        yield table["text"].to_pylist()


def _spoken(value: Any) -> Iterator[str]:
    """Every text in a row."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _spoken(item)


def _words(text: str) -> list[str]:
    return "".join(letter if letter.isalnum() else " " for letter in text.lower()).split()


def _runs(words: list[str], size: int) -> Iterator[str]:
    for start in range(len(words) - size + 1):
        yield " ".join(words[start : start + size])
