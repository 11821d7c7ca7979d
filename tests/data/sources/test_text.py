"""Plain text: cut by file, paragraph, line or separator; nothing inside a piece changes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ropewalk.data.sources import text
from ropewalk.data.sources.text import Text, separated


def test_a_document_a_file_is_named_after_it(write: Any, read_all: Any, tmp_path: Path) -> None:
    write("notes/b.txt", "two\r\n\n caf\u00e9 \ufeff\n".encode())
    write("notes/sub/a.md", b"\xef\xbb\xbfone")
    write("notes/c.txt", b" \n")
    write("notes/d.txt", b"caf\xe9")
    write("notes/image.png", b"\x89PNG")
    write("notes/.hidden.txt", b"no")
    documents, rejects = read_all(Text(path=tmp_path / "notes"))
    assert [(document.id, document.text, document.source) for document in documents] == [
        ("b.txt", "two\r\n\n caf\u00e9 \ufeff\n", "notes"),
        ("sub/a.md", "one", "sub"),
    ]
    assert [(reject.reason, reject.witness) for reject in rejects] == [("bad_utf8", "d.txt:1: byte 0xe9 at 3")]


def test_paragraphs_stand_between_blank_lines(write: Any, read_all: Any) -> None:
    path = write("a.txt", b"\n\none\n  two\r\n \t\r\n\nthr\xe9e\n\n\nfour\n")
    documents, rejects = read_all(Text(path=path, per="paragraph"))
    assert [(document.id, document.text) for document in documents] == [("a.txt#1", "one\n  two"), ("a.txt#3", "four")]
    assert rejects[0].witness == "a.txt:7: byte 0xe9 at 3" and documents[0].source == "a"


def test_lines_end_at_line_feeds_only(write: Any, read_all: Any) -> None:
    documents, _ = read_all(Text(path=write("a.txt", "one\u2028still\r\n\ntwo".encode()), per="line"))
    assert [document.text for document in documents] == ["one\u2028still", "two"]


@given(st.lists(st.text("ab\n<|", max_size=9), max_size=9), st.integers(1, 12), st.integers(1, 12))
def test_separators_are_found_across_blocks(parts: list[str], block: int, longest: int) -> None:
    whole = "<|e|>".join(parts).encode()
    expected = [part.strip(b"\r\n") for part in whole.split(b"<|e|>")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "BUFFER_BYTES", block)
        found = list(separated(io.BufferedReader(io.BytesIO(whole)), b"<|e|>", 1000))  # type: ignore[arg-type]
        limited = list(separated(io.BufferedReader(io.BytesIO(whole)), b"<|e|>", longest))  # type: ignore[arg-type]
    assert [part for _, part, _ in found] == expected and all(complete for _, _, complete in found)
    assert [complete for _, _, complete in limited] == [len(part) <= longest for part in whole.split(b"<|e|>")]
    assert [part for _, part, complete in limited if complete] == [part for part, item in zip(expected, limited, strict=True) if item[2]]
    for line, part, _ in found:
        assert whole.split(b"\n")[line - 1 :][: part.count(b"\n") + 1][0].find(part.split(b"\n")[0]) >= 0


def test_text_between_separators_knows_its_line(write: Any, read_all: Any) -> None:
    path = write("a.txt", b"one\n---\ntwo\nlines\n---\n\nb\xe9d\n---\n")
    documents, rejects = read_all(Text(path=path, separator="---"))
    assert [(document.id, document.text) for document in documents] == [("a.txt#1", "one"), ("a.txt#2", "two\nlines")]
    assert rejects[0].witness.startswith("a.txt:7:")


def test_a_separator_and_per_are_not_both_given() -> None:
    with pytest.raises(ValidationError, match="not by both"):
        Text(path=Path("a"), per="paragraph", separator="---")
