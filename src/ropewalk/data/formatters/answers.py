"""Answers as formatters write them: final answers in one form, reasoning apart, choices with letters."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ropewalk.data.formatters.formatter import exchange
from ropewalk.data.records import Chat, Rejected

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?")
_THINK = re.compile(r"\A\s*<(think|thinking|scratch_pad)>(.*?)</\1>\s*", re.DOTALL)


def normal_answer(text: str) -> str:
    """A final answer without what surrounds it: `$1,200.00.` becomes 1200, `\\boxed{x}` and `$x$` become x; other texts stay."""
    answer = text.strip()
    if len(answer) > 1 and answer.endswith("."):
        answer = answer[:-1].rstrip()
    if len(answer) > 2 and answer[0] == answer[-1] == "$" and "$" not in answer[1:-1]:
        answer = answer[1:-1].strip()
    if answer.startswith("\\boxed{") and answer.endswith("}") and _closes_last(answer):
        answer = answer[len("\\boxed{") : -1].strip()
    bare = answer.removeprefix("$").strip()
    if _NUMBER.fullmatch(bare):
        whole, point, fraction = bare.replace(",", "").removeprefix("+").partition(".")
        fraction = fraction.rstrip("0")
        return f"{whole}{point}{fraction}" if fraction else whole
    return answer


def _closes_last(text: str) -> bool:
    """Whether the first brace is closed by the last character."""
    depth = 0
    for place, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if not depth and character == "}":
            return place == len(text) - 1
    return False


def split_at(text: str, pattern: re.Pattern[str]) -> tuple[str, str]:
    """(what leads to it, final answer) where the last match of a pattern with one group is the end of a text; else ("", text)."""
    found = None
    for found in pattern.finditer(text):  # noqa: B007
        pass
    if found is None or text[found.end() :].strip() or not found[1].strip():
        return "", text
    return text[: found.start()].strip(), normal_answer(found[1])


def split_reasoning(text: str) -> tuple[str, str]:
    """(reasoning, answer) of a text that begins with `<think>…</think>` or its like; reasoning is empty where there is none."""
    found = _THINK.match(text)
    return (found[2].strip(), text[found.end() :].strip()) if found else ("", text)


def choice(id_: str, question: str, options: Sequence[str], right: int) -> Chat | Rejected:
    """A question with lettered options; the answer is the right one with its letter."""
    if not all(isinstance(option, str) and option.strip() for option in options) or not 2 <= len(options) <= len(LETTERS):
        return Rejected("bad_options", id_)
    if not 0 <= right < len(options):
        return Rejected("answer_is_no_option", id_)
    if not question.strip():
        return Rejected("empty_question", id_)
    lines = [f"{letter}. {option.strip()}" for letter, option in zip(LETTERS, options, strict=False)]
    return exchange(id_, "\n".join([question.strip(), *lines]), lines[right])
