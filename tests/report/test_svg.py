"""Charts: nothing is lost by downsampling, odd numbers don't break them, text is escaped."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import pytest

from ropewalk.report.graph import depths, stage_graph
from ropewalk.report.svg import Series, bars, downsample, interval, line_chart, ticks


def test_downsampling_keeps_the_spike_and_the_order() -> None:
    points = [(float(x), math.sin(x / 500)) for x in range(100_000)]
    points[77_777] = (77_777.0, 99.0)
    kept = downsample(points)
    assert len(kept) <= 600 and (77_777.0, 99.0) in kept and kept == sorted(kept)
    assert downsample(points[:10]) == points[:10]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.013, 0.017), (-5, 5), (1e6, 3e6), (2.0, 2.0)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    found = ticks(low, high)
    assert found and all(low - 1e-9 <= tick <= high + 1e-9 for tick in found) and len(found) <= 11


def test_charts_are_well_formed_and_escape_names() -> None:
    evil = "<script>alert(1)</script>"
    chart = line_chart([Series(evil, [(1, 2.0), (2, math.nan), (3, 1.0)], 0), Series("b", [(1, 1.0)], 1)], evil, "loss")
    assert "<script>" not in chart
    ET.fromstring(f"<div>{chart}</div>")
    ET.fromstring(bars([(0, 1, 1), (1, 2, 2)], "x", [(1.5, evil), (99, "outside")]))
    ET.fromstring(bars([(2.5, 3.5, 1)], "constant"))
    ET.fromstring(interval(1, 2, 3, (0, 4), 2.5))
    ET.fromstring(interval(1, 1, 1, (1, 1)))


def test_nothing_to_draw_is_an_empty_string() -> None:
    assert line_chart([Series("a", [(1, math.nan)])], "x", "y") == "" and bars([], "x") == ""


def test_each_bin_is_a_bar() -> None:
    drawn = bars([(0, 5, 2), (5, 10, 1)], "x")
    assert drawn.count("<rect") == 2


def test_graph_places_readers_right_of_what_they_read() -> None:
    edges = {"raw": [], "clean": ["raw"], "chats": [], "turns": ["chats", "clean"], "<b>": ["turns", "path:x"]}
    assert depths(edges) == {"raw": 0, "clean": 1, "chats": 0, "turns": 2, "<b>": 3}
    drawn = stage_graph(edges, {"raw": "done", "<b>": "gate failed"}, {"raw": "1,000 in"})
    ET.fromstring(drawn)
    assert drawn.count('class="arrow"') == 4 and "<b>" not in drawn and "box gatefailed" in drawn
