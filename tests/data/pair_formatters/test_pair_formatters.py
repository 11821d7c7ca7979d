"""Formats of preference sets: what becomes a pair, and why another record does not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ropewalk.data.pair_formatters.best_of_n import BestOfN
from ropewalk.data.pair_formatters.chosen_rejected import ChosenRejected
from ropewalk.data.pair_formatters.hh_rlhf import HHRLHF
from ropewalk.data.pair_formatters.kto import KTOLabels
from ropewalk.data.pair_formatters.pair_formatter import PairFormatter
from ropewalk.data.pair_formatters.sharegpt import ShareGPTPairs
from ropewalk.data.pairs import Pair, checked
from ropewalk.data.records import Message, Rejected

ASKED = (Message("user", "What is a bowline for?"),)


def turns(*contents: str) -> list[dict[str, str]]:
    """User and assistant in turn."""
    return [{"role": ("user", "assistant")[place % 2], "content": content} for place, content in enumerate(contents)]


def made(formatter: PairFormatter, record: dict[str, Any]) -> tuple[list[str], str | None, str | None]:
    """(roles and texts of the prompt, chosen, rejected)."""
    found = formatter.format(record, "a")
    assert isinstance(found, Pair), found
    chosen, rejected = (answer and "|".join(turn.content for turn in answer) for answer in (found.chosen, found.rejected))
    return [f"{turn.role}: {turn.content}" for turn in found.prompt], chosen, rejected  # type: ignore[return-value]


SYSTEM = [{"role": "system", "content": "Be brief."}]


@pytest.mark.parametrize(
    ("formatter", "record", "expected"),
    [
        (ChosenRejected(), {"prompt": "hi", "chosen": "a", "rejected": "b"}, (["user: hi"], "a", "b")),
        (
            ChosenRejected(),
            {"prompt": turns("hi", "ho", "he"), "chosen": "a", "rejected": "b"},
            (["user: hi", "assistant: ho", "user: he"], "a", "b"),
        ),
        (ChosenRejected(), {"prompt": "hi", "chosen": turns("hi", "a"), "rejected": turns("hi", "b")}, (["user: hi"], "a", "b")),
        (ChosenRejected(), {"chosen": turns("hi", "a"), "rejected": turns("hi", "b")}, (["user: hi"], "a", "b")),
        (
            ChosenRejected(),
            {"prompt": "Be brief.", "chosen": SYSTEM + turns("hi", "a"), "rejected": SYSTEM + turns("hi", "b")},
            (["system: Be brief.", "user: hi"], "a", "b"),
        ),
        (
            ChosenRejected(),
            {"prompt": "hi", "system": "Be brief.", "chosen": "a", "rejected": "b"},
            (["system: Be brief.", "user: hi"], "a", "b"),
        ),
        (ChosenRejected(prompt="q", chosen="yes", rejected="no"), {"q": "hi", "yes": "a", "no": "b"}, (["user: hi"], "a", "b")),
        (
            ShareGPTPairs(),
            {
                "conversations": [{"from": "human", "value": "hi"}],
                "chosen": {"from": "gpt", "value": "a"},
                "rejected": {"from": "gpt", "value": "b"},
            },
            (["user: hi"], "a", "b"),
        ),
        (HHRLHF(), {"chosen": "\n\nHuman: hi\n\nAssistant: a", "rejected": "\n\nHuman: hi\n\nAssistant: b"}, (["user: hi"], "a", "b")),
        (
            HHRLHF(),
            {
                "chosen": "\n\nHuman: hi\n\nAssistant: ho\n\nHuman: he: x\n\nAssistant: a\n\nb",
                "rejected": "\n\nHuman: hi\n\nAssistant: ho\n\nHuman: he: x\n\nAssistant:",
            },
            (["user: hi", "assistant: ho", "user: he: x"], "a\n\nb", ""),
        ),
        (KTOLabels(), {"messages": turns("hi", "a"), "label": True}, (["user: hi"], "a", None)),
        (KTOLabels(), {"prompt": "hi", "completion": "a", "label": False}, (["user: hi"], None, "a")),
        (BestOfN(), {"prompt": "hi", "answers": ["a", "b", "c"], "scores": [2, 3.5, 1]}, (["user: hi"], "b", "c")),
        (BestOfN(against="next"), {"prompt": "hi", "answers": ["a", "b", "c"], "scores": [2, 3.5, 1]}, (["user: hi"], "b", "a")),
        (
            BestOfN(),
            {"instruction": "hi", "completions": [{"response": "a", "overall_score": 9}, {"response": "b", "overall_score": 3}]},
            (["user: hi"], "a", "b"),
        ),
    ],
)
def test_a_record_becomes_a_pair(formatter: PairFormatter, record: dict[str, Any], expected: Any) -> None:
    assert made(formatter, record) == expected
    assert json.loads(json.dumps(record)) == record


@pytest.mark.parametrize(
    ("formatter", "record", "reason"),
    [
        (ChosenRejected(), {"prompt": "hi", "chosen": "a"}, "rejected.no_text_and_no_turns"),
        (ChosenRejected(), {"chosen": "a", "rejected": "b"}, "no_prompt"),
        (ChosenRejected(), {"prompt": "hi", "chosen": turns("hi", "a"), "rejected": turns("ho", "b")}, "prompts_differ"),
        (ChosenRejected(), {"prompt": "hi", "chosen": turns("hi", "a"), "rejected": turns("hi", "x", "y", "b")}, "prompts_differ"),
        (ChosenRejected(), {"prompt": "other", "chosen": turns("hi", "a"), "rejected": turns("hi", "b")}, "prompts_differ"),
        (ChosenRejected(), {"prompt": [{"role": "wizard", "content": "hi"}], "chosen": "a", "rejected": "b"}, "prompt.unknown_role_wizard"),
        (ChosenRejected(), {"prompt": 7, "chosen": "a", "rejected": "b"}, "prompt.no_text_and_no_turns"),
        (ShareGPTPairs(), {"chosen": "a", "rejected": "b"}, "no_conversations"),
        (HHRLHF(), {"chosen": "\n\nHuman: hi\n\nAssistant: a", "rejected": "\n\nHuman: ho\n\nAssistant: b"}, "prompts_differ"),
        (HHRLHF(), {"chosen": "plain", "rejected": "text"}, "no_turns"),
        (HHRLHF(), {"chosen": "\n\nHuman: hi"}, "no_rejected"),
        (KTOLabels(), {"messages": turns("hi", "a"), "label": "yes"}, "label_is_not_true_or_false"),
        (BestOfN(), {"prompt": "hi", "answers": ["a", "b"], "scores": [1, 1]}, "scores_do_not_differ"),
        (BestOfN(least_gap=2), {"prompt": "hi", "answers": ["a", "b"], "scores": [1, 2]}, "scores_do_not_differ"),
        (BestOfN(), {"prompt": "hi", "answers": ["a", "b"], "scores": [1]}, "not_one_score_an_answer"),
        (BestOfN(), {"prompt": "hi", "answers": ["a", "b"], "scores": [1, True]}, "score_is_no_number"),
        (BestOfN(), {"prompt": "hi", "completions": ["a"]}, "completions_are_no_objects"),
    ],
)
def test_what_does_not_fit_is_rejected_with_a_reason(formatter: PairFormatter, record: dict[str, Any], reason: str) -> None:
    found = formatter.format(record, "a")
    assert isinstance(found, Rejected) and found.reason == reason


def answer(text: str | None) -> tuple[Message, ...] | None:
    return None if text is None else (Message("assistant", text),)


@pytest.mark.parametrize(
    ("chosen", "rejected", "outcome"),
    [
        ("To tie up.", "No idea.", ("To tie up.", "No idea.", ())),
        ("What is a bowline for?\nTo tie up.", "What is a bowline for? No idea.", ("To tie up.", "No idea.", ("prompt_repeated",))),
        ("  What is a bowline for? Tie.", None, ("Tie.", None, ("prompt_repeated",))),
        ("What is a bowline for? To tie up.", "No idea.", "prompt_in_one_answer"),
        ("What is a bowline for?", "What is a bowline for? No.", "empty_answer"),
        ("Same.", " Same.\n", "same_answers"),
        ("", "b", "empty_answer"),
        (None, None, "no_answer"),
    ],
)
def test_a_prompt_inside_the_answers_is_taken_out_or_ambiguous(chosen: str | None, rejected: str | None, outcome: Any) -> None:
    """O28."""
    found = checked(Pair("a", ASKED, answer(chosen), answer(rejected)))
    if isinstance(found, Rejected):
        assert found.reason == outcome
    else:
        texts = [side and side[0].content for side in (found.chosen, found.rejected)]
        assert (*texts, found.notes) == outcome


def test_a_short_prompt_may_begin_an_answer_by_chance() -> None:
    found = checked(Pair("a", (Message("user", "Hi"),), answer("Hi there"), answer("Hi.")))
    assert isinstance(found, Pair) and found.notes == ("prompt_maybe_repeated",)
    assert found.chosen == answer("Hi there")


def test_the_answer_is_the_assistants_and_the_prompt_is_somebodys() -> None:
    wrong = checked(Pair("a", ASKED, (Message("user", "x"),), answer("b")))
    assert isinstance(wrong, Rejected) and wrong.reason == "answer_is_not_the_assistants"
    for prompt in ((), (Message("user", " "),)):
        empty = checked(Pair("a", prompt, answer("a"), answer("b")))
        assert isinstance(empty, Rejected) and empty.reason == "empty_prompt"
