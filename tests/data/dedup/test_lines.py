"""Lines and paragraphs: the first occurrence stays, later ones are cut, and nothing else of a text changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dedup_reference as reference
from ropewalk.core.shards import Shard
from ropewalk.data.corpus import from_documents, read_documents, write_documents
from ropewalk.data.dedup import lines
from ropewalk.data.dedup.lines import CutLines, HashLines, LinesOut, LineUnit, lines_of, repeated
from ropewalk.data.records import Document


@given(text=st.text(st.sampled_from("ab \n\r\t"), max_size=40), unit=st.sampled_from(["line", "paragraph"]))
def test_pieces_make_up_the_text(text: str, unit: LineUnit) -> None:
    pieces = lines_of(text, unit)
    assert "".join(pieces) == text and all(pieces)
    assert unit == "paragraph" or all("\n" not in piece[:-1] for piece in pieces)


def test_paragraphs_are_parted_by_blank_lines() -> None:
    assert lines_of("a\nb\n \n\nc\n", "paragraph") == ["a\nb\n \n\n", "c\n"]


def cut(folder: Path, shards: list[list[str]], unit: LineUnit = "line", min_words: int = 1, most: int = 1) -> list[list[str]]:
    named = []
    for number, texts in enumerate(shards):
        path = folder / "in" / f"{number}.parquet"
        write_documents(from_documents([Document(f"{number}/{row}", text, "s", "", {}) for row, text in enumerate(texts)]), path)
        named.append(Shard(f"l{number}", path))
        HashLines(unit, min_words)(named[-1], folder)
    found = []
    places = [(folder / "lines", shard.name) for shard in named]
    for shard, gone in zip(named, repeated(places, most), strict=True):
        numbers = folder / f"{shard.name}.npy"
        np.save(numbers, np.load(folder / "lines" / f"{shard.name}.numbers.npy")[gone])
        CutLines("dedup_lines", unit)(Shard(shard.name, LinesOut(shard.content, numbers)), folder)
        found.append(read_documents(folder / "documents" / f"{shard.name}.parquet")["text"].to_pylist())
    return found


LINE = st.sampled_from(["one two", "One  TWO", "three", "", "  ", "four five six"])


@given(shards=st.lists(st.lists(st.lists(LINE, max_size=4).map("\n".join), max_size=3), min_size=1, max_size=3), most=st.integers(1, 2))
def test_what_is_cut_has_stood_often_enough_before(shards: list[list[str]], most: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    seen: dict[bytes, int] = {}
    expected = []
    for texts in shards:
        expected.append([])
        for text in texts:
            left = ""
            for line in lines_of(text, "line"):
                key = reference.folded(line)
                before = seen.get(key, 0) if key else 0
                seen[key] = before + 1
                left += line if before < most else ""
            if left == text:
                expected[-1].append(text)
            elif left.strip():
                expected[-1].append(left.rstrip())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "RANGE_LINES", 2)
        assert cut(tmp_path_factory.mktemp("lines"), shards, most=most) == expected


def test_short_lines_stay_and_every_change_is_in_the_ledger(tmp_path: Path) -> None:
    from ropewalk.core.ledger import read_ledger

    notice = "All rights of this notice are reserved by somebody"
    texts = [[f"}}\nown text\n{notice}\n"], [f"}}\nother text\n{notice}", notice.upper()]]
    assert cut(tmp_path, texts, min_words=3) == [texts[0], ["}\nother text"]]
    rows = [(row["id"], row["reason"], row["witness"]) for row in read_ledger(tmp_path).to_pylist()]
    assert rows == [("1/0", "repeated_text", "51 of 63 characters"), ("1/1", "nothing_left", "50 of 50 characters")]
