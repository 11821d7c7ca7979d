"""What became of a record: from the source through each stage, kept and changed how, or dropped by which rule and because of what."""

from __future__ import annotations

import difflib
import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ropewalk.core.component import references
from ropewalk.core.errors import DataError
from ropewalk.data.differences import changed
from ropewalk.data.mixture import Mixture
from ropewalk.data.shelf import Record, Shelf
from ropewalk.data.tokens import Tokens
from ropewalk.pipeline.recipe import Recipe
from ropewalk.pipeline.shelves import RECORDS, Shelves
from ropewalk.pipeline.stages.train import Train
from ropewalk.pipeline.trained_on import TrainedOn

MOST_MATCHES = 6
MOST_STEPS = 12


@dataclass(frozen=True)
class Hop:
    """A record in one stage; `state` is kept, dropped, set aside, or not made yet."""

    stage: str
    type: str
    state: str
    reason: str = ""
    score: float | None = None
    witness: str = ""
    witness_text: str = ""
    """The text of the record that the witness names, such as the one of which this is a copy."""
    scores: Mapping[str, float] = field(default_factory=dict)
    changes: tuple[tuple[str, str], ...] = ()
    """(before, after) around each place where the text changed, the first few."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Story:
    """All hops of a record, and its text as the last stage that had it left it."""

    id: str
    hops: tuple[Hop, ...]
    text: str


def why(recipe: Recipe, wanted: str) -> Story:
    """Raises DataError for an id that nobody knows (with the nearest) or that is the beginning of several."""
    shelves = Shelves(recipe)
    found = {name: shelf for name in recipe.order() if issubclass(recipe.stages[name].makes, RECORDS) and (shelf := shelves.shelf(name))}
    id_ = _resolved(wanted, list(found.values()))
    hops: list[Hop] = []
    texts: dict[str, Record] = {}
    for name in recipe.order():
        stage = recipe.stages[name]
        if isinstance(stage, Train):
            hops += _train_hop(recipe, name, hops, id_)
        elif name in found or issubclass(stage.makes, (*RECORDS, Tokens)):
            hop = _hop(name, shelves, found.get(name), texts, id_)
            if hop:
                hops.append(hop)
    text = next((texts[hop.stage].text for hop in reversed(hops) if hop.stage in texts), "")
    if not text:
        text = next((found[hop.stage].raw(id_) for hop in hops if hop.state == "set aside"), "")
    return Story(id_, tuple(hops), text)


def _resolved(wanted: str, shelves: Sequence[Shelf]) -> str:
    """The id itself, or the only one that begins so."""
    matches: dict[str, None] = {}
    for shelf in shelves:
        if shelf.fetch([wanted]) or any(True for _ in shelf.entries([wanted])):
            return wanted
    for shelf in shelves:
        matches.update(dict.fromkeys(shelf.beginning_with(wanted, MOST_MATCHES)))
        if len(matches) >= MOST_MATCHES:
            break
    if len(matches) == 1:
        return next(iter(matches))
    if matches:
        shown = list(matches)[: MOST_MATCHES - 1]
        more = " and more" if len(matches) > len(shown) else ""
        raise DataError(f"several ids begin with {wanted!r}: {', '.join(shown)}{more}", remedy="give more of the id")
    near = _nearest(wanted, shelves)
    raise DataError(
        f"no stage has a record {wanted!r}" + (f" (did you mean {near!r}?)" if near else ""),
        remedy="`ropewalk preview RECIPE STAGE` shows ids",
    )


def _nearest(wanted: str, shelves: Sequence[Shelf]) -> str:
    """The most similar of those ids that stand near the wanted one in order, and of the first ones: not all are compared."""
    ids = sorted({id_ for shelf in shelves for _, column in shelf.id_columns() for id_ in column.to_pylist()})
    place = bisect_left(ids, wanted)
    near = [*ids[max(place - 500, 0) : place + 500], *ids[:1000]]
    return next(iter(difflib.get_close_matches(wanted, near, 1, 0.5)), "")


def _hop(name: str, shelves: Shelves, shelf: Shelf | None, texts: dict[str, Record], id_: str) -> Hop | None:
    """None for a stage that the record never came to."""
    stage = shelves.recipe.stages[name]
    inputs = dict(shelves.inputs(name))
    before = next((texts[source] for source in inputs if source in texts), None)
    if issubclass(stage.makes, Tokens):
        return _token_hop(name, shelves, before, id_)
    if shelf is None:
        return Hop(name, stage.tag, "not made yet") if before else None
    record = shelf.fetch([id_]).get(id_)
    scores = shelf.scores([id_], shelf.roots).get(id_, {})
    entries = list(shelf.entries([id_]))
    gone = next((entry for entry in entries if entry.state != "noted"), None)
    notes = [f"{entry.reason}: {entry.witness}" for entry in entries if entry.state == "noted"]
    if gone:
        others = [found[gone.witness].text for one in inputs.values() if (found := one.fetch([gone.witness]))] if gone.witness else []
        told = next(iter(others), "")
        return Hop(name, stage.tag, gone.state, gone.reason, gone.score, gone.witness, told, scores, (), tuple(notes))
    if record is None:
        return Hop(name, stage.tag, "not made yet", notes=("not reached so far",)) if before and not shelf.finished else None
    texts[name] = record
    if before is None:
        notes += _origin(record)
    changes = tuple(changed(before.text, record.text)) if before else ()
    return Hop(name, stage.tag, "kept", scores=scores, changes=changes, notes=tuple(notes))


def _token_hop(name: str, shelves: Shelves, before: Record | None, id_: str) -> Hop | None:
    import pyarrow.compute as pc

    stage = shelves.recipe.stages[name]
    tokens = shelves.tokens(name)
    if tokens is None:
        return Hop(name, stage.tag, "not made yet") if before else None
    rows = tokens.documents.filter(pc.equal(tokens.documents["id"], id_)).to_pylist()
    if rows:
        first = rows[0]
        said = f"{sum(row['length'] for row in rows):,} tokens from {first['offset']:,} on, for {first['split']}"
        return Hop(name, stage.tag, "kept", notes=(said,))
    gone = next(Shelf((tokens.path,)).entries([id_]), None)
    return Hop(name, stage.tag, gone.state, gone.reason, gone.score, gone.witness) if gone else None


def _train_hop(recipe: Recipe, name: str, hops: Sequence[Hop], id_: str) -> Iterator[Hop]:
    """For data that hold the record: the updates that saw it."""
    stage = recipe.stages[name]
    assert isinstance(stage, Train), "asked for train stages only"
    data = {stage.data.target}
    if (made := recipe.stages.get(stage.data.target)) is not None and issubclass(made.makes, Mixture):
        data |= {ref.target for ref in references(made).values()}
    if not any(hop.stage in data and hop.state == "kept" for hop in hops):
        return
    try:
        steps = TrainedOn(recipe, name).steps(id_)
    except DataError:
        yield Hop(name, stage.tag, "not made yet")
        return
    if steps:
        shown = ", ".join(map(str, steps[:MOST_STEPS])) + (f" and {len(steps) - MOST_STEPS} more" if len(steps) > MOST_STEPS else "")
        yield Hop(name, stage.tag, "kept", notes=(f"seen in update{'s' if len(steps) > 1 else ''} {shown}",))
    else:
        yield Hop(name, stage.tag, "not seen", notes=("no update saw it: it is held out, or the budget ended before",))


def _origin(record: Record) -> Iterator[str]:
    """Where a record came from, as far as its source kept it."""
    columns: Mapping[str, Any] = record.columns
    if columns.get("source"):
        licence = f", licence {columns['license']}" if columns.get("license") else ""
        yield f"from source {columns['source']}{licence}"
    meta = json.loads(columns.get("meta") or "{}")
    places = [f"{key} {meta[key]}" for key in ("file", "path", "line", "offset", "row", "url") if isinstance(meta.get(key), str | int)]
    if places:
        yield ", ".join(places)
    yield f"in {record.file.name}"
