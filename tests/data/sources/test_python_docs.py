"""The embedded corpus: enough of it, real, each text once, and read without running any of it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ropewalk.core.errors import DataError
from ropewalk.data.sources import docstrings, python_docs
from ropewalk.data.sources.docstrings import documented, library_files, library_root, topics
from ropewalk.data.sources.python_docs import PythonDocs
from ropewalk.data.sources.python_docs_questions import PythonDocsQuestions
from ropewalk.data.sources.questions import conversation, first_sentence, is_answer

CODE = '''
"""A module whose docstring is long enough to be a document of its own, for it is over eighty characters."""

import sys

if sys.platform != "plan9":
    def join(a, /, b=1, *rest: int, key="k", **more) -> str:
        """Join two or more things, inserting what is between them as needed, until nothing is left over.

        As in:
            Indented.
        """
        def inner():
            """An inner function is not reached from outside, so nobody could ask for it, however long its text."""
else:
    def join(a):
        """The other branch has the same name, and so the same id, which can only be there once, whoever is first."""


class Rope(list, metaclass=type):
    """A rope of things that are joined, with a text which is long enough to be a document of its own here."""

    def __init__(self, length, /, *, kind="hemp"):
        """Make a rope of this length and kind, with a docstring that is long enough to be kept as a document."""

    @property
    def length(self):
        """Its length in feet, of which there must be so many that a ship can be moored with it in a harbour."""

    @staticmethod
    def twist(strands=3):
        """Twist strands into a rope, as one does in a ropewalk, where one walks backwards as the rope gets longer."""

    @classmethod
    async def spin(cls, fibre=None, *more):
        """Spin fibre into yarn, as one does before strands are made of it, from hemp that was combed before that."""

    def short(self):
        """Too short."""
'''


def test_signatures_and_kinds_are_read_from_the_syntax_tree() -> None:
    found = {entry.signature: entry for entry in documented(ast.parse(CODE), "walk")}
    assert list(found) == [
        "module walk",
        "walk.join(a, /, b=1, *rest: int, key='k', **more) -> str",
        "walk.join(a)",
        "class walk.Rope(list, metaclass=type)",
        "walk.Rope.__init__(length, /, *, kind='hemp')",
        "property walk.Rope.length",
        "walk.Rope.twist(strands=3)",
        "async walk.Rope.spin(fibre=None, *more)",
    ]
    join = found["walk.join(a, /, b=1, *rest: int, key='k', **more) -> str"]
    assert (
        join.id == "walk.join"
        and join.doc.endswith("left over.\n\nAs in:\n    Indented.")
        and join.text == f"{join.signature}\n\n{join.doc}"
    )
    assert {entry.kind for entry in found.values()} == {"module", "function", "class", "property"}


@pytest.fixture(scope="module")
def documents() -> dict[str, Any]:
    source = PythonDocs()
    source.check()
    return {document.id: document for document in source.read(source.shards()[0])}


def test_there_is_enough_real_text(documents: dict[str, Any]) -> None:
    assert 3_500 < len(documents) < 6_500
    assert 1.7e6 < sum(len(document.text.encode()) for document in documents.values()) < 3.2e6
    join = documents["os.path.join"]
    assert join.text.startswith("os.path.join(a, *p)\n\nJoin two or more pathname components")
    assert (join.license, join.source) == ("PSF-2.0", "python_docs") and join.meta["kind"] == "function"
    assert "decimal.Decimal.quantize" in documents and documents["help.while"].text.startswith('The "while" statement\n\nThe')


def test_each_docstring_comes_once_and_tests_are_left_out(documents: dict[str, Any]) -> None:
    bodies = [document.text.partition("\n\n")[2] for name, document in documents.items() if not name.startswith("help.")]
    assert len(set(bodies)) == len(bodies) and min(map(len, bodies)) > 80
    assert not [
        name
        for name in documents
        if name.startswith(("unittest.test.", "lib2to3.tests", "idlelib.idle_test", "test.", "pip.", "site-packages"))
    ]


def test_topics_are_cut_into_sections_and_none_holds_another(documents: dict[str, Any]) -> None:
    topics = {name: document.text for name, document in documents.items() if name.startswith("help.")}
    assert len(topics) > 120 and {"help.if", "help.with", "help.try.finally-clause"} <= set(topics) and "help.else" not in topics
    assert max(map(len, topics.values())) < 30_000
    bodies = {name: text.partition("\n\n")[2][:300] for name, text in topics.items()}
    held = [(name, other) for name, body in bodies.items() for other, text in topics.items() if name != other and body in text]
    assert not [pair for pair in held if len(bodies[pair[0]]) == 300]


def test_sections_are_what_stands_below_underlined_lines() -> None:
    text = "before\n\nOne\n***\n\nbody\n--\nstays\n\nTwo words\n=========\nmore\n\n    code\n    ====\n"
    assert list(docstrings._sections(text)) == [("", "before"), ("One", "body\n--\nstays"), ("Two words", "more\n\n    code\n    ====")]


def test_a_limit_gives_the_first_ones(documents: dict[str, Any]) -> None:
    source = PythonDocs(limit="10")  # type: ignore[arg-type]
    assert [document.id for document in source.read(source.shards()[0])] == list(documents)[:10]


def test_nothing_of_the_library_is_imported_or_printed() -> None:
    code = """
import sys
from ropewalk.data.sources.python_docs import PythonDocs
source = PythonDocs()
before = set(sys.modules)
documents = list(source.read(source.shards()[0]))
print(len(documents) > 3500, [name for name in set(sys.modules) - before if not name.startswith("encodings.")])
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "True []\n" and not done.stderr


def test_the_fingerprint_is_fast_and_changes_with_the_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = PythonDocs().fingerprint()
    assert first == PythonDocsQuestions().fingerprint() and len(library_files(library_root())) > 300
    (tmp_path / "os.py").write_text("x = 1")
    monkeypatch.setattr(docstrings, "library_root", lambda: tmp_path)
    docstrings.library_fingerprint.cache_clear()
    other = PythonDocs().fingerprint()
    (tmp_path / "os.py").write_text("xx = 1")
    docstrings.library_fingerprint.cache_clear()
    assert len({str(first), str(other), str(PythonDocs().fingerprint())}) == 3
    docstrings.library_fingerprint.cache_clear()


def test_a_python_without_sources_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(python_docs, "library_root", lambda: tmp_path)
    with pytest.raises(DataError, match="no standard library in source form"):
        PythonDocs().check()
    assert list(topics(tmp_path / "none.py")) == []


def test_files_that_do_not_parse_and_half_characters_do_no_harm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("def (:")
    (tmp_path / "half.py").write_text(f'"""{"x" * 90} \\ud800 \\d"""')
    (entry,) = docstrings._docstrings(tmp_path)
    assert entry.id == "half" and entry.text.encode() and "?" in entry.doc


@pytest.fixture(scope="module")
def chats() -> list[dict[str, Any]]:
    source = PythonDocsQuestions()
    return list(source.records(source.shards()[0]))  # type: ignore[arg-type]


def test_chats_are_good_to_learn_from(chats: list[dict[str, Any]], documents: dict[str, Any]) -> None:
    assert 1_500 < len(chats) < 3_000
    assert len({chat["id"] for chat in chats}) == len(chats) and {chat["id"] for chat in chats} <= set(documents)
    answers = [chat["messages"][1]["content"] for chat in chats]
    assert len(set(answers)) == len(answers)
    for chat in chats:
        assert [message["role"] for message in chat["messages"]] == ["user", "assistant"] * (len(chat["messages"]) // 2)
        question, answer = (message["content"] for message in chat["messages"][:2])
        assert (question.endswith(("?", ".")) and answer.endswith(".") and answer[0] in "`[") or answer[0].isupper(), chat
        assert "\n" not in question + answer and 10 < len(answer) <= 240
        assert chat["id"].split(".")[-1] in question + answer
    forms = {" ".join(chat["messages"][0]["content"].split()[:2]) for chat in chats}
    assert {"What does", "What is", "Which function", "Which method"} <= forms
    assert 200 < sum(len(chat["messages"]) > 2 for chat in chats) < len(chats) / 2


def test_the_promised_question_is_there(chats: list[dict[str, Any]]) -> None:
    (chat,) = [chat for chat in chats if chat["id"] == "os.path.join"]
    question, answer, *_ = (message["content"] for message in chat["messages"])
    assert question in ("What does `os.path.join` do?", "What does the function `os.path.join` do?")
    assert answer == "Join two or more pathname components, inserting '/' as needed."


def test_chats_read_as_documents_for_load(chats: list[dict[str, Any]]) -> None:
    source = PythonDocsQuestions(limit=300)
    documents = list(source.read(source.shards()[0]))
    assert 0 < len(documents) < 300 and documents[0].id == chats[0]["id"]
    assert documents[0].text.startswith(chats[0]["messages"][0]["content"] + "\n\n")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("doc", "sentence"),
    [
        ("Read it, e.g. a file. Then stop.", "Read it, e.g. a file."),
        ("Read two\n  lines of it. lower goes on.", "Read two lines of it."),
        ("No end here\n\nNext paragraph.", ""),
        ("Use v2.5 of it. More.", "Use v2.5 of it."),
        ("Does it exist. Yes.", "Does it exist."),
    ],
)
def test_the_first_sentence(doc: str, sentence: str) -> None:
    assert first_sentence(doc) == sentence


@pytest.mark.parametrize(
    "sentence", ["", "Too short.", "This is what it does.", "lower case at the start.", "Do it (unclosed and open.", "See the other one."]
)
def test_what_makes_no_answer(sentence: str) -> None:
    assert not is_answer(sentence)


def test_private_and_obscure_things_are_not_asked_about() -> None:
    entries = list(documented(ast.parse(CODE), "idlelib.walk")) + list(documented(ast.parse(CODE), "_walk"))
    assert entries and not any(map(conversation, entries))
    assert sum(bool(conversation(entry)) for entry in documented(ast.parse(CODE), "walk")) > 4
