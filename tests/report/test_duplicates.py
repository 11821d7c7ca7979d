"""The section on duplicates says what the dedup stage measured, and nothing from data is active in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ropewalk.core.artifact import Manifest
from ropewalk.report.duplicates import duplicates
from ropewalk.report.facts import RunFacts, StageFacts
from ropewalk.report.steplog import Events

METRICS: dict[str, Any] = {
    "clusters": 1373,
    "largest_cluster": 11,
    "components": 1369,
    "crowded": 3,
    "largest": [{"keeper": "<b>", "removed": 10, "least_similar": "d7", "jaccard": 0.806, "texts": ["How <u> begins", "How"]}],
    "warnings": ["one cluster swallows <i>"],
    "rules": {"unit": "word", "ngram": 5, "bands": 21, "rows": 6},
    "s_curve": {"0.5": 0.2816, "0.7": 0.9278, "0.8": 0.9983, "0.9": 1.0},
    "measured": {"documents": 200, "pairs": 34, "recall": 0.97, "joined": 1.0, "removed": 3, "precision": None},
}


def facts(tmp_path: Path, metrics: dict[str, Any]) -> RunFacts:
    stage = StageFacts("unique", "dedup", "Corpus", "done", "key", path=tmp_path, manifest=Manifest("Corpus", metrics=metrics))
    return RunFacts("example", "done", 0.0, None, {}, {"unique": stage}, {}, Events(), "", "runs/example")


def test_it_says_clusters_curve_and_what_was_measured(tmp_path: Path) -> None:
    found = duplicates(facts(tmp_path, METRICS))
    assert "1,373 clusters in 1,369 components" in found and "99.8% at Jaccard 0.8" in found
    assert "34 pairs reach the threshold, 97.0% of them do not both stay, 100.0% are in one component." in found
    assert "3 documents had more candidates" in found and "0.806" in found
    assert "<b>" not in found and "<i>" not in found and "&lt;b&gt;" in found
    assert "<pre>How &lt;u&gt; begins</pre>" in found


def test_without_a_dedup_stage_there_is_no_section(tmp_path: Path) -> None:
    assert duplicates(facts(tmp_path, {"documents": 3})) == ""
    exact = {key: METRICS[key] for key in ("clusters", "largest_cluster", "components", "crowded")} | {"largest": []}
    assert "No duplicate was found" in duplicates(facts(tmp_path, exact))
