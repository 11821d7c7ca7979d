"""Scores on disk, gates on them, verdicts for people and programs, the card."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from ropewalk.core.artifact import Manifest
from ropewalk.core.errors import ConfigError, DataError
from ropewalk.evaluate.card import model_card
from ropewalk.evaluate.gates.beats import Beats
from ropewalk.evaluate.gates.gate import Gate
from ropewalk.evaluate.gates.thresholds import AtLeast, AtMost
from ropewalk.evaluate.scores import Measure, Scores, SuiteResult, write_scores
from ropewalk.evaluate.verdict import Verdict, write_verdict


def scores(folder: Path, bits: float = 2.0, n: int = 50, names: str = "d") -> Scores:
    generator = np.random.default_rng(0)
    sizes = generator.integers(50, 150, n).astype(float)
    noise = generator.normal(0, 0.1, n)
    own = sizes * (bits + noise)
    measures = [
        Measure("bits_per_byte", "bits/byte", own, sizes, baselines={"byte_trigram": sizes * (2.5 + noise)}),
        Measure("perplexity", "per token", own, sizes, scale="exp"),
        Measure("accuracy", "share", (noise > 0).astype(float), np.ones(n), higher_is_better=True, scale="proportion"),
    ]
    ids = [f"{names}{i}" for i in range(n)]
    folder.mkdir(exist_ok=True)
    write_scores(folder, {"lm": SuiteResult(ids, ids, measures, {"truncated": 1})}, seed=0)
    return Scores(folder, Manifest("Scores"))


def test_scores_come_back_with_intervals(tmp_path: Path) -> None:
    found = scores(tmp_path / "s")
    metric = found.metric("lm/bits_per_byte")
    assert metric.low < metric.value < metric.high and abs(metric.value - 2) < 0.05 and metric.baselines["byte_trigram"] > 2.4
    assert found.metric("lm/perplexity").value == pytest.approx(math.exp(metric.value)) and found.metric("lm/accuracy").items == 50
    pairs = found.pairs("lm/bits_per_byte")
    assert pairs.numerators.sum() / pairs.denominators.sum() == pytest.approx(metric.value)
    with pytest.raises(ConfigError, match="did you mean 'lm/bits_per_byte'"):
        found.metric("lm/bits_per_bite")
    with pytest.raises(ConfigError, match="no baseline 'byte_bigram'"):
        found.pairs("lm/bits_per_byte", "byte_bigram")


def test_one_item_has_an_infinite_interval_and_nan_is_refused(tmp_path: Path) -> None:
    assert scores(tmp_path / "s", n=1).metric("lm/bits_per_byte").high == math.inf
    bad = SuiteResult(["a", "b"], ["a", "b"], [Measure("x", "u", np.array([1.0, math.nan]), np.ones(2))])
    with pytest.raises(DataError, match=r"lm/x: item 'b' has no finite number"):
        write_scores(tmp_path, {"lm": bad}, 0)


def check(gate: Gate, own: Scores, other: Scores | None = None) -> bool:
    finding = gate.check(own, lambda ref: other)
    assert finding.metric in finding.message and f"{finding.items}" in finding.message
    assert finding.passed or "off by" in finding.message
    return finding.passed


def test_thresholds_judge_the_bound_unless_the_point_is_asked_for(tmp_path: Path) -> None:
    own = scores(tmp_path / "s")
    metric = own.metric("lm/bits_per_byte")
    between = (metric.value + metric.high) / 2
    assert check(AtMost(metric="lm/bits_per_byte", value=2.4), own) and not check(AtMost(metric="lm/bits_per_byte", value=between), own)
    assert check(AtMost(metric="lm/bits_per_byte", value=between, on="point"), own)
    assert check(AtLeast(metric="lm/bits_per_byte", value=1.9), own) and not check(
        AtLeast(metric="lm/bits_per_byte", value=metric.value), own
    )
    assert check(AtLeast(metric="lm/bits_per_byte", value=metric.value, on="point"), own)


def test_beats_is_paired_and_has_a_margin(tmp_path: Path) -> None:
    own, slightly, more = scores(tmp_path / "a", 2.0), scores(tmp_path / "b", 2.01), scores(tmp_path / "c", 1.99)
    assert check(Beats(metric="lm/bits_per_byte", baseline="byte_trigram"), own)
    assert not check(Beats(metric="lm/bits_per_byte", baseline="byte_trigram", margin=0.6), own)
    assert check(Beats(metric="lm/bits_per_byte", than="other"), own, slightly)
    assert not check(Beats(metric="lm/bits_per_byte", than="other"), own, more)
    assert not check(Beats(metric="lm/bits_per_byte", than="other"), own, own)
    assert not check(Beats(metric="lm/accuracy", than="other"), own, own)
    with pytest.raises(DataError, match="other answered other items"):
        check(Beats(metric="lm/bits_per_byte", than="other"), own, scores(tmp_path / "d", names="e"))
    for fields in ({}, {"baseline": "x", "than": "y"}):
        with pytest.raises(ValueError, match="needs baseline"):
            Beats(metric="lm/bits_per_byte", **fields)


def test_verdicts_are_written_for_all_readers(tmp_path: Path) -> None:
    own = scores(tmp_path / "s")
    gates = [AtMost(metric="lm/bits_per_byte", value=3), AtMost(metric="lm/bits_per_byte", value=1)]
    findings = [gate.check(own, lambda ref: None) for gate in gates]
    write_verdict(tmp_path, "gate <1>", findings)
    verdict = Verdict(tmp_path, Manifest("Verdict"))
    assert not verdict.passed and len(verdict.failures) == 1 and "must be at most 1, off by" in verdict.failures[0]
    suite = ET.parse(tmp_path / "junit.xml").getroot()
    assert (
        suite.attrib == {"name": "gate <1>", "tests": "2", "failures": "1", "errors": "0", "skipped": "0"} and suite[1][0].tag == "failure"
    )
    assert (tmp_path / "verdict.md").read_text().count("FAIL") == 1 and json.loads((tmp_path / "verdict.json").read_text())[
        "passed"
    ] is False
    write_verdict(tmp_path, "g", findings[:1])
    assert Verdict(tmp_path, Manifest("Verdict")).passed


def test_the_card_tells_data_training_scores_and_verdict(tmp_path: Path) -> None:
    own = scores(tmp_path / "s")
    counts = {"records_in": 10, "kept": 8, "dropped": 2, "quarantined": 0, "dropped/short": 2}
    load = Manifest("Corpus", stage="clean", counts=counts, metrics={"sources": {"mine": {"documents": 8, "license": "MIT"}}})
    train = Manifest("Model", stage="base", metrics={"steps": 100, "loss": 2.5, "parameters": 4_200_000})
    card = model_card("model", {"model_type": "qwen3", "vocab_size": 9}, [load, train], own.metrics, {"passed": True, "findings": []})
    for part in (
        "mine (8 documents, MIT)",
        "Qwen3ForCausalLM",
        "| clean | 10 | 8 | 2 (short 2) |",
        "parameters 4.2M",
        "lm/bits_per_byte",
        "Verdict: passed",
    ):
        assert part in card, card
    assert "None was asked" in model_card("m", {"model_type": "ropewalk_gpt"}, [], {}, None)
