"""Pairs: a prompt with a chosen and a rejected answer in Parquet shards `pairs/NAME.parquet`, and the checks that each passes.

Of a judged single answer (KTO) one side is missing: a good one is `chosen` without `rejected`, a bad one the other way round.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ropewalk.core.artifact import Artifact
from ropewalk.core.ledger import write_table
from ropewalk.core.shards import Shard
from ropewalk.data.records import Chat, Message, Rejected

if TYPE_CHECKING:
    import pyarrow as pa

REPEATED_WORDS = 3
"""An answer that begins with a prompt of so many words repeats it; with a shorter one it may be chance ("Hi" and "Hi there")."""

Answer = tuple[Message, ...]


@dataclass(frozen=True)
class Pair:
    """Two answers to one prompt, the first one preferred; an answer is one or more turns, the last of the assistant."""

    id: str
    prompt: tuple[Message, ...]
    chosen: Answer | None
    rejected: Answer | None
    source: str = ""
    license: str = ""
    notes: tuple[str, ...] = ()
    """What was found and mended, or looks odd."""

    def answers(self) -> list[Answer]:
        """Those that are there."""
        return [answer for answer in (self.chosen, self.rejected) if answer is not None]

    def chat(self, answer: Answer) -> Chat:
        """The prompt with one of the answers."""
        return Chat(self.id, (*self.prompt, *answer), (), self.source, self.license)


class Pairs(Artifact, kind="Pairs"):
    """Preferences, shard by shard."""

    def shards(self) -> list[Shard]:
        files = sorted((self.path / "pairs").glob("*.parquet"))
        return [Shard(path.stem, path, path.stat().st_size) for path in files]

    def pairs(self) -> Iterator[Pair]:
        for shard in self.shards():
            yield from read_pairs(shard.content)


def schema() -> pa.Schema:
    """id, prompt, chosen and rejected as lists of (role, content), source, license."""
    import pyarrow as pa

    turns = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    texts = [(name, pa.string()) for name in ("source", "license")]
    return pa.schema([("id", pa.string()), *((name, turns) for name in ("prompt", "chosen", "rejected")), *texts])


def write_pairs(pairs: Iterable[Pair], path: Path) -> None:
    import pyarrow as pa

    write_table(pa.Table.from_pylist([_row(pair) for pair in pairs], schema()), path)


def read_pairs(path: Path) -> Iterator[Pair]:
    import pyarrow.parquet as pq

    for row in pq.read_table(path, schema=schema()).to_pylist():
        prompt, chosen, rejected = (_turns(row[name]) for name in ("prompt", "chosen", "rejected"))
        yield Pair(row["id"], prompt or (), chosen, rejected, row["source"] or "", row["license"] or "")


def _row(pair: Pair) -> dict[str, Any]:
    sides: dict[str, Any] = {}
    for name in ("prompt", "chosen", "rejected"):
        turns = getattr(pair, name)
        sides[name] = None if turns is None else [{"role": turn.role, "content": turn.content} for turn in turns]
    return {"id": pair.id, **sides, "source": pair.source, "license": pair.license}


def _turns(rows: Any) -> tuple[Message, ...] | None:
    return None if rows is None else tuple(Message(row["role"], row["content"]) for row in rows)


def text_of(turns: Iterable[Message]) -> str:
    """The turns' contents, a line between them."""
    return "\n".join(turn.content for turn in turns)


def checked(pair: Pair) -> Pair | Rejected:
    """The pair with a prompt that its answers repeat taken out of them, or why it can't be learned from."""
    if not any(turn.role == "user" and turn.content.strip() for turn in pair.prompt):
        return Rejected("empty_prompt", pair.id)
    if not pair.answers():
        return Rejected("no_answer", pair.id)
    for answer in pair.answers():
        if not answer or answer[-1].role != "assistant":
            return Rejected("answer_is_not_the_assistants", pair.id)
    found = _without_prompt(pair)
    if isinstance(found, Rejected):
        return found
    if any(not text_of(answer).strip() for answer in found.answers()):
        return Rejected("empty_answer", pair.id)
    if found.chosen is not None and found.rejected is not None and text_of(found.chosen).strip() == text_of(found.rejected).strip():
        return Rejected("same_answers", pair.id)
    return found


def _without_prompt(pair: Pair) -> Pair | Rejected:
    """Takes a repeated prompt out of both answers; one that only one of them repeats is ambiguous."""
    last = pair.prompt[-1].content.strip()
    whole = text_of(pair.prompt).strip()
    for asked in dict.fromkeys((whole, last)):
        repeats = [bool(asked) and answer[0].content.lstrip().startswith(asked) for answer in pair.answers()]
        if not any(repeats):
            continue
        if len(asked.split()) < REPEATED_WORDS:
            return replace(pair, notes=(*pair.notes, "prompt_maybe_repeated"))
        if not all(repeats):
            return Rejected("prompt_in_one_answer", pair.id)
        chosen, rejected = (_cut(answer, asked) for answer in (pair.chosen, pair.rejected))
        return replace(pair, chosen=chosen, rejected=rejected, notes=(*pair.notes, "prompt_repeated"))
    return pair


def _cut(answer: Answer | None, prompt: str) -> Answer | None:
    if answer is None:
        return None
    first = replace(answer[0], content=answer[0].content.lstrip()[len(prompt) :].lstrip())
    return (first, *answer[1:])
