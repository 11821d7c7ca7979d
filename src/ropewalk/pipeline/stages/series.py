"""The series stage: records become symbols on a calendar, with features and scales from their training parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from ropewalk.core.artifact import Artifact
from ropewalk.core.component import as_tree
from ropewalk.core.errors import DataError
from ropewalk.core.ledger import Ledger, tally
from ropewalk.data.records import Rejected
from ropewalk.data.series import Series, SeriesFacts, SymbolFacts, write_series
from ropewalk.data.series_build import Computed, Reading, spreads
from ropewalk.data.series_features.feature import Frame
from ropewalk.data.series_grid import SEASONS, Track, fill
from ropewalk.data.series_rows import Row, labelled
from ropewalk.data.series_scale import Transform, fit_scale
from ropewalk.data.series_split import Cuts, TooShort, WalkForward, cut
from ropewalk.data.sources.intake import Intake
from ropewalk.data.sources.source import Record, Source
from ropewalk.pipeline.stage import Context, Facts, Stage


class MakeSeries(Stage, type="series"):
    """Makes windows of past rows and the rows to forecast; none reaches over the end of the training part."""

    makes: ClassVar[type[Artifact]] = Series

    source: Source
    """Where the records come from: files (csv, parquet, jsonl), http, or a source of your own."""
    reading: Reading = Reading()
    """What its columns mean, the calendar, and the features."""
    transform: Transform = "difference"
    """What is forecast: the change from a window's last value (difference), the same relative to it (return) or in logarithms
    (log_return, for prices), or the value itself (level)."""
    context: int = Field(ge=2)
    """Rows that a forecast reads."""
    horizon: int = Field(ge=1)
    """Rows that it tells."""
    season: int | None = Field(default=None, ge=1)
    """Rows in a season, for the seasonal naive forecast and MASE; by the calendar when left out (month: 12, observed: 5)."""
    holdout: float = Field(default=0.1, ge=0, lt=1)
    """Share of what stands before the test part that is measured during training instead."""
    test: WalkForward = WalkForward()
    """The origins at the end of each series that only `evaluate` forecasts from."""
    least_windows: int = Field(default=4, ge=1)
    """Windows side by side that a training part must hold, else the series is too short."""
    too_short: Literal["error", "drop"] = "error"
    """Of series that are too short: stop, or leave the symbol out with a warning and count its rows."""

    def make(self, context: Context) -> Facts:
        ledger = Ledger(self.tag)
        read = self.source.model_copy(update={"text": self.reading.target}) if "text" in type(self.source).model_fields else self.source
        read.check()
        ready = read.ready(context.work / "fetched").source
        intake = Intake(read, ledger)
        rows = self.reading.rows(_good(ready, intake))
        if not rows:
            raise DataError(f"{context.name}: there are no records", remedy="look at the source's path")
        kept: list[tuple[Track, Frame, Computed, Cuts]] = []
        wanted = self.reading.symbols or list(rows)
        for symbol in [name for name in rows if name not in wanted]:
            _drop(ledger, rows.pop(symbol), "other_symbol")
        for track in self.reading.tracks(rows):
            for stamp, reason in track.dropped:
                ledger.add(f"{track.symbol} {stamp}", reason)
            if track.unsorted:
                context.log.warning(
                    "%s: %s: %d rows were not in order of time, and were sorted", context.name, track.symbol, track.unsorted
                )
            try:
                kept.append(self._prepared(track))
            except TooShort as error:
                if self.too_short == "error":
                    raise
                context.log.warning("%s: left out: %s", context.name, error.message)
                _drop(ledger, rows[track.symbol][len(track.dropped) :], "too_short")  # as many as are left; which is all the same
        if not kept:
            raise DataError(f"{context.name}: every series is too short", remedy="set a smaller context, horizon or test part")
        ledger.write(context.out / "ledger" / "00000.parquet")
        intake.write(context.out / "quarantine" / "00000.parquet")
        facts = self._facts(kept)
        write_series(context.out, facts, _columns(kept, facts))
        dropped = {reason: number for reason, number in ledger.reasons().items() if reason not in intake.quarantined}
        kept_rows = intake.records_in - intake.quarantined.total() - sum(dropped.values())
        counts = tally(intake.records_in, kept_rows, dropped, intake.quarantined)
        return Facts(counts, _measured(kept, facts))

    def _prepared(self, track: Track) -> tuple[Track, Frame, Computed, Cuts]:
        """The track filled, with its features and parts. The parts come first: what fills a gap depends on them."""
        rows = len(track.times)
        probe = cut(track.symbol, 0, rows, self.context, self.horizon, self.holdout, self.test, self.least_windows)
        fill(track, self.reading.gaps, probe.train_stop)
        frame = self.reading.frame(track)
        computed = self.reading.computed(frame)
        cuts = cut(track.symbol, computed.first, rows, self.context, self.horizon, self.holdout, self.test, self.least_windows)
        if cuts.train_stop > probe.train_stop:  # the held-out share is of fewer rows: keep the end that gaps were filled by
            cuts = Cuts(cuts.first, rows, probe.train_stop, probe.holdout, cuts.origins)
        return track, frame, computed, cuts

    def _facts(self, kept: list[tuple[Track, Frame, Computed, Cuts]]) -> SeriesFacts:
        season = self.season or SEASONS[self.reading.every]
        starts = np.cumsum([0, *(len(track.times) for track, *_ in kept)]).tolist()
        symbols = tuple(
            SymbolFacts(
                track.symbol,
                start,
                cuts,
                fit_scale(track.symbol, track.values[cuts.first : cuts.train_stop, 0], self.horizon, season, self.transform),
            )
            for start, (track, _, _, cuts) in zip(starts, kept, strict=False)
        )
        names, known = kept[0][2].names, kept[0][2].known
        means, deviations = spreads([computed.table[cuts.first : cuts.train_stop] for _, _, computed, cuts in kept])
        stride = self.test.stride or self.horizon
        return SeriesFacts(
            self.reading.target,
            self.transform,
            self.context,
            self.horizon,
            season,
            self.reading.every,
            names,
            known,
            means,
            deviations,
            symbols,
            as_tree(self.reading),
            -(-self.horizon // stride) - 1,
        )


def _drop(ledger: Ledger, rows: list[Row], reason: str) -> None:
    for row in rows:
        ledger.add(f"{row.symbol} {row.time}", reason)


def _good(source: Source, intake: Intake) -> Iterator[tuple[str, Record]]:
    for shard in source.shards():
        labels: list[str] = []

        def unlabelled(pairs: Iterator[tuple[str, Record | Rejected]], labels: list[str] = labels) -> Iterator[Record | Rejected]:
            for label, item in pairs:
                labels[:] = [label]
                yield item

        for record in intake.sift(unlabelled(labelled(source, shard))):
            yield labels[0], record


def _columns(kept: list[tuple[Track, Frame, Computed, Cuts]], facts: SeriesFacts) -> dict[str, Any]:
    table = np.concatenate([computed.table for _, _, computed, _ in kept])
    return {
        "symbol": [track.symbol for track, *_ in kept for _ in track.times],
        "time": np.concatenate([track.times for track, *_ in kept]),
        "target": np.concatenate([track.values[:, 0] for track, *_ in kept]),
        "filled": np.concatenate([track.filled for track, *_ in kept]),
        **{f"feature/{name}": np.nan_to_num(table[:, place]) for place, name in enumerate(facts.features)},
    }


def _measured(kept: list[tuple[Track, Frame, Computed, Cuts]], facts: SeriesFacts) -> Mapping[str, Any]:
    symbols = {
        track.symbol: {
            "rows": len(track.times),
            "from": str(track.times[0]),
            "to": str(track.times[-1]),
            "train_until": str(track.times[cuts.train_stop - 1]),
            "test_from": str(track.times[cuts.origins[0]]) if cuts.origins else "",
            "filled": int(track.filled.sum()),
            "unsorted": track.unsorted,
        }
        for track, _, _, cuts in kept
    }
    training = sum(len(cuts.training(facts.context, facts.horizon)) for *_, cuts in kept)
    return {"symbols": symbols, "features": list(facts.features), "train_windows": training}
