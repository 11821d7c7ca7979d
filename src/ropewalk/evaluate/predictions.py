"""Forecasts from the end of each series in a file: read as the model's own data were, in its scales, with no row of the future."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ropewalk.core.errors import DataError
from ropewalk.core.load import nearest
from ropewalk.core.seed import derive
from ropewalk.data.records import Rejected
from ropewalk.data.series_build import Reading
from ropewalk.data.series_features.feature import Frame
from ropewalk.data.series_grid import Track, fill, following
from ropewalk.data.series_rows import labelled
from ropewalk.data.sources.files import Files
from ropewalk.data.sources.source import Record
from ropewalk.evaluate.forecasts import Floats, ForecastSubject, in_unit


@dataclass(frozen=True)
class Prediction:
    """One symbol's future."""

    symbol: str
    after: np.datetime64
    """The last stamp that was read."""
    times: np.ndarray
    quantiles: Floats  # (H, Q)


def predictions(subject: ForecastSubject, file: Path, levels: Floats, symbols: Sequence[str] = (), seed: int = 0) -> Iterator[Prediction]:
    """A forecast for each symbol of a file, or for those named; raises DataError for one the model does not know, or with too few rows."""
    reading = Reading.model_validate({**subject.facts.reading, "symbols": list(symbols)})
    rows = reading.rows(_records(file, reading.target))
    rows = {name: own for name, own in rows.items() if not symbols or name in symbols}
    known = {one.name: number for number, one in enumerate(subject.facts.symbols)}
    if reading.symbol is None and len(rows) == 1 and len(known) == 1:  # one series, and files may be called anything
        rows = {name: [replace(row, symbol=name) for row in own] for name in known for own in rows.values()}
    unknown = [name for name in rows if name not in known]
    if unknown:
        raise DataError(
            f"{file}: the model knows no symbol {unknown[0]!r} ({nearest(unknown[0], sorted(known))})",
            remedy="its scales come from training: train on this symbol too, or name the others (--symbol)",
        )
    for track in reading.tracks(rows):
        yield _predicted(subject, reading, track, known[track.symbol], levels, seed)


def _records(file: Path, target: str) -> Iterable[tuple[str, Record]]:
    source = Files(path=file, text=target)
    source.check()
    for shard in source.shards():
        for label, record in labelled(source, shard):
            if isinstance(record, Rejected):
                raise DataError(f"{record.witness}: {record.reason}")
            yield label, record


def _predicted(subject: ForecastSubject, reading: Reading, track: Track, symbol: int, levels: Floats, seed: int) -> Prediction:
    import torch

    facts = subject.facts
    fill(track, "hold", 0)
    frame = reading.frame(track)
    computed = reading.computed(frame)
    if computed.names != facts.features:
        raise DataError(f"the features of {track.symbol} are {computed.names}, the model's {facts.features}")
    usable = len(track.times) - max(computed.first, 1)
    if usable < facts.context:
        raise DataError(
            f"{track.symbol}: {max(usable, 0)} rows with all features are fewer than the {facts.context} that a forecast reads",
            remedy="give more of its past",
        )
    times = following(track.times[-1], reading.every, facts.horizon)
    symbols = np.array([symbol])
    past = facts.past(track.values[None, -facts.context - 1 :, 0], symbols, facts.scaled(computed.table[-facts.context :])[None])
    known = _known(subject, reading, frame, times)
    keys = torch.tensor([derive(seed, "forecast", track.symbol, track.times[-1])])
    with torch.no_grad():
        told = subject.module.quantiles(
            torch.from_numpy(past).to(subject.device),
            torch.from_numpy(known[None]).to(subject.device),
            torch.from_numpy(levels.astype(np.float32)).to(subject.device),
            keys,
        )
    return Prediction(track.symbol, track.times[-1], times, in_unit(facts, told.double().cpu().numpy(), symbols, track.values[-1:, 0])[0])


def _known(subject: ForecastSubject, reading: Reading, frame: Frame, times: np.ndarray) -> np.ndarray:
    """(H, K) of the features that stamps alone decide, for stamps to come."""
    facts = subject.facts
    ahead = Frame(frame.symbol, times, {name: np.full(len(times), np.nan) for name in frame.columns}, frame.target)
    columns = {name: values for one in reading.features if one.known_ahead for name, values in one.compute(ahead).items()}
    table = np.full((len(times), len(facts.features)), np.nan)
    for place in facts.known:
        table[:, place] = columns[facts.features[place]]
    return facts.scaled(table)[:, list(facts.known)]
