"""The format stage: files of several formats, a limit, ids, and an account of every record."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from golden_rows import GOLDEN
from ropewalk.core.errors import DataError
from ropewalk.core.ledger import read_ledger
from ropewalk.data.chats import Chats
from ropewalk.data.formatters.auto import Auto
from ropewalk.data.formatters.gsm8k import GSM8K
from ropewalk.data.formatters.oasst import OASST
from ropewalk.data.sources.files import Files
from ropewalk.data.sources.jsonl import Jsonl
from ropewalk.data.sources.text import Text
from ropewalk.pipeline.stages.format import Format

Make = Callable[..., Any]


def write(path: Path, records: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def numbered(number: int) -> list[dict[str, Any]]:
    return [{"question": f"q{index}", "answer": f"s\n#### {index}"} for index in range(number)]


def test_each_file_of_a_folder_has_its_own_format(tmp_path: Path, make_stage: Make) -> None:
    names = [name for name in GOLDEN if "thread" not in GOLDEN[name][0][0]]
    for name in names:
        write(tmp_path / "sft" / name / "rows.jsonl", [record for record, _, _ in GOLDEN[name]])
    chats, facts = make_stage(Format(source=Files(path=tmp_path / "sft"), formatter=Auto()))
    assert isinstance(chats, Chats) and facts.counts["kept"] == 2 * len(names) == facts.counts["records_in"]
    assert {facts.metrics[f"formats/{name}/rows.jsonl"].split()[0] for name in names} == set(names)
    turns = [list(chat.messages) for chat in chats.chats()]
    assert turns == [messages for name in sorted(names) for _, messages, _ in GOLDEN[name]]
    assert {chat.source for chat in chats.chats()} >= {"gsm8k", "oasst" if "oasst" in names else "arc"}


def test_a_limit_takes_the_first_records_of_each_file(tmp_path: Path, make_stage: Make) -> None:
    for name in "ab":
        write(tmp_path / "s" / f"{name}.jsonl", [{**row, "question": name + row["question"]} for row in numbered(9)])
    chats, facts = make_stage(Format(source=Files(path=tmp_path / "s"), formatter=GSM8K(), limit=2))
    assert [chat.messages[0].content for chat in chats.chats()] == ["aq0", "aq1", "bq0", "bq1"]
    assert facts.counts["records_in"] == 4 == facts.metrics["records_read"]


def test_a_file_of_no_known_format_stops_or_is_dropped(tmp_path: Path, make_stage: Make) -> None:
    write(tmp_path / "s" / "a.jsonl", numbered(3))
    write(tmp_path / "s" / "b.jsonl", [{"nothing": 1}, {"nothing": 2}])
    with pytest.raises(DataError, match=r"format: b.jsonl: no format fits 90% .* no format parses any") as caught:
        make_stage(Format(source=Files(path=tmp_path / "s"), formatter=Auto()))
    assert "unknown: drop" in caught.value.remedy
    chats, facts = make_stage(Format(source=Files(path=tmp_path / "s"), formatter=Auto(unknown="drop")), folder="again")
    assert facts.counts["kept"] == 3 and facts.counts["dropped/unknown_format"] == 2 and "formats/b.jsonl" not in facts.metrics
    assert len(list(chats.chats())) == 3


def test_rows_of_trees_are_counted_as_conversations(tmp_path: Path, make_stage: Make) -> None:
    rows = [
        {"message_id": "1", "parent_id": None, "message_tree_id": "1", "text": "q", "role": "prompter"},
        {"message_id": "2", "parent_id": "1", "message_tree_id": "1", "text": "b", "role": "assistant", "rank": 1},
        {"message_id": "3", "parent_id": "1", "message_tree_id": "1", "text": "a", "role": "assistant", "rank": 0},
        {"message_id": "9", "parent_id": "8", "message_tree_id": "7", "text": "lost", "role": "assistant"},
    ]
    source = Jsonl(path=write(tmp_path / "rows.jsonl", rows))
    chats, facts = make_stage(Format(source=source, formatter=OASST()))
    assert [(chat.id, chat.messages[1].content) for chat in chats.chats()] == [("1/0", "a"), ("1/1", "b")]
    assert facts.counts["records_in"] == 3 and facts.metrics["records_read"] == 4
    assert read_ledger(chats.path).select(["id", "reason"]).to_pylist() == [{"id": "9", "reason": "parent_is_missing"}]


def test_the_same_number_in_two_files_is_two_ids_and_twice_in_one_is_dropped(tmp_path: Path, make_stage: Make) -> None:
    row = {"id": 1, "question": "q", "answer": "#### 1"}
    write(tmp_path / "s" / "a.jsonl", [row, row])
    write(tmp_path / "s" / "b.jsonl", [row])
    chats, facts = make_stage(Format(source=Files(path=tmp_path / "s"), formatter=GSM8K()))
    assert [chat.id for chat in chats.chats()] == ["1", "b.jsonl:1"] and facts.counts["dropped/same_id_again"] == 1


def test_lines_of_tsv_whose_quotes_are_text(tmp_path: Path, make_stage: Make) -> None:
    path = tmp_path / "cot.tsv"
    path.write_text('"A" is true?\\nOptions\tno\tIt\'s "not".\nq\tyes\tr\n')
    chats, facts = make_stage(Format(source=Text(path=path, per="line"), formatter=Auto()))
    assert [chat.messages[0].content for chat in chats.chats()] == ['"A" is true?\nOptions', "q"]
    assert facts.metrics["formats/cot.tsv"] == "cot (100% sure)"


def test_nothing_that_fits_names_the_reasons(tmp_path: Path, make_stage: Make) -> None:
    source = Jsonl(path=write(tmp_path / "a.jsonl", [{"x": 1}]))
    with pytest.raises(DataError, match=r"none of 1 records fits the gsm8k format .*no_question: 1"):
        make_stage(Format(source=source, formatter=GSM8K()))
