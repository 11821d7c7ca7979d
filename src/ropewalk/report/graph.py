"""The picture of a recipe's stages: boxes in columns by depth, arrows along references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

BOX_WIDTH, BOX_HEIGHT, GAP_X, GAP_Y = 112, 42, 24, 14


def depths(edges: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """How far each stage is from a stage without inputs (longest way); `edges` lead from a stage to what it reads."""
    found: dict[str, int] = {}

    def depth(name: str) -> int:
        if name not in found:
            found[name] = 0
            found[name] = max((depth(other) + 1 for other in edges.get(name, ()) if other in edges), default=0)
        return found[name]

    for name in edges:
        depth(name)
    return found


def stage_graph(edges: Mapping[str, Sequence[str]], states: Mapping[str, str], notes: Mapping[str, str]) -> str:
    """SVG; `states` colours a box (done, cached, failed …), `notes` is its second line. Each box links to `#stage-NAME`."""
    level = depths(edges)
    columns: dict[int, list[str]] = {}
    for name in edges:
        columns.setdefault(level[name], []).append(name)
    place: dict[str, tuple[int, int]] = {}
    tallest = max(len(names) for names in columns.values())
    for column, names in columns.items():
        ordered = sorted(names, key=lambda name: _middle(edges[name], place))
        shift = (tallest - len(ordered)) * (BOX_HEIGHT + GAP_Y) // 2
        for row, name in enumerate(ordered):
            place[name] = (column * (BOX_WIDTH + GAP_X) + 2, shift + row * (BOX_HEIGHT + GAP_Y) + 2)
    parts = []
    for name, targets in edges.items():
        for other in targets:
            if other in place:
                parts.append(_arrow(place[other], place[name]))
    for name, (x, y) in place.items():
        state = "".join(letter for letter in states.get(name, "waiting") if letter.isalpha())
        parts.append(
            f'<a href="#stage-{escape(name)}"><rect class="box {state}" x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6"/>'
            f'<text class="box-name" x="{x + 10}" y="{y + 18}">{escape(name[:14])}</text>'
            f'<text class="box-note" x="{x + 10}" y="{y + 33}">{escape(notes.get(name, "")[:18])}</text></a>'
        )
    width = (max(columns) + 1) * (BOX_WIDTH + GAP_X) - GAP_X + 4
    height = tallest * (BOX_HEIGHT + GAP_Y) - GAP_Y + 4
    head = f'<svg class="graph" style="min-width:{width * 0.66:.0f}px" viewBox="0 0 {width} {height}" role="img" aria-label="the stages">'
    return head + "".join(parts) + "</svg>"


def _middle(sources: Sequence[str], place: Mapping[str, tuple[int, int]]) -> float:
    rows = [place[name][1] for name in sources if name in place]
    return sum(rows) / len(rows) if rows else 0.0


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    x1, y1 = start[0] + BOX_WIDTH, start[1] + BOX_HEIGHT // 2
    x2, y2 = end[0], end[1] + BOX_HEIGHT // 2
    bend = max((x2 - x1) // 2, 12)
    return f'<path class="arrow" d="M{x1} {y1} C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"/>'
