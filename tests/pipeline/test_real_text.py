"""The same line on real corpora, cut short; needs DATA_DIR."""

from __future__ import annotations

from pathlib import Path

import pytest

from ropewalk.core.ledger import read_ledger
from ropewalk.evaluate.scores import Scores
from ropewalk.pipeline.recipe import load

RECIPE = Path(__file__).parents[2] / "recipes" / "real_text.yaml"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_real_text_goes_through_the_whole_line(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_DIR", str(data_dir))
    overrides = [
        f"store={tmp_path / 'store'}",
        f"runs={tmp_path / 'runs'}",
        "vocab.size=1024",
        "base.model={type: gpt, preset: llama-tiny, depth: 1, width: 64, heads: 2, mlp_width: 128}",
        "base.budget.tokens=60k",
        "base.evaluate.every=0",
        "base.save.every=1000",
        "turns.length=512",
        "packed.length=128",
        "sft.budget={steps: 8}",
        "sft.evaluate.every=0",
        "scores.suites.0.max_documents=20",
        "scores.suites.2.limit=40",
    ]
    run = load(RECIPE, overrides).run(quiet=True)
    raw, clean = run["raw"].manifest, run["clean"].manifest
    assert raw.counts["kept"] == raw.counts["records_in"] > 2000 and len(raw.metrics["sources"]) == 3
    assert clean.counts["kept"] + clean.counts["dropped"] == raw.counts["kept"] and clean.counts["dropped"] > 10
    assert read_ledger(run["clean"].path).num_rows >= clean.counts["dropped"]
    scores = run["scores"]
    assert isinstance(scores, Scores) and scores.metric("arc_easy/accuracy").items == 40
    assert scores.metric("perplexity/bits_per_byte").high < 4.4
