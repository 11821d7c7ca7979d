"""Lines and paragraphs that stand in many documents: each is hashed, and all but its first occurrences are cut out of the texts.

Two lines are equal when they are but for ASCII case and white space. The exchange sorts the hashes of all lines by key range, as
for documents, so memory does not grow with the corpus but by what one range takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.ledger import Ledger, tally
from ropewalk.core.shards import Outcome, Shard
from ropewalk.data.corpus import read_documents, write_documents

LineUnit = Literal["line", "paragraph"]
SEPARATORS: dict[LineUnit, str] = {"line": r"\n", "paragraph": r"\n[ \t\r]*\n\s*"}
RANGE_LINES = 4 << 20
EMPTY, CHANGED = "nothing_left", "repeated_text"


def lines_of(text: str, unit: LineUnit) -> list[str]:
    """The lines or paragraphs, each with the break behind it; together they are the text."""
    import re

    ends = [found.end() for found in re.finditer(SEPARATORS[unit], text)]
    pieces = [text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True)]
    return [piece for piece in pieces if piece]


@dataclass(frozen=True)
class HashLines:
    """Writes 128 bits of each line of a shard that is long enough, in order, and its number in the shard."""

    unit: LineUnit
    min_words: int

    def __call__(self, shard: Shard, folder: Path) -> Outcome:
        import pyarrow as pa

        from ropewalk.data.dedup.hash import Texts, exact_hashes

        hashes, numbers, first, documents = [np.empty((0, 2), np.uint64)], [np.empty(0, np.int64)], 0, 0
        for texts in _texts(shard.content):
            documents += len(texts)
            lines = [line for text in texts for line in lines_of(text, self.unit)]
            long = np.fromiter((len(line.split()) >= self.min_words for line in lines), bool, len(lines))
            hashes.append(exact_hashes(Texts.of(pa.array(lines, pa.large_string())))[long])
            numbers.append(first + np.flatnonzero(long))
            first += len(lines)
        place = folder / "lines"
        place.mkdir(parents=True, exist_ok=True)
        np.save(place / f"{shard.name}.hashes.npy", np.concatenate(hashes), allow_pickle=False)
        np.save(place / f"{shard.name}.numbers.npy", np.concatenate(numbers), allow_pickle=False)
        return Outcome({"records_in": documents, "lines": first})


def repeated(places: Sequence[tuple[Path, str]], most: int) -> list[NDArray[np.bool_]]:
    """Of each shard's hashed lines, which have stood `most` times before, in the order of the corpus."""
    hashes = [np.load(folder / f"{name}.hashes.npy", mmap_mode="r", allow_pickle=False) for folder, name in places]
    starts = np.cumsum([0, *(len(each) for each in hashes)])
    cut = np.zeros(int(starts[-1]), bool)
    ranges = max(1, -(-int(starts[-1]) // RANGE_LINES))
    for number in range(ranges):
        chosen = [np.flatnonzero(_range(each[:, 0], ranges) == number) for each in hashes]
        both = np.concatenate([each[rows] for each, rows in zip(hashes, chosen, strict=True)])
        lines = np.concatenate([start + rows for start, rows in zip(starts, chosen, strict=False)])
        order = np.lexsort((both[:, 1], both[:, 0]))  # stable: of equal ones the first comes first
        both, lines = both[order], lines[order]
        if len(lines):
            new = np.append(True, (both[1:] != both[:-1]).any(axis=1))
            begins = np.flatnonzero(new)
            rank = np.arange(len(lines)) - begins[np.cumsum(new) - 1]
            cut[lines[rank >= most]] = True
    return [cut[start:end] for start, end in pairwise(starts)]


def _range(keys: NDArray[np.uint64], ranges: int) -> NDArray[np.uint64]:
    return (keys >> np.uint64(32)) * np.uint64(ranges) >> np.uint64(32)


@dataclass(frozen=True)
class LinesOut:
    """A shard's file, and where the numbers of the lines that go are."""

    path: Path
    numbers: Path


@dataclass(frozen=True)
class CutLines:
    """Writes a shard's documents without the lines that go; a document of which no word is left is dropped."""

    stage: str
    unit: LineUnit

    def __call__(self, shard: Shard, folder: Path) -> Outcome:
        import pyarrow as pa

        given: LinesOut = shard.content
        gone = set(np.load(given.numbers, allow_pickle=False).tolist())
        table = read_documents(given.path)
        ledger, texts, kept, first, cut_bytes = Ledger(self.stage), [], [], 0, 0
        for id_, text in zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True):
            lines = lines_of(text, self.unit)
            left = "".join(line for number, line in enumerate(lines, first) if number not in gone)
            first += len(lines)
            stays = left == text or bool(left.strip())
            if left != text:
                left = left.rstrip()
                cut = len(text) - len(left)
                ledger.add(id_, CHANGED if stays else EMPTY, cut / len(text), f"{cut} of {len(text)} characters")
                cut_bytes += len(text.encode()) - len(left.encode())
            texts.append(left)
            kept.append(stays)
        column = pa.array(texts, pa.large_string())
        result = table.set_column(table.schema.get_field_index("text"), "text", column).filter(pa.array(kept, pa.bool_()))
        write_documents(result, folder / "documents" / f"{shard.name}.parquet")
        ledger.write(folder / "ledger" / f"{shard.name}.parquet")
        changed = ledger.reasons()
        dropped = {EMPTY: changed[EMPTY]} if EMPTY in changed else {}
        totals = {"changed": changed.get(CHANGED, 0), "lines": first, "lines_cut": len(gone), "bytes_cut": cut_bytes}
        return Outcome(tally(table.num_rows, len(result), dropped), {"totals": totals})


def _texts(path: Path, most: int = 2048) -> Iterator[list[str]]:
    from ropewalk.data.dedup.shards import read_texts

    column = read_texts(path)
    for start in range(0, len(column), most):
        yield column.slice(start, most).to_pylist()
