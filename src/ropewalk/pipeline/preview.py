"""A look at a stage's records: those that it kept, with their scores, and those that it dropped, with the reason."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Literal

from ropewalk.core.errors import ConfigError, DataError
from ropewalk.core.load import nearest
from ropewalk.core.seed import derive
from ropewalk.data.condition import Condition
from ropewalk.data.shelf import Entry, Record, Shelf, record_of
from ropewalk.data.tokenizer import Vocabulary
from ropewalk.data.tokens import TokenDocument, Tokens
from ropewalk.pipeline.recipe import Recipe
from ropewalk.pipeline.shelves import RECORDS, Shelves

if TYPE_CHECKING:
    import pyarrow as pa

Show = Literal["all", "kept", "dropped"]
CHUNK = 512


@dataclass(frozen=True)
class Seen:
    """One record; `state` is kept, dropped or set aside."""

    id: str
    state: str
    text: str
    source: str = ""
    reason: str = ""
    score: float | None = None
    witness: str = ""
    scores: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """What a look at a stage shows."""

    stage: str
    type: str
    finished: bool
    records: tuple[Seen, ...]
    reasons: dict[str, int]
    """Reason -> how many records did not go on for it."""
    tokens: tuple[TokenDocument, ...] = ()
    vocabulary: Vocabulary | None = None


def preview(
    recipe: Recipe, stage: str, *, show: Show = "all", reason: str = "", where: str = "", limit: int = 10, seed: int | None = None
) -> Page:
    """Up to `limit` kept records and as many dropped ones, in the order of the files or, with a seed, drawn by a hash of their ids.

    `reason` shows dropped ones with it (`gopher` stands for all of gopher's), `where` those for which a condition is true.
    """
    shelves = Shelves(recipe)
    shelves.check(stage)
    condition = _condition(where)
    makes = recipe.stages[stage].makes
    tag = recipe.stages[stage].tag
    if makes is Tokens:
        return _tokens_page(shelves, stage, show, reason, condition, limit, seed)
    if not issubclass(makes, RECORDS):
        fitting = [name for name, one in recipe.stages.items() if issubclass(one.makes, (*RECORDS, Tokens))]
        raise ConfigError(f"{stage}: makes {makes.__name__}, which has no records to look at (stages that have: {', '.join(fitting)})")
    shelf = shelves.shelf(stage)
    if shelf is None:
        raise DataError(f"{stage}: not made yet", remedy=f"ropewalk run RECIPE {stage}")
    reasons = shelf.reasons()
    _check_reason(reason, reasons, stage)
    inputs = [found for _, found in shelves.inputs(stage)]
    records: list[Seen] = []
    if show != "dropped" and not reason:
        records += _first_kept(shelf, condition, limit) if seed is None else _drawn_kept(shelf, condition, limit, seed)
    if show != "kept":
        records += _chosen(_dropped(shelf, inputs, reason, condition), limit, seed)
    return Page(stage, tag, shelf.finished, tuple(_with_scores(records, shelf)), reasons)


def _condition(where: str) -> Condition | None:
    try:
        return Condition.parse(where) if where else None
    except ValueError as error:
        raise ConfigError(f"--where: {error}") from None


def _check_reason(reason: str, known: dict[str, int], stage: str) -> None:
    if reason and not any(name == reason or name.startswith(f"{reason}.") for name in known):
        hint = nearest(reason, list(known)) if known else "it dropped nothing"
        raise ConfigError(f"{stage}: no record was dropped for {reason!r} ({hint})")


def _chosen(found: Iterator[Seen], limit: int, seed: int | None) -> list[Seen]:
    if seed is None:
        return list(islice(found, limit))
    return heapq.nsmallest(limit, found, key=lambda one: (derive(seed, "preview", one.id), one.id))


def _first_kept(shelf: Shelf, condition: Condition | None, limit: int) -> list[Seen]:
    """In the order of the files, of which no more is read than it takes."""
    found: list[Seen] = []
    for path, table in shelf.tables():
        if condition is not None:
            table = table.filter(_true(condition, table, shelf))
        found += [_seen(record_of(row, path), "kept") for row in table.slice(0, limit - len(found)).to_pylist()]
        if len(found) >= limit:
            break
    return found


def _drawn_kept(shelf: Shelf, condition: Condition | None, limit: int, seed: int) -> list[Seen]:
    """Drawn by id; without a condition only ids are read, and then the row groups of those that were drawn."""
    columns = (
        (ids for _, ids in shelf.id_columns())
        if condition is None
        else (table.filter(_true(condition, table, shelf))["id"] for _, table in shelf.tables())
    )
    ids = heapq.nsmallest(
        limit, (id_ for column in columns for id_ in column.to_pylist()), key=lambda id_: (derive(seed, "preview", id_), id_)
    )
    found = shelf.fetch(ids)
    return [_seen(found[id_], "kept") for id_ in ids]


def _dropped(shelf: Shelf, inputs: Sequence[Shelf], reason: str, condition: Condition | None) -> Iterator[Seen]:
    entries = (entry for entry in shelf.entries(reason=reason) if entry.state != "noted")
    while chunk := list(islice(entries, CHUNK)):
        found: dict[str, Record] = {}
        for one in inputs:
            found |= one.fetch([entry.id for entry in chunk if entry.id not in found])
        passing = _passing(condition, list(found.values()), shelf)
        for entry in chunk:
            if condition is None or entry.id in passing:
                yield _seen(found[entry.id], "", entry) if entry.id in found else _without_record(shelf, entry)


def _without_record(shelf: Shelf, entry: Entry) -> Seen:
    """What was set aside never became a record."""
    text = shelf.raw(entry.id) if entry.state == "set aside" else ""
    return Seen(entry.id, entry.state, text, "", entry.reason, entry.score, entry.witness)


def _passing(condition: Condition | None, records: Sequence[Record], shelf: Shelf) -> set[str]:
    import pyarrow as pa

    if condition is None or not records:
        return set()
    rows = [{"id": one.id, "text": one.text, **one.columns} for one in records]
    table = pa.Table.from_pylist(rows)
    return set(table.filter(_true(condition, table, shelf))["id"].to_pylist())


def _true(condition: Condition, table: pa.Table, shelf: Shelf) -> pa.Array:
    """Which rows the condition is true for; a column that is nowhere is an error with the nearest one."""
    import pyarrow as pa

    from ropewalk.data.condition_values import meta_column
    from ropewalk.data.scores import find_scores

    try:
        find_scores(condition.scores(), (*shelf.before, *shelf.roots))
    except DataError as error:
        raise ConfigError(f"--where: {error.message}") from None
    scores = shelf.scores(table["id"].to_pylist(), (*shelf.before, *shelf.roots)) if condition.scores() else {}

    def column(name: str) -> pa.Array:
        head, _, rest = name.partition(".")
        if head == "score":
            return pa.array([scores.get(id_, {}).get(rest) for id_ in table["id"].to_pylist()], pa.float64())
        if head == "meta" and "meta" in table.column_names:
            return meta_column(table["meta"].to_pylist(), rest)
        if name not in table.column_names:
            raise ConfigError(f"--where: these records have no {name!r} ({nearest(name, table.column_names)})")
        return table[name].combine_chunks()

    return condition.evaluate(column).fill_null(False)


def _seen(record: Record, state: str, entry: Entry | None = None) -> Seen:
    source = str(record.columns.get("source") or "")
    if entry is None:
        return Seen(record.id, state, record.text, source)
    return Seen(record.id, entry.state, record.text, source, entry.reason, entry.score, entry.witness)


def _with_scores(records: Sequence[Seen], shelf: Shelf) -> Iterator[Seen]:
    scores = shelf.scores([one.id for one in records], (*shelf.before, *shelf.roots)) if records else {}
    for one in records:
        yield Seen(**{**vars(one), "scores": scores.get(one.id, {})})


def _tokens_page(shelves: Shelves, stage: str, show: Show, reason: str, condition: Condition | None, limit: int, seed: int | None) -> Page:
    tokens = shelves.tokens(stage)
    if tokens is None:
        raise DataError(f"{stage}: not made yet", remedy=f"ropewalk run RECIPE {stage}")
    shelf = Shelf((tokens.path,))
    reasons = shelf.reasons()
    _check_reason(reason, reasons, stage)
    inputs = [found for _, found in shelves.inputs(stage)]
    documents: list[TokenDocument] = []
    if show != "dropped" and not reason:
        if condition is not None:
            raise ConfigError(
                f"--where: {stage} holds tokens, which have no columns; look at {', '.join(n for n, _ in shelves.inputs(stage))}"
            )
        ids = tokens.documents["id"].to_pylist()
        drawn = list(range(min(limit, len(ids))))
        if seed is not None:
            drawn = heapq.nsmallest(limit, range(len(ids)), key=lambda place: (derive(seed, "preview", ids[place]), place))
        documents = [document_at(tokens, place) for place in drawn]
    dropped = _chosen(_dropped(shelf, inputs, reason, condition), limit, seed) if show != "kept" else []
    vocabulary = Vocabulary(tokens.tokenizer_path)
    return Page(stage, shelves.recipe.stages[stage].tag, True, tuple(dropped), reasons, tuple(documents), vocabulary)


def document_at(tokens: Tokens, row: int) -> TokenDocument:
    """A document of the store by its row in `documents.parquet`."""
    import numpy as np

    facts = tokens.documents.slice(row, 1).to_pylist()[0]
    part = slice(facts["offset"], facts["offset"] + facts["length"])
    mask = None if tokens.mask is None else np.asarray(tokens.mask[part], np.bool_)
    return TokenDocument(facts["id"], facts["source"], np.asarray(tokens.tokens[part], np.int64), mask, facts["text_bytes"])
