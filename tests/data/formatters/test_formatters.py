"""Golden rows for each format, and what doesn't fit."""

from __future__ import annotations

from typing import Any

import pytest

from ropewalk.data.formatters.alpaca import Alpaca
from ropewalk.data.formatters.formatter import Formatter
from ropewalk.data.formatters.gsm8k import GSM8K
from ropewalk.data.formatters.messages import Messages
from ropewalk.data.records import Chat, Message, Rejected, ToolCall


def turns(formatter: Formatter, record: dict[str, Any]) -> list[tuple[str, str]] | str:
    found = formatter.format(record, "x")
    return found.reason if isinstance(found, Rejected) else [(turn.role, turn.content) for turn in found.messages]


def test_gsm8k() -> None:
    row = {"question": "How many? ", "answer": "He has 3*4=<<3*4=12>>12 eggs.\n#### 1,200"}
    assert turns(GSM8K(), row) == [("user", "How many?"), ("assistant", "He has 3*4=12 eggs.\n#### 1200")]
    assert turns(GSM8K(marks=True), row) == [("user", "How many?"), ("assistant", "He has 3*4=<<3*4=12>>12 eggs.\n#### 1200")]
    assert turns(GSM8K(), {"question": "q", "answer": "7\n#### 7"}) == [("user", "q"), ("assistant", "7\n#### 7")]
    assert turns(GSM8K(), {"question": "q", "answer": "no end"}) == "no_final_answer"
    assert turns(GSM8K(), {"question": 3, "answer": "x"}) == "question_is_no_text"
    assert turns(GSM8K(), {"answer": "x"}) == "no_question"


def test_alpaca() -> None:
    assert turns(Alpaca(), {"instruction": "Sum.", "input": "1 2", "output": "3"}) == [("user", "Sum.\n\n1 2"), ("assistant", "3")]
    assert turns(Alpaca(), {"instruction": "Say hi.", "output": " hi "}) == [("user", "Say hi."), ("assistant", "hi")]
    assert turns(Alpaca(), {"instruction": "x", "input": "", "output": " "}) == "empty_answer"
    assert turns(Alpaca(), {"instruction": "", "input": "", "output": "y"}) == "empty_question"
    assert turns(Alpaca(), {"instruction": "x", "input": None, "output": "y"}) == "input_is_no_text"


def test_messages_with_tools() -> None:
    row = {
        "messages": [
            {"role": "user", "content": "weather?"},
            {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "get", "arguments": '{"city": "Rome"}'}}]},
            {"role": "tool", "content": "sun", "name": "get"},
            {"role": "assistant", "content": "Sunny."},
        ],
        "tools": [{"name": "get"}],
    }
    found = Messages().format(row, "x")
    assert isinstance(found, Chat) and found.messages[1] == Message("assistant", "", (ToolCall("get", {"city": "Rome"}),))
    assert found.messages[2].name == "get" and found.tools == ({"name": "get"},)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({}, "no_messages"),
        ({"messages": []}, "no_messages"),
        ({"messages": ["x"]}, "turn_is_no_object"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "unknown_role_robot"),
        ({"messages": [{"role": "user", "content": " "}]}, "empty_turn"),
        ({"messages": [{"role": "user", "content": 3}]}, "content_is_no_text"),
        ({"messages": [{"role": "assistant", "content": "", "tool_calls": [{"name": "f", "arguments": "{bad"}]}]}, "bad_tool_call"),
        ({"messages": [{"role": "assistant", "content": "", "tool_calls": ["f"]}]}, "bad_tool_call"),
        ({"messages": [{"role": "user", "content": "x"}], "tools": "f"}, "tools_are_no_list"),
    ],
)
def test_messages_that_do_not_fit_are_rejected(record: dict[str, Any], reason: str) -> None:
    assert turns(Messages(), record) == reason
