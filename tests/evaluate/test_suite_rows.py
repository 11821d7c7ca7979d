"""What suites say that they ask, for training texts to be kept clear of."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from ropewalk.evaluate.suites.multiple_choice import MultipleChoice
from ropewalk.evaluate.suites.suite import Suite


def test_multiple_choice_asks_each_question_with_each_answer(tmp_path: Path) -> None:
    rows = [{"query": "Is it?", "choices": ["yes", "no"], "gold": 0}, {"query": "Or?", "choices": ["a", "b"], "gold": 1}]
    given = MultipleChoice.model_validate({"rows": rows, "limit": 1}).asks()
    assert [item.texts for item in given.items()] == [("Is it? yes", "Is it? no")] and given.name == "multiple_choice"
    with gzip.open(tmp_path / "arc_easy.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({**row, "note": "never asked"}) + "\n" for row in rows)
    read = MultipleChoice(path=tmp_path / "arc_easy.jsonl.gz").asks()
    assert [(item.name, item.texts) for item in read.items()] == [
        ("arc_easy#1", ("Is it? yes", "Is it? no")),
        ("arc_easy#2", ("Or? a", "Or? b")),
    ]
    assert MultipleChoice(path=tmp_path / "arc_easy.jsonl.gz", name="mine").asks().name == "mine"


def test_suites_on_the_recipes_own_documents_ask_no_rows() -> None:
    assert Suite.model_validate({"type": "perplexity", "data": "packed"}).asks() is None
    assert Suite.model_validate({"type": "answer_loss", "data": "turns"}).asks() is None
