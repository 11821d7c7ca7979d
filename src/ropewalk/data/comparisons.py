"""Comparisons: a prompt, two answers, and which of them a person liked better."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ropewalk.core.artifact import Artifact
from ropewalk.core.component import Component
from ropewalk.core.ledger import write_table
from ropewalk.data.division import Part
from ropewalk.data.records import Rejected
from ropewalk.data.sources.fields import content_id, value_at

Winner = Literal["a", "b", "tie"]
WINNERS: tuple[Winner, ...] = ("a", "b", "tie")
TEXT_COLUMNS = ("id", "group", "prompt", "a", "b", "winner", "part")


@dataclass(frozen=True)
class Comparison:
    """Who answered is not kept: it would tell the winner."""

    id: str
    group: str
    prompt: str
    a: str
    b: str
    winner: Winner | None
    """None where it is to be predicted."""
    part: Part = "train"


class Comparisons(Artifact, kind="Comparisons"):
    """comparisons.parquet."""

    def read(self, part: Part | None = None) -> Iterator[Comparison]:
        """In order; of one part or of all."""
        import pyarrow.parquet as pq

        for row in pq.read_table(self.path / "comparisons.parquet").to_pylist():
            if part is None or row["part"] == part:
                yield Comparison(**row)


def write_comparisons(folder: Path, rows: Iterable[Comparison]) -> None:
    import pyarrow as pa

    some = list(rows)
    table = pa.table({name: pa.array([getattr(row, name) for row in some], pa.large_string()) for name in TEXT_COLUMNS})
    write_table(table, folder / "comparisons.parquet")


class PairColumns(Component):
    """Where a comparison's parts stand in a record of the `generic` form, as dotted paths."""

    id: str = "id"
    """Its name."""
    prompt: str = "prompt"
    """What was asked."""
    a: str = "response_a"
    """One answer."""
    b: str = "response_b"
    """The other."""
    winner: str = "winner"
    """Who won."""
    values: dict[str, list[str]] = {"a": ["a", "A", "model_a"], "b": ["b", "B", "model_b"], "tie": ["tie", "tie (bothbad)", "both"]}
    """a, b and tie -> the values of the winner's column that mean it."""


Form = Literal["lmsys", "pandalm", "generic"]


def comparison(record: Mapping[str, Any], form: Form, columns: PairColumns, *, labelled: bool = True) -> Comparison | Rejected:
    """A record as a comparison, grouped by its prompt; what can't be one is told with its reason."""
    try:
        if form == "lmsys":
            id_, prompt, a, b = str(record["id"]), *(_turns(record[name]) for name in ("prompt", "response_a", "response_b"))
            winner = _one_hot(record) if labelled else None
        elif form == "pandalm":
            prompt = "\n".join(part for part in (str(record["instruction"]), str(record.get("input") or "")) if part)
            id_, a, b = str(record.get("idx", content_id(prompt))), str(record["response1"]), str(record["response2"])
            winner = _majority(record) if labelled else None
        else:
            prompt, a, b = (_plain(record, name) for name in (columns.prompt, columns.a, columns.b))
            id_ = _plain(record, columns.id) if columns.id in record else content_id(f"{prompt}\0{a}\0{b}")
            winner = _named(_plain(record, columns.winner), columns) if labelled else None
    except _Unfit as unfit:
        return Rejected(unfit.reason, unfit.witness)
    except KeyError as error:
        return Rejected("missing_column", f"no {error}; there are {', '.join(record)}"[:300])
    if not prompt.strip():
        return Rejected("empty_prompt", id_)
    return Comparison(id_, content_id(" ".join(prompt.split())), prompt, a, b, winner)


class _Unfit(Exception):
    def __init__(self, reason: str, witness: str) -> None:
        super().__init__(reason)
        self.reason, self.witness = reason, witness


def _turns(value: Any) -> str:
    """A JSON list of turns as one text: null is empty, a number its JSON text. A list that was read is taken as it is."""
    try:
        turns = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        raise _Unfit("not_a_json_list", str(value)[:200]) from None
    if not isinstance(turns, list) or any(isinstance(turn, list | dict) for turn in turns):
        raise _Unfit("not_a_json_list", str(value)[:200])
    texts = ["" if turn is None else turn if isinstance(turn, str) else json.dumps(turn) for turn in turns]
    return "\n\n".join(texts).encode("utf-8", "replace").decode()


def _one_hot(record: Mapping[str, Any]) -> Winner:
    flags = [str(record[f"winner_{name}"]) for name in ("model_a", "model_b", "tie")]
    if any(flag not in ("0", "1") for flag in flags):
        raise _Unfit("unknown_winner", ", ".join(flags))
    if flags.count("1") != 1:
        raise _Unfit("two_winners" if "1" in flags else "no_winner", ", ".join(flags))
    return WINNERS[flags.index("1")]


def _majority(record: Mapping[str, Any]) -> Winner:
    """What most annotators said (0: tie, 1, 2); no majority is a tie."""
    votes = [record[name] for name in sorted(record) if name.startswith("annotator")]
    if not votes or any(vote not in (0, 1, 2) for vote in votes):
        raise _Unfit("unknown_winner", str(votes))
    vote, number = Counter(votes).most_common(1)[0]
    return {0: "tie", 1: "a", 2: "b"}[vote] if number * 2 > len(votes) else "tie"  # type: ignore[return-value]


def _plain(record: Mapping[str, Any], column: str) -> str:
    value = value_at(record, column)
    if not isinstance(value, str | int):
        raise KeyError(column)
    return str(value)


def _named(value: str, columns: PairColumns) -> Winner:
    found = [winner for winner in WINNERS if value in columns.values.get(winner, [])]
    if len(found) != 1:
        raise _Unfit("two_winners" if found else "unknown_winner", value)
    return found[0]
