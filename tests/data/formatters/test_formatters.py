"""Golden rows, two for each format, and what doesn't fit."""

from __future__ import annotations

import time
from typing import Any

import pytest

from golden_rows import BENCH_HEAD, GOLDEN, share
from ropewalk.core.component import lookup
from ropewalk.data.formatters.formatter import Formatter
from ropewalk.data.records import Chat, Rejected

REJECTED: list[tuple[str, dict[str, Any], str]] = [
    ("gsm8k", {"question": "q", "answer": "no end"}, "no_final_answer"),
    ("gsm8k", {"question": 3, "answer": "x"}, "question_is_no_text"),
    ("gsm8k", {"answer": "x"}, "no_question"),
    ("orca_math", {"question": "q", "answer": "7\n#### 7"}, "has_gsm8k_mark"),
    ("metamath", {"type": "t", "query": "q", "response": "The answer is: 3\nand more"}, "no_final_answer"),
    ("metamath", {"type": "t", "query": "q", "response": "no end"}, "no_final_answer"),
    ("mathinstruct", {"instruction": "q", "output": "o"}, "no_source"),
    ("cot", {"text": "q\ta"}, "not_three_columns"),
    ("cot", {"text": "q\t\tr"}, "empty_answer"),
    ("logiqa", {"context": "c", "query": "q", "options": ["a", "b"], "correct_option": 4}, "answer_is_no_option"),
    ("logiqa", {"context": "c", "query": "q", "options": ["a", "b"], "correct_option": True}, "answer_is_no_number"),
    ("logiqa", {"text": "c", "question": "q", "options": "ab", "answer": 0}, "no_options"),
    ("arc", {"question": "Q", "choices": {"text": ["x", "y"], "label": ["A", "B"]}, "answerKey": "C"}, "answer_is_no_option"),
    ("arc", {"question": "Q", "choices": {"text": ["x", 3], "label": ["A", "B"]}, "answerKey": "A"}, "bad_options"),
    ("arc", {"question": "Q", "choices": {"text": ["x"], "label": ["A", "B"]}, "answerKey": "A"}, "bad_options"),
    ("arc", {"question": {}, "answerKey": "A"}, "no_question"),
    ("arc", {"question": "Q", "answerKey": "A"}, "no_options"),
    (
        "glaive",
        {"system": "s", "chat": 'USER: q\nASSISTANT: <functioncall> {"name": "f", "arguments": \'{"a": }\'} <|endoftext|>'},
        "bad_tool_call",
    ),
    ("glaive", {"system": 'SYSTEM: functions -\n{"name": ', "chat": "USER: q\nASSISTANT: a"}, "bad_tools"),
    ("glaive", {"system": "s", "chat": "nobody speaks"}, "no_turns"),
    ("glaive", {"system": "s", "chat": "USER: a\nUSER: b\n"}, "no_answer"),
    ("hermes", share(("human", "a"), ("gpt", "b")), "no_hermes_markup"),
    ("hermes", share(("human", "a"), ("gpt", "<tool_call>{'name': }</tool_call>")), "bad_tool_call"),
    ("hermes", share(("human", "a"), ("gpt", "<tool_call>{'name': 'f'}")), "bad_tool_call"),
    ("hermes", share(("system", "<tools>\n[{]\n</tools>"), ("human", "a"), ("gpt", "b")), "bad_tools"),
    ("hermes", share(("robot", "<tools>")), "unknown_role_robot"),
    ("gorilla", {"code": "print(1)", "api_call": "x"}, "no_instruction"),
    ("gorilla", {"code": "###Instruction: a\n###Output: ", "api_call": "x"}, "empty_answer"),
    ("toolbench", share(("system", BENCH_HEAD + "[{'name': 'f'}]"), ("user", "q"), ("assistant", "I don't know")), "no_action"),
    (
        "toolbench",
        share(("system", BENCH_HEAD + "nothing"), ("user", "q"), ("assistant", "Thought: \nAction: f\nAction Input: {}")),
        "bad_tools",
    ),
    ("toolbench", share(("assistant", "Thought: \nAction: f\nAction Input: {bad")), "bad_tool_call"),
    ("toolbench", share(("human", "q")), "unknown_role_human"),
    ("toolbench", {"answer_generation": {"train_messages": []}}, "no_train_messages"),
    ("alpaca", {"instruction": "x", "input": "", "output": " "}, "empty_answer"),
    ("alpaca", {"instruction": "", "input": "", "output": "y"}, "empty_question"),
    ("alpaca", {"instruction": "x", "input": None, "output": "y"}, "input_is_no_text"),
    ("alpaca", {"instruction": "x", "output": "y", "history": [["a"]]}, "bad_history"),
    ("openorca", {"question": "q", "response": "r"}, "no_system_prompt"),
    ("oasst", {"prompt": {"role": "prompter", "text": "q", "replies": []}}, "no_answer"),
    ("oasst", {"id": "x", "thread": [{"role": "robot", "text": "q"}]}, "bad_message"),
    ("oasst", {"text": "x"}, "no_thread"),
    ("sharegpt", {"conversations": []}, "no_conversations"),
    ("sharegpt", {"conversations": [{"from": "human"}]}, "turn_is_no_object"),
    ("sharegpt", share(("human", "a"), ("function_call", "{bad")), "bad_tool_call"),
    ("sharegpt", share(("human", "a"), ("function_call", '{"name": "f", "arguments": [1]}')), "bad_tool_call"),
    ("sharegpt", share(("human", "a"), ("gpt", "b"), tools="[1]"), "bad_tools"),
    ("sharegpt", share(("human", "a"), ("gpt", " ")), "empty_turn"),
    ("sharegpt", share(("function", "a")), "unknown_role_function"),
    ("sharegpt", share(("human", "a")), "no_answer"),
    ("messages", {}, "no_messages"),
    ("messages", {"messages": []}, "no_messages"),
    ("messages", {"messages": ["x"]}, "turn_is_no_object"),
    ("messages", {"messages": [{"role": "robot", "content": "x"}]}, "unknown_role_robot"),
    ("messages", {"messages": [{"role": "user", "content": " "}]}, "empty_turn"),
    ("messages", {"messages": [{"role": "user", "content": 3}]}, "content_is_no_text"),
    ("messages", {"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "content_is_no_text"),
    ("messages", {"messages": [{"role": "assistant", "content": "", "tool_calls": [{"name": "f", "arguments": "{bad"}]}]}, "bad_tool_call"),
    ("messages", {"messages": [{"role": "assistant", "content": "", "tool_calls": ["f"]}]}, "bad_tool_call"),
    ("messages", {"messages": [{"role": "assistant", "content": "x", "reasoning": 3}]}, "reasoning_is_no_text"),
    ("messages", {"messages": [{"role": "user", "content": "x"}], "tools": "f"}, "bad_tools"),
    ("prompt_response", {"prompt": "q", "response": ""}, "empty_answer"),
    ("prompt_response", {"prompt": "q"}, "no_response"),
]


def formatter(name: str, **fields: Any) -> Formatter:
    member = lookup(Formatter)[name]
    found = member(**fields)
    assert isinstance(found, Formatter)
    return found


@pytest.mark.parametrize(("name", "row"), [(name, row) for name in GOLDEN for row in range(2)])
def test_a_golden_row(name: str, row: int) -> None:
    record, messages, tools = GOLDEN[name][row]
    found = formatter(name).format(record, "x")
    assert isinstance(found, Chat), found
    assert list(found.messages) == messages and list(found.tools) == tools and found.id == "x"


def test_every_format_has_two_golden_rows() -> None:
    ours = {tag for tag, member in lookup(Formatter).items() if member.__module__.startswith("ropewalk.")}
    assert set(GOLDEN) == ours - {"auto"} and all(len(rows) == 2 for rows in GOLDEN.values())


@pytest.mark.parametrize(("name", "record", "reason"), REJECTED)
def test_what_does_not_fit_is_rejected(name: str, record: dict[str, Any], reason: str) -> None:
    found = formatter(name).format(record, "x")
    assert isinstance(found, Rejected) and found.reason == reason
    assert found.witness.startswith("x")


def test_marks_of_the_calculator_can_stay() -> None:
    found = formatter("gsm8k", marks=True).format(GOLDEN["gsm8k"][0][0], "x")
    assert isinstance(found, Chat) and found.messages[1].reasoning == "He has 3*4=<<3*4=12>>12 eggs."


@pytest.mark.parametrize("name", sorted(GOLDEN))
@pytest.mark.parametrize("junk", [None, 3, [], {}, "x", [None], {"a": 1}, "{", "\n", [[1]], {"from": 1}])
def test_no_record_makes_a_formatter_raise(name: str, junk: Any) -> None:
    """Every field of a golden row in turn holds something else."""
    for record, _, _ in GOLDEN[name]:
        for field in record:
            found = formatter(name).format({**record, field: junk}, "x")
            assert isinstance(found, Chat | Rejected)
        found = formatter(name).format(dict.fromkeys(record, junk), "x")
        assert isinstance(found, Chat | Rejected)


def stretched(value: Any, filling: str) -> Any:
    """The record with every text made long."""
    if isinstance(value, str):
        return value + filling + value
    if isinstance(value, list):
        return [stretched(part, filling) for part in value[:2]]
    return {name: stretched(part, filling) for name, part in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize("name", sorted(GOLDEN))
@pytest.mark.parametrize("filling", ["\n", " ", "<", ", ", "- ", "#", "\n ", "{"])
def test_a_long_text_takes_no_longer_than_its_length(name: str, filling: str) -> None:
    record = stretched(GOLDEN[name][0][0], filling * (60_000 // len(filling)))
    started = time.process_time()
    formatter(name).format(record, "x")
    assert time.process_time() - started < 0.5
