"""Two hand-written rows of each instruction format, with the turns and tools that they are."""

from __future__ import annotations

import json
from typing import Any

from ropewalk.data.records import Message, ToolCall

TOOL = {"name": "get", "description": "Weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
WRAPPED = {"type": "function", "function": TOOL}
CALL = ToolCall("get", {"city": "Rome"})


def user(text: str) -> Message:
    return Message("user", text)


def said(text: str, *calls: ToolCall, why: str = "") -> Message:
    return Message("assistant", text, calls, reasoning=why)


def system(text: str) -> Message:
    return Message("system", text)


def tool(text: str, name: str = "") -> Message:
    return Message("tool", text, name=name)


def share(*turns: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {"conversations": [{"from": speaker, "value": value} for speaker, value in turns], **more}


HERMES_HEAD = (
    "You are a function calling AI model. You are provided with function signatures within <tools> </tools> XML tags. Don't guess.\n"
    f"<tools>\n{[WRAPPED]}\n</tools>\nFor each function call return a json object with function name and arguments within <tool_call> tags."
)
BENCH_HEAD = (
    "You are AutoGPT. Your output should follow this format:\nThought:\nAction\nAction Input:\n\nTask description: be good.\n"
    "You have access of the following tools:\n1.weather: all of it\n\nSpecifically, you have access to the following APIs: "
)
FINISH = {"name": "Finish", "description": "end", "parameters": {"type": "object", "properties": {}}}
LLM = (
    "<<<domain>>>: NLP\n<<<api_call>>>: load('m')\n<<<api_provider>>>: Hub\n<<<explanation>>>: It's one.\n<<<code>>>: import m\nm.load('m')"
)

GOLDEN: dict[str, list[tuple[dict[str, Any], list[Message], list[Any]]]] = {
    "gsm8k": [
        (
            {"question": "How many? ", "answer": "He has 3*4=<<3*4=12>>12 eggs.\n#### 1,200"},
            [user("How many?"), said("#### 1200", why="He has 3*4=12 eggs.")],
            [],
        ),
        ({"question": "q", "answer": "7\n#### 7.50"}, [user("q"), said("#### 7.5", why="7")], []),
    ],
    "orca_math": [
        ({"question": "Who?", "answer": "So the answer is 18."}, [user("Who?"), said("So the answer is 18.")], []),
        ({"question": " a ", "answer": "b\nc"}, [user("a"), said("b\nc")], []),
    ],
    "metamath": [
        (
            {"type": "GSM_FOBAR", "query": "x?", "original_question": "y?", "response": "Add.\n#### 80,000\nThe answer is: 80,000"},
            [user("x?"), said("The answer is: 80000", why="Add.")],
            [],
        ),
        (
            {
                "type": "MATH_AnsAug",
                "query": "x?",
                "original_question": "x?",
                "response": "So $\\boxed{\\sqrt{5}}$.\nThe answer is: \\sqrt{5}",
            },
            [user("x?"), said("The answer is: \\sqrt{5}", why="So $\\boxed{\\sqrt{5}}$.")],
            [],
        ),
    ],
    "mathinstruct": [
        (
            {"source": "data/CoT/aqua_rat.json", "instruction": "A or C?", "output": "2240-1120 = 1120 The answer is (C)"},
            [user("A or C?"), said("The answer is (C)", why="2240-1120 = 1120")],
            [],
        ),
        (
            {"source": "data/PoT/x.json", "instruction": "Sum", "output": "a = 1\nprint(a)"},
            [user("Sum"), said("a = 1\nprint(a)")],
            [],
        ),
    ],
    "cot": [
        (
            {"text": "How far?\\nOptions:\\n(A) 3\\n(B) 4\t(B)\t3 + 1 = 4\\nso B", "id": "f#1"},
            [user("How far?\nOptions:\n(A) 3\n(B) 4"), said("(B)", why="3 + 1 = 4\nso B")],
            [],
        ),
        ({"question": '"A" is true?', "answer": "no", "rationale": "It is not."}, [user('"A" is true?'), said("no", why="It is not.")], []),
    ],
    "logiqa": [
        (
            {"context": "C.", "query": "Q?", "options": ["a", "b ", "c", "d"], "correct_option": 3},
            [user("C.\n\nQ?\nA. a\nB. b\nC. c\nD. d"), said("D. d")],
            [],
        ),
        (
            {"id": 7, "answer": 0, "text": "T.", "question": "Q?", "options": ["a", "b"], "type": {"x": True}},
            [user("T.\n\nQ?\nA. a\nB. b"), said("A. a")],
            [],
        ),
    ],
    "arc": [
        (
            {"id": "i", "question": "Q?", "choices": {"text": ["x", "y"], "label": ["1", "2"]}, "answerKey": "2"},
            [user("Q?\nA. x\nB. y"), said("B. y")],
            [],
        ),
        (
            {
                "id": "i2",
                "question": {"stem": "Q?", "choices": [{"text": "x", "label": "A"}, {"text": "y", "label": "B"}]},
                "answerKey": "A",
            },
            [user("Q?\nA. x\nB. y"), said("A. x")],
            [],
        ),
    ],
    "glaive": [
        (
            {
                "system": f"SYSTEM: You may use these functions -\n{json.dumps(TOOL, indent=1)}\n{json.dumps({**TOOL, 'name': 'put'})}\n",
                "chat": 'USER: Rome?\n\n\nASSISTANT: Wait. <functioncall> {"name": "get", "arguments": \'{"city": "Rome"}\'} <|endoftext|>'
                '\n\n\nFUNCTION RESPONSE: {"r": 2}\n\n\nASSISTANT: Two. <|endoftext|>\n\n\n',
            },
            [system("You may use these functions"), user("Rome?"), said("Wait.", CALL), tool('{"r": 2}'), said("Two.")],
            [TOOL, {**TOOL, "name": "put"}],
        ),
        (
            {"system": "SYSTEM: You are kind, with no functions.", "chat": "USER: a\nASSISTANT: b\nis b <|endoftext|>\n"},
            [system("You are kind, with no functions."), user("a"), said("b\nis b")],
            [],
        ),
    ],
    "hermes": [
        (
            share(
                ("system", HERMES_HEAD),
                ("human", "Rome?"),
                (
                    "gpt",
                    "<scratch_pad>\nI ask.\n</scratch_pad>\n<tool_call>\n{'arguments': {'city': 'Rome'}, 'name': 'get'}\n</tool_call>\n",
                ),
                ("tool", '<tool_response>\n{"name": "get", "content": {"r": 2}}\n</tool_response>\n'),
                ("gpt", "Two."),
                id="h",
                category="c",
            ),
            [
                system("You are a function calling AI model.  Don't guess."),
                user("Rome?"),
                said("", CALL, why="I ask."),
                tool('{"name": "get", "content": {"r": 2}}', "get"),
                said("Two."),
            ],
            [TOOL],
        ),
        (
            share(
                ("human", "Both?"),
                (
                    "gpt",
                    'So:\n<tool_call>\n{"name": "get", "arguments": {"city": "Rome"}}\n</tool_call>\n<tool_call>{"name": "put"}</tool_call>',  # noqa: E501
                ),
                ("tool", "<tool_response>1</tool_response><tool_response>2</tool_response>"),
                id="h2",
                tools=json.dumps([WRAPPED]),
            ),
            [user("Both?"), said("So:", CALL, ToolCall("put", {})), tool("1"), tool("2")],
            [TOOL],
        ),
    ],
    "gorilla": [
        (
            {
                "code": "###Instruction: Find one.\n###Output: <<<domain>>>: NLP, <<<api_call>>>: load('m'), <<<api_provider>>>: Hub,"
                " <<<explanation>>>: It's one.<<<code>>>: import m\nm.load('m')\n",
                "api_call": "load('m')",
                "provider": "Hub",
                "api_data": {},
            },
            [user("Find one."), said(LLM)],
            [],
        ),
        (
            {
                "code": "{'Instruction': Find one., 'Output': {'domain': 'NLP', 'api_call': \"load('m')\", 'api_provider': 'Hub',"
                " 'explanation': \"It's one.\", 'code': 'import m\nm.load('m')'}}",
                "api_call": "other",
                "provider": "Hub",
                "api_data": {},
            },
            [user("Find one."), said(LLM)],
            [],
        ),
    ],
    "toolbench": [
        (
            share(
                ("system", f"{BENCH_HEAD}{[TOOL, FINISH]}"),
                ("user", "\nRome?\nBegin!\n"),
                ("assistant", '\nThought: I ask.\nAction: get\nAction Input: {\n "city": "Rome"\n}'),
                ("function", '{"r": 2}'),
                ("assistant", '\nThought: Done.\nAction: Finish\nAction Input: {"return_type": "give_answer", "final_answer": "Two."}'),
                id="Step 2: Rome?",
            ),
            [
                system("You have access of the following tools:\n1.weather: all of it"),
                user("Rome?"),
                said("", CALL, why="I ask."),
                tool('{"r": 2}'),
                said("Two.", why="Done."),
            ],
            [TOOL],
        ),
        (
            {
                "win": True,
                "answer_generation": {
                    "function": [TOOL, FINISH],
                    "train_messages": [
                        [{"role": "user", "content": "x"}],
                        [
                            {"role": "user", "content": "\nRome?\nBegin!\n"},
                            {"role": "assistant", "content": "I ask.", "function_call": {"name": "get", "arguments": '{"city": "Rome"}'}},
                            {"role": "function", "name": "get", "content": "2"},
                            {
                                "role": "assistant",
                                "content": None,
                                "function_call": {"name": "Finish", "arguments": '{"return_type": "give_up_and_restart"}'},
                            },
                        ],
                    ],
                },
            },
            [
                user("Rome?"),
                said("", CALL, why="I ask."),
                tool("2", "get"),
                said("", ToolCall("Finish", {"return_type": "give_up_and_restart"})),
            ],
            [TOOL, FINISH],
        ),
    ],
    "alpaca": [
        ({"instruction": "Sum.", "input": "1 2", "output": "3"}, [user("Sum.\n\n1 2"), said("3")], []),
        (
            {"instruction": "Say hi.", "output": " <think>how</think> hi ", "system": "s", "history": [["a", "b"]]},
            [system("s"), user("a"), said("b"), user("Say hi."), said("hi", why="how")],
            [],
        ),
    ],
    "openorca": [
        ({"id": "niv.1", "system_prompt": "", "question": "q", "response": "r"}, [user("q"), said("r")], []),
        ({"id": "t0.1", "system_prompt": "Think.", "question": "q", "response": "r"}, [system("Think."), user("q"), said("r")], []),
    ],
    "oasst": [
        ({"id": "t/0", "thread": [{"role": "prompter", "text": "q "}, {"role": "assistant", "text": "a"}]}, [user("q"), said("a")], []),
        (
            {
                "message_tree_id": "t",
                "tree_state": "ready_for_export",
                "prompt": {
                    "role": "prompter",
                    "text": "q",
                    "replies": [{"role": "assistant", "text": "worse", "rank": 1}, {"role": "assistant", "text": "best", "rank": 0}],
                },
            },
            [user("q"), said("best")],
            [],
        ),
    ],
    "sharegpt": [
        (
            share(
                ("human", "Rome?"),
                ("function_call", '{"name": "get", "arguments": {"city": "Rome"}}'),
                ("observation", "2"),
                ("gpt", "Two."),
                tools=json.dumps([TOOL]),
                system="Be kind.",
            ),
            [system("Be kind."), user("Rome?"), said("", CALL), tool("2"), said("Two.")],
            [TOOL],
        ),
        (
            share(("system", "s"), ("user", "a"), ("chatgpt", "<think>\nhm\n</think>\n\nb")),
            [system("s"), user("a"), said("b", why="hm")],
            [],
        ),
    ],
    "messages": [
        (
            {
                "messages": [
                    {"role": "developer", "content": "s"},
                    {"role": "user", "content": [{"type": "text", "text": "weather"}, {"type": "text", "text": "?"}]},
                    {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "get", "arguments": '{"city": "Rome"}'}}]},
                    {"role": "tool", "content": "sun", "name": "get"},
                    {"role": "assistant", "content": "Sunny.", "reasoning_content": "why"},
                ],
                "tools": [WRAPPED],
            },
            [system("s"), user("weather?"), said("", CALL), tool("sun", "get"), said("Sunny.", why="why")],
            [TOOL],
        ),
        (
            {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "<think>hm</think>b"}]},
            [user("a"), said("b", why="hm")],
            [],
        ),
    ],
    "prompt_response": [
        (
            {
                "prompt": "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
                "### Instruction:\nSum.\n\n### Input:\n1 2\n\n### Response:\n",
                "response": "3",
            },
            [user("Sum.\n\n1 2"), said("3")],
            [],
        ),
        ({"prompt": "Say hi", "completion": " hi"}, [user("Say hi"), said("hi")], []),
    ],
}
