"""Texts that write tools and calls (case O27), and answers in one form."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.data.formatters.answers import normal_answer, split_reasoning
from ropewalk.data.formatters.glaive import Glaive
from ropewalk.data.formatters.tool_text import call_in, call_of, literal, objects_in, tools_of
from ropewalk.data.records import Chat, Message, Rejected, ToolCall

SYSTEM = 'SYSTEM: You have functions -\n{"name": "f", "parameters": {}}\n{"name": "g", "parameters": {}}'
ONE_LINE = (
    'USER: do it ASSISTANT: <functioncall> {"name": "f", "arguments": \'{"a": 1}\'} <|endoftext|> '
    'FUNCTION RESPONSE: {"r": 2} ASSISTANT: done <|endoftext|>'
)


@pytest.mark.parametrize("chat", [ONE_LINE, ONE_LINE.replace(" ASSISTANT:", "\n\n\nASSISTANT:").replace(" FUNCTION", "\n\n\nFUNCTION")])
def test_o27_raw_glaive(chat: str) -> None:
    found = Glaive().format({"system": SYSTEM, "chat": chat}, "x")
    assert isinstance(found, Chat)
    assert [(turn.role, turn.content, turn.tool_calls) for turn in found.messages] == [
        ("system", "You have functions", ()),
        ("user", "do it", ()),
        ("assistant", "", (ToolCall("f", {"a": 1}),)),
        ("tool", '{"r": 2}', ()),
        ("assistant", "done", ()),
    ]
    assert [tool["name"] for tool in found.tools] == ["f", "g"]


@pytest.mark.parametrize(
    "call",
    [
        '{"name": "f", "arguments": \'{"a": \'}',
        '{"name": "f", "arguments": ',
        '{"arguments": {}}',
        '{"name": "f", "arguments": \'[1]\'}',
        "{'name': 'f', 'arguments': {1, 2}}",
        "",
    ],
)
def test_o27_a_malformed_call_is_a_bad_record(call: str) -> None:
    found = Glaive().format({"system": SYSTEM, "chat": f"USER: q\n\n\nASSISTANT: <functioncall> {call} <|endoftext|>\n"}, "x")
    assert found == Rejected("bad_tool_call", "x turn 2")


def test_o27_users_may_speak_of_the_speakers() -> None:
    """Sibling: where speakers begin lines, a name inside of one is text."""
    found = Glaive().format({"system": "s", "chat": "USER: who is the ASSISTANT: here?\n\n\nASSISTANT: me <|endoftext|>\n"}, "x")
    assert isinstance(found, Chat)
    assert found.messages[1:] == (Message("user", "who is the ASSISTANT: here?"), Message("assistant", "me"))


def test_o27_an_apostrophe_in_the_arguments() -> None:
    """Sibling: Python's escape in what was once a Python string."""
    assert call_in("""{"name": "f", "arguments": '{"a": "I\\'m"}'}""") == ToolCall("f", {"a": "I'm"})
    assert call_in("""{"name": "f", "arguments": '{"a": "it's"}'}""") == ToolCall("f", {"a": "it's"})


PLAIN = st.recursive(st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=6), lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=4), below, max_size=3), max_leaves=6)  # fmt: skip  # noqa: E501


@given(st.dictionaries(st.text(max_size=5), PLAIN, max_size=4))
def test_a_call_is_read_however_it_is_written(arguments: dict[str, Any]) -> None:
    wanted = ToolCall("f", arguments)
    as_json = json.dumps(arguments)
    assert call_in(json.dumps({"name": "f", "arguments": arguments})) == wanted
    assert call_in(json.dumps({"name": "f", "arguments": as_json})) == wanted
    assert call_in(repr({"name": "f", "arguments": arguments})) == wanted
    assert call_of({"function": {"name": "f", "arguments": arguments}}) == wanted
    if "'" not in as_json:
        assert call_in(f"""{{"name": "f", "arguments": '{as_json}'}}""") == wanted


@pytest.mark.parametrize("text", ["(" * 100_000, "[" * 100_000, "{" * 9, "__import__('os')", "1+", "9" * 5000 + "x", "'" * 3])
def test_what_is_no_literal_is_refused_and_nothing_runs(text: str) -> None:
    with pytest.raises(ValueError, match=r"neither|malformed|nested|limit|Exceeds|null|too long"):
        literal(text)


def test_tools_in_all_their_forms() -> None:
    schema = {"name": "f"}
    for given_as in (schema, [schema], [{"type": "function", "function": schema}], json.dumps([schema]), repr([schema])):
        assert tools_of(given_as) == [schema]
    assert tools_of("") == [] and tools_of([{"no": 1}]) is None and tools_of(3) is None and tools_of("{") is None
    assert objects_in(' {"a": 1},\n{"b": 2} ') == [{"a": 1}, {"b": 2}]
    assert objects_in('{"a": 1} and') is None and objects_in("[1]") is None and objects_in('{"a"') is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("1,200", "1200"),
        (" $1,200.50. ", "1200.5"),
        ("3.00", "3"),
        ("+7", "7"),
        ("-0.250", "-0.25"),
        ("$x+1$", "x+1"),
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\boxed{a} or \\boxed{b}", "\\boxed{a} or \\boxed{b}"),
        ("1,20", "1,20"),
        ("10 apples.", "10 apples"),
        ("(C)", "(C)"),
        ("007", "007"),
        ("$3 and $4", "$3 and $4"),
        (".", "."),
    ],
)
def test_final_answers_have_one_form(given: str, expected: str) -> None:
    assert normal_answer(given) == expected == normal_answer(expected)


def test_reasoning_is_split_off_where_it_leads() -> None:
    assert split_reasoning("<think>\na\n</think>\n\nb") == ("a", "b")
    assert split_reasoning("<thinking>a</thinking>b") == ("a", "b")
    for text in ("b <think>a</think>", "<think>a", "<think>a</thinking>b", "b"):
        assert split_reasoning(text) == ("", text)
