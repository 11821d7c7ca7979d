"""Charts as inline SVG text: lines, histograms, intervals; colours come from the page's CSS variables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from ropewalk.core.units import show_count

WIDTH, HEIGHT = 640, 240
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 12, 40
LOW = 180
LETTER = 6.2  # pixels of a letter beside a mark, on average
MAX_POINTS = 600


@dataclass(frozen=True)
class Series:
    """A named line: points in order of x; `color` is a number of the page's palette (0 to 5)."""

    name: str
    points: Sequence[tuple[float, float]]
    color: int = 0
    dots: bool = False


@dataclass(frozen=True)
class Band:
    """What lies between two lines: (x, low, high) in order of x."""

    points: Sequence[tuple[float, float, float]]


@dataclass(frozen=True)
class _Frame:
    """Maps data to pixels."""

    low_x: float
    high_x: float
    low_y: float
    high_y: float
    height: int = HEIGHT

    def x(self, value: float) -> float:
        return LEFT + (value - self.low_x) / (self.high_x - self.low_x) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return self.height - BOTTOM - (value - self.low_y) / (self.high_y - self.low_y) * (self.height - TOP - BOTTOM)


def downsample(points: Sequence[tuple[float, float]], limit: int = MAX_POINTS) -> list[tuple[float, float]]:
    """At most `limit` points: the lowest and highest of each bucket, so that no spike is lost."""
    if len(points) <= limit:
        return list(points)
    buckets = limit // 2
    kept: list[tuple[float, float]] = []
    for index in range(buckets):
        part = points[index * len(points) // buckets : (index + 1) * len(points) // buckets]
        ends = sorted({min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])})
        kept.extend(ends)
    return kept


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers from low to high."""
    if high <= low:
        return [low]
    rough = (high - low) / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(index * step, 12) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def line_chart(series: Sequence[Series], x_label: str, y_label: str, *, zero: bool = False, bands: Sequence[Band] = ()) -> str:
    """Lines over a shared x, with bands behind them; empty when no series has a finite point. A line without name is in no legend."""
    clean = [Series(one.name, [p for p in one.points if math.isfinite(p[1])], one.color, one.dots) for one in series]
    clean = [one for one in clean if one.points]
    if not clean:
        return ""
    xs = [x for one in clean for x, _ in one.points]
    ys = [y for one in clean for _, y in one.points] + [y for band in bands for point in band.points for y in point[1:] if math.isfinite(y)]
    low, high = (min(0.0, *ys) if zero else min(ys)), max(ys)
    pad = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
    frame = _Frame(min(xs), max(xs) if max(xs) > min(xs) else min(xs) + 1, low if zero else low - pad, high + pad)
    parts = [_axes(frame, x_label, y_label)]
    for band in bands:
        edge = [(x, high) for x, _, high in band.points] + [(x, low) for x, low, _ in reversed(band.points)]
        parts.append('<polygon class="band" points="' + " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in edge) + '"/>')
    for one in clean:
        points = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in downsample(one.points))
        parts.append(f'<polyline class="line c{one.color}" points="{points}"/>')
        if one.dots or len(one.points) == 1:
            parts += [f'<circle class="dot c{one.color}" cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="3"/>' for x, y in one.points]
    return _svg("".join(parts), f"{y_label} over {x_label}") + legend(clean)


def bars(edges: Sequence[tuple[float, float, int]], x_label: str, marks: Sequence[tuple[float, str]] = ()) -> str:
    """A histogram whose bins are (from, to, count)."""
    if not edges:
        return ""
    named = [(value, name) for value, name in marks if edges[0][0] <= value <= edges[-1][1]]
    room = 1.05 + 0.17 * len(named)  # for the marks' names above the bars
    frame = _Frame(edges[0][0], edges[-1][1], 0, max(max(count for *_, count in edges), 1) * room, LOW)
    parts = [_axes(frame, x_label, "")]
    for start, stop, count in edges:
        x, width = frame.x(start), max(frame.x(stop) - frame.x(start) - 1, 0.5)
        top, tall = frame.y(count), frame.y(0) - frame.y(count)
        parts.append(f'<rect class="bar" x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{tall:.1f}"/>')
    for row, (value, name) in enumerate(named):
        x = frame.x(value)
        left = x > WIDTH / 2 and x + LETTER * len(name) > WIDTH
        parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{frame.y(0):.1f}"/>')
        parts.append(
            f'<text class="tick" text-anchor="{"end" if left else "start"}" x="{x + (-4 if left else 4):.1f}" y="{TOP + 10 + 16 * row}">'
            f"{escape(name)}</text>"
        )
    return _svg("".join(parts), f"histogram of {x_label}", LOW)


def interval(
    low: float, value: float, high: float, scale: tuple[float, float], threshold: float | None = None, rivals: Sequence[float] = ()
) -> str:
    """A dot with whiskers on a scale, the threshold it was held against, and a ring for each rival."""
    start, stop = scale if scale[1] > scale[0] else (scale[0] - 0.5, scale[0] + 0.5)

    def x(number: float) -> float:
        return 4 + (min(max(number, start), stop) - start) / (stop - start) * 152

    mark = f'<line class="mark" x1="{x(threshold):.1f}" x2="{x(threshold):.1f}" y1="1" y2="17"/>' if threshold is not None else ""
    whisker = f'<line class="whisker" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="9" y2="9"/>'
    dot = f'<circle class="dot c0" cx="{x(value):.1f}" cy="9" r="4"/>'
    rings = "".join(f'<circle class="ring" cx="{x(one):.1f}" cy="9" r="3.5"/>' for one in rivals if math.isfinite(one))
    title = f"{value:.4g} ({low:.4g} to {high:.4g})"
    return f'<svg class="interval" viewBox="0 0 160 18" role="img" aria-label="{title}">{mark}{rings}{whisker}{dot}</svg>'


def legend(series: Sequence[Series]) -> str:
    series = [one for one in series if one.name]
    if len(series) < 2:
        return ""
    return '<div class="legend">' + "".join(f'<span><i class="c{one.color}"></i>{escape(one.name)}</span>' for one in series) + "</div>"


def _axes(frame: _Frame, x_label: str, y_label: str) -> str:
    parts = []
    for value in ticks(frame.low_y, frame.high_y, 4):
        y = frame.y(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" text-anchor="end" x="{LEFT - 6}" y="{y + 4:.1f}">{_number(value)}</text>')
    bottom = frame.height - BOTTOM
    for value in ticks(frame.low_x, frame.high_x, 6):
        said = f"{value:g}" if x_label == "year" else _number(value)
        parts.append(f'<text class="tick" text-anchor="middle" x="{frame.x(value):.1f}" y="{bottom + 16}">{said}</text>')
    parts.append(f'<text class="tick label" text-anchor="end" x="{WIDTH - RIGHT}" y="{frame.height - 3}">{escape(x_label)}</text>')
    parts.append(f'<text class="tick label" x="{LEFT + 4}" y="{TOP + 6}">{escape(y_label)}</text>')
    return "".join(parts)


def _number(value: float) -> str:
    if value and abs(value) < 0.0001:
        return f"{value:.0e}"
    return show_count(value) if abs(value) >= 1000 else f"{value:g}"


def _svg(body: str, title: str, height: int = HEIGHT) -> str:
    return f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">{body}</svg>'
