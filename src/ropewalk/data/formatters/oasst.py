"""OASST: exported trees {message_tree_id, tree_state, prompt} and the same messages as rows; each becomes ranked conversations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field

from ropewalk.data.formatters.formatter import Formatter, conversation
from ropewalk.data.records import Chat, Message, Rejected

ROLES = {"prompter": "user", "assistant": "assistant"}
Node = Mapping[str, Any]
ROW = frozenset(("message_id", "parent_id", "message_tree_id"))

_FIELDS = (
    "message_id parent_id user_id created_date text role lang review_count review_result deleted rank synthetic model_name detoxify"
    " message_tree_id tree_state emojis labels prompt thread id"
)


class OASST(Formatter, type="oasst"):
    """Conversation trees (Köpf et al. 2023): every path from the first prompt to an answer, best ranks first; `TREE/0` is the best one."""

    top: Annotated[int, Field(gt=0)] | None = None
    """Follow only so many of the replies to a message, the best ranked ones; all when left out."""

    known = frozenset(_FIELDS.split())

    def format(self, record: Mapping[str, Any], id: str) -> Chat | Rejected:  # noqa: A002
        thread = record.get("thread")
        if thread is None and isinstance(record.get("prompt"), Mapping):
            thread = next(_threads(record["prompt"], self.top), None)  # a tree by itself: its best conversation
        if not isinstance(thread, list) or not thread:
            return Rejected("no_answer" if "prompt" in record else "no_thread", id)
        messages: list[Message] = []
        for node in thread:
            if not isinstance(node, Mapping) or node.get("role") not in ROLES or not isinstance(node.get("text"), str):
                return Rejected("bad_message", f"{id} message {len(messages) + 1}")
            messages.append(Message(ROLES[node["role"]], node["text"].strip()))
        return conversation(id, messages)

    def gather(self, records: Iterable[Node]) -> Iterator[Node | Rejected]:
        """A record for each conversation of each tree. Rows of one tree may be scattered over the file: they are held until its end."""
        trees: dict[str, dict[str, dict[str, Any]]] = {}
        for record in records:
            if set(record) >= ROW:
                trees.setdefault(str(record["message_tree_id"]), {})[str(record["message_id"])] = {**record, "replies": []}
            elif isinstance(record.get("prompt"), Mapping):
                yield from self._conversations(str(record.get("message_tree_id") or record["prompt"].get("message_id")), record["prompt"])
            else:
                yield Rejected("no_tree", str(record.get("message_tree_id") or record.get("message_id") or ""))
        for name, rows in trees.items():
            roots = []
            for id_, row in rows.items():
                parent = rows.get(str(row["parent_id"])) if row["parent_id"] is not None else None
                if parent is not None:
                    parent["replies"].append(row)
                elif row["parent_id"] is None:
                    roots.append(row)
                else:
                    yield Rejected("parent_is_missing", id_)
            for number, root in enumerate(roots):
                yield from self._conversations(name if not number else f"{name}-{number}", root)

    def _conversations(self, name: str, root: Node) -> Iterator[Node | Rejected]:
        number = -1
        for number, thread in enumerate(_threads(root, self.top)):
            yield {"id": f"{name}/{number}", "thread": thread}
        if number < 0:
            yield Rejected("no_answer", name)


def _threads(root: Node, top: int | None) -> Iterator[list[Node]]:
    """Every path to an answer behind which no other one comes, the best replies first; deleted messages end a path."""
    waiting, paths = [[root]], []
    while waiting:
        path = waiting.pop()
        if path[-1].get("deleted"):
            continue
        given = path[-1].get("replies")
        replies = [one for one in given if isinstance(one, Mapping) and not one.get("deleted")] if isinstance(given, list) else []
        if replies:
            waiting += [[*path, reply] for reply in reversed(sorted(replies, key=_rank)[:top])]
            continue
        while path and path[-1].get("role") != "assistant":  # a prompt that nobody answered
            path = path[:-1]
        paths.append(path)
    done = {id(node) for path in paths for node in path[:-1]}
    for path in paths:
        if path and id(path[-1]) not in done:
            done.add(id(path[-1]))
            yield path


def _rank(node: Node) -> tuple[bool, float]:
    """Ranked ones first; those without a rank keep their order behind them."""
    rank = node.get("rank")
    return (False, float(rank)) if isinstance(rank, int | float) else (True, 0.0)
