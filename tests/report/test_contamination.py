"""The report's section on evaluation items: every task with its numbers, and examples that can do no harm."""

from __future__ import annotations

from typing import Any

from ropewalk.report.html import write_report

NASTY = "<script>alert(1)</script>"


def test_tasks_and_examples_are_shown_and_nothing_in_them_is_active(maker: Any) -> None:
    tasks = {
        "boolq": {"items": 1000, "compared": 990, "found": 3, "documents": 5},
        NASTY: {"items": 2, "compared": 2, "found": 0, "documents": 0},
    }
    shown = {"masked.boolq": [{"id": NASTY, "text": f"before »{NASTY}« after", "score": 0.125, "witness": "boolq#17"}]}
    maker.stage(
        "fair",
        "decontaminate",
        "Corpus",
        config={"action": "mask"},
        counts={"records_in": 9, "kept": 9, "dropped": 0, "quarantined": 0},
        metrics={"tasks": tasks, "examples": shown, "items_allowed": 4},
    )
    page = write_report(maker.close()).read_text()
    section = page[page.index('id="contamination"') :]
    assert "Documents with an item are masked; 4 items are allowed." in section
    assert "<td>boolq</td><td class=n>1,000</td><td class=n>10</td><td class=n>3 <small>0.3%</small></td><td class=n>5</td>" in section
    assert "boolq#17, 12.5% of the item" in section and "before »&lt;script&gt;" in section
    assert "<script" not in page


def test_a_run_without_the_stage_has_no_such_section(maker: Any) -> None:
    maker.corpus("clean")
    assert 'id="contamination"' not in write_report(maker.close()).read_text()
