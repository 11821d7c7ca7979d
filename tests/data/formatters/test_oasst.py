"""Trees become ranked conversations, from an export or from rows."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ropewalk.data.formatters.oasst import OASST
from ropewalk.data.records import Chat, Rejected


def node(text: str, *replies: dict[str, Any], rank: int | None = None, deleted: bool = False) -> dict[str, Any]:
    """A message; its text begins with p for a prompt, a for an answer."""
    role = {"p": "prompter", "a": "assistant"}[text[0]]
    return {"message_id": text, "text": text, "role": role, "rank": rank, "deleted": deleted, "replies": list(replies)}


def tree(root: dict[str, Any]) -> dict[str, Any]:
    return {"message_tree_id": root["message_id"], "tree_state": "ready_for_export", "prompt": root}


def rows_of(root: dict[str, Any], tree_id: str = "", parent: str | None = None) -> list[dict[str, Any]]:
    row = {name: value for name, value in root.items() if name != "replies"}
    row |= {"message_tree_id": tree_id or root["message_id"], "parent_id": parent}
    return [row, *(one for reply in root["replies"] for one in rows_of(reply, row["message_tree_id"], root["message_id"]))]


def conversations(records: list[dict[str, Any]], **fields: Any) -> list[Any]:
    """`id: texts`, or the reason."""
    formatter, found = OASST(**fields), []
    for item in formatter.gather(records):
        chat = item if isinstance(item, Rejected) else formatter.format(item, item["id"])
        found.append(f"{chat.id}: {' '.join(turn.content for turn in chat.messages)}" if isinstance(chat, Chat) else chat.reason)
    return found


ROOT = node(
    "p1",
    node("a-null", node("p-unanswered")),
    node("a-second", node("p2", node("a3", rank=None)), rank=1),
    node("a-first", node("p3", node("p-odd")), node("p4", node("a5", rank=1), node("a4", rank=0)), rank=0),
    node("a-gone", rank=2, deleted=True),
)
EXPECTED = ["p1/0: p1 a-first p4 a4", "p1/1: p1 a-first p4 a5", "p1/2: p1 a-second p2 a3", "p1/3: p1 a-null"]


def test_every_path_to_an_answer_best_ranks_first() -> None:
    assert conversations([tree(ROOT)]) == EXPECTED
    assert conversations([tree(ROOT)], top=2)[:3] == EXPECTED[:3] and len(conversations([tree(ROOT)], top=2)) == 3
    assert conversations([tree(node("p1", node("a2", rank=0), node("a1")))], top=1) == ["p1/0: p1 a2"]


def test_rows_say_what_trees_say_wherever_they_stand() -> None:
    other = node("p9", node("a9"))
    rows = rows_of(ROOT)
    assert conversations([*rows[:3], *rows_of(other), *rows[3:]]) == [*EXPECTED, "p9/0: p9 a9"]


def test_what_has_no_answer_or_no_parent_is_rejected() -> None:
    assert conversations([tree(node("p1"))]) == ["no_answer"]
    assert conversations(rows_of(node("p1", node("a1")))[1:]) == ["parent_is_missing"]
    assert conversations([{"text": "x"}]) == ["no_tree"]
    assert conversations([tree({**node("p1", node("a1")), "replies": 3})]) == ["no_answer"]


@given(st.recursive(st.just([]), lambda below: st.lists(below, max_size=3), max_leaves=12), st.integers(1, 3))
def test_every_answer_is_in_some_conversation(shape: list[Any], top: int) -> None:
    number = 0

    def grown(part: list[Any], depth: int) -> dict[str, Any]:
        nonlocal number
        number += 1
        return node(f"{'pa'[depth % 2]}{number}", *(grown(reply, depth + 1) for reply in part), rank=number % 3 or None)

    root = grown(shape, 0)
    answers = {row["text"] for row in rows_of(root) if row["role"] == "assistant"}
    found = conversations([tree(root)])
    assert {word for line in found for word in line.split()[1:] if word[0] == "a"} == answers
    assert found == conversations(rows_of(root)) and (found != ["no_answer"] or not answers)
    texts = [line.partition(": ")[2] for line in found]
    assert len(set(texts)) == len(texts) and not any(other.startswith(text + " ") for text in texts for other in texts)
    assert len(conversations([tree(root)], top=top)) <= len(found)
