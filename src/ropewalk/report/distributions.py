"""Histograms: what the cleaning steps measured, with their thresholds, and how long documents are in tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ropewalk.report.facts import RunFacts, StageFacts
from ropewalk.report.markup import count, figure, number, section, share, text, visible
from ropewalk.report.svg import bars

Floats = NDArray[np.float64]
MOST = 12
BINS = 32
FAR = 8  # a limit so many times beyond nearly all scores is named, not drawn: it would press them into one bar


def score_histograms(facts: RunFacts) -> str:
    """One chart a score; scores that say the same with different limits share one."""
    drawn = [(_charts(stage), stage) for stage in facts.making("Corpus")]
    charts = [chart for (found, _), _ in drawn for chart in found]
    flat = [f"{text(stage.name)}: {text(', '.join(names), 800)}" for (_, names), stage in drawn if names]
    rest = f'<div class="pair">{"".join(charts[MOST:])}</div>'
    more = f"<details><summary>{len(charts) - MOST} more scores</summary>{rest}</details>" if len(charts) > MOST else ""
    same = f"<p><small>The same for nine records of ten or more, so not drawn: {'; '.join(flat)}.</small></p>" if flat else ""
    body = f'<div class="pair">{"".join(charts[:MOST])}</div>{more}{same}' if charts or flat else ""
    return section(
        "scores",
        "What the filters saw",
        body,
        "Each record's score at each step; a vertical line is the limit that the recipe sets, with the share that went for it.",
    )


def token_lengths(facts: RunFacts) -> str:
    """How long documents are and how full the sequences became."""
    charts = []
    for stage in facts.making("Tokens"):
        assert stage.path
        values = _columns([stage.path / "documents.parquet"], ["length"])["length"]
        length = stage.config.get("length")
        marks = [(float(length), f"sequence {length}")] if isinstance(length, int) else []
        metrics = stage.metrics
        said = [count(metrics.get("tokens", 0), "token"), f"{number(metrics.get('bytes_per_token', 0.0))} bytes a token"]
        said += [
            f"{split} sequences {share(metrics[f'{split}/fill'], 1)} full" for split in ("train", "holdout") if f"{split}/fill" in metrics
        ]
        charts.append(_drawn(values, "tokens a document", marks, f"<b>{text(stage.name)}</b>: {', '.join(said)}"))
    return section("lengths", "How long the documents are", f'<div class="pair">{"".join(charts)}</div>' if charts else "")


def _charts(stage: StageFacts) -> tuple[list[str], list[str]]:
    """The charts, and the names of scores that hardly vary."""
    files = sorted((stage.path / "scores").glob("*.parquet")) if stage.path else []
    if not files:
        return [], []
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(files[0])
    names = [field.name for field in schema if pa.types.is_floating(field.type) or pa.types.is_integer(field.type)]
    columns = _columns(files, names)
    limits = _limits(stage.config.get("steps") or ())
    grouped: dict[tuple[str, bytes], list[str]] = {}
    for name, values in columns.items():
        if name in limits and not limits[name]:
            continue  # a limit that is not set filters nothing
        if len(values) and (name in limits or values.min() != values.max()) and not name.endswith(".changed"):
            grouped.setdefault((name.partition(".")[0], values.tobytes()), []).append(name)
    charts, flat = [], []
    for names in grouped.values():
        values = columns[names[0]]
        marks = [(limits[name], visible(_marked(stage, name, limits[name]))) for name in names if limits.get(name)]
        if not marks and np.mean(values == np.median(values)) > 0.9:
            flat += names
            continue
        caption = f"<b>{text(stage.name)}</b> · {text(' and '.join(names))}"
        charts.append(_drawn(values, visible(names[0]), marks, caption))
    return charts, flat


def _marked(stage: StageFacts, name: str, limit: float) -> str:
    """`min_words 50: 1.3% dropped`; a record goes for the first rule that it fails."""
    dropped = stage.counts.get(f"dropped/{name}", 0)
    said = f": {share(dropped, stage.counts['records_in'])} dropped" if "records_in" in stage.counts else ""
    return f"{name.partition('.')[2]} {number(limit)}{said}"


def _limits(steps: Sequence[Any]) -> dict[str, float]:
    """`length.min_words` -> 8.0 of a resolved config, `length_2.min_words` of a second step, `repetition.max_top_ngram.2` of a mapping.

    0 for a limit that is not set.
    """
    found: dict[str, float] = {}
    seen: Counter[str] = Counter()
    for step in steps:
        if isinstance(step, Mapping):
            tag = str(step.get("type"))
            seen[tag] += 1
            label = tag if seen[tag] == 1 else f"{tag}_{seen[tag]}"
            for name, value in step.items():
                for inner, limit in value.items() if isinstance(value, Mapping) else [("", value)]:
                    if limit is None or (isinstance(limit, int | float) and not isinstance(limit, bool)):
                        found[f"{label}.{name}{f'.{inner}' if inner else ''}"] = float(limit or 0)
    return found


def _columns(files: Sequence[Path], names: Sequence[str]) -> dict[str, Floats]:
    import pyarrow.parquet as pq

    tables = [pq.read_table(path, columns=list(names)) for path in files]
    whole = {name: np.concatenate([np.asarray(table[name].to_numpy(), np.float64) for table in tables]) for name in names}
    return {name: values[np.isfinite(values)] for name, values in whole.items()}


def _drawn(values: Floats, label: str, marks: Sequence[tuple[float, str]], caption: str) -> str:
    """A histogram up to the 99th percentile, or a mark not too far behind it; the caption says what lies beyond."""
    if not len(values):
        return ""
    low, top = float(values.min()), float(values.max())
    most = float(np.quantile(values, 0.99))
    high = max([most, *(mark for mark, _ in marks if mark <= FAR * most or most <= low)])
    if high <= low or top <= 1.25 * high:
        high = max(high, top)
    beyond = [name for mark, name in marks if mark > high] + ([f"the last of the tail, up to {number(top)}"] if top > high else [])
    if beyond:
        caption += f" <small>(not drawn, further right: {text(' and '.join(beyond))})</small>"
    if low == high:
        low, high = low - 0.5, high + 0.5
    low = min([low, *(mark for mark, _ in marks if low - (high - low) <= mark)])
    counts, edges = np.histogram(values, BINS, (low, high))
    drawing = bars([(float(a), float(b), int(n)) for a, b, n in zip(edges[:-1], edges[1:], counts, strict=True)], label, marks)
    return figure(drawing, caption)
