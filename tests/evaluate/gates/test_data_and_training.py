"""Gates on data, training and cost: each passes on what is sound, and fails on one planted fault of its kind with its numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ropewalk.core.artifact import Manifest
from ropewalk.core.errors import ConfigError
from ropewalk.data.corpus import Corpus, from_documents, write_documents
from ropewalk.data.records import Document
from ropewalk.evaluate.gates.data_shares import Contamination, DropRate, DuplicatesLeft, LanguageShare, PiiLeft
from ropewalk.evaluate.gates.gate import Finding, Gate
from ropewalk.evaluate.gates.manifest_facts import Cost, Fact, Latency, Trained
from ropewalk.evaluate.gates.several import AllOf, AnyOf
from ropewalk.evaluate.verdict import write_verdict
from ropewalk.models.model import Model

CLEAN = [f"Text number {number} tells of a river, a mill and the {number} people who live by it." for number in range(40)]


def corpus(folder: Path, texts: list[str], **counts: int) -> Corpus:
    write_documents(from_documents([Document(str(n), text, "web") for n, text in enumerate(texts)]), folder / "documents" / "0.parquet")
    return Corpus(folder, Manifest("Corpus", stage="unique", counts=counts))


def check(gate: Gate, artifact: Any) -> Finding:
    finding = gate.check(None, lambda ref: artifact)
    assert not gate.needs_scores() and "must be" in finding.message and "n=" in finding.message
    assert finding.passed or "off by" in finding.message
    return finding


def test_duplicates_and_personal_data_that_are_left(tmp_path: Path) -> None:
    clean = corpus(tmp_path / "a", CLEAN)
    assert check(DuplicatesLeft(of="unique"), clean).passed and check(PiiLeft(of="unique"), clean).passed
    assert not check(DuplicatesLeft(of="unique", on="bound", at_most=0.01), clean).passed, "40 documents don't prove so much"
    double = check(DuplicatesLeft(of="unique"), corpus(tmp_path / "b", [*CLEAN, CLEAN[3].upper().replace(" ", "\n")]))
    assert not double.passed and "unique/duplicates: 1 of n=41" in double.message
    leak = check(PiiLeft(of="unique"), corpus(tmp_path / "c", [*CLEAN, "Write to anna@mail.example.org today."]))
    assert not leak.passed and "unique/pii: 1 of n=41" in leak.message and "anna" not in leak.message


def test_contamination_by_a_long_run_of_words(tmp_path: Path) -> None:
    question = "Which of these rivers is the longest one that flows through seven countries of the south?"
    rows = [{"query": question, "choices": ["this", "that"]}, {"query": "Short?", "choices": ["yes", "no"]}]
    (tmp_path / "test.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    gate = Contamination(of="unique", tests=[tmp_path / "test.jsonl"])
    assert check(gate, corpus(tmp_path / "a", [*CLEAN, "short yes no this that"])).passed
    found = check(
        gate, corpus(tmp_path / "b", [*CLEAN, "He asked: which of THESE rivers is the longest one - that flows through seven countries?"])
    )
    assert not found.passed and "unique/contaminated items: 1 of n=2" in found.message
    before = gate.fingerprint()
    (tmp_path / "test.jsonl").write_text(json.dumps(rows[0]))
    assert gate.fingerprint() != before


def test_the_drop_rate_of_all_or_one_reason(tmp_path: Path) -> None:
    counts = {"records_in": 100, "kept": 60, "dropped": 40, "quarantined": 0, "dropped/gopher/min_words": 30, "dropped/length": 10}
    made = corpus(tmp_path / "a", CLEAN, **counts)
    assert check(DropRate(of="clean", at_most=0.4), made).passed and not check(DropRate(of="clean", at_most=0.4, on="bound"), made).passed
    found = check(DropRate(of="clean", at_most=0.1, reason="gopher"), made)
    assert not found.passed and "clean/dropped/gopher: 30 of n=100" in found.message
    assert check(DropRate(of="clean", at_most=0.0, reason="pii"), made).passed
    with pytest.raises(ConfigError, match="did you mean 'length'"):
        check(DropRate(of="clean", at_most=0.1, reason="lenght"), made)
    assert not check(DropRate(of="clean", at_most=1), corpus(tmp_path / "b", CLEAN)).passed, "nothing was read, so nothing is known"


def test_the_share_of_a_language(tmp_path: Path) -> None:
    pytest.importorskip("py3langid")
    german = ["Der Fluss und die Mühle gehören den Leuten, die seit vielen Jahren dort am Ufer wohnen und arbeiten."] * 10
    assert check(LanguageShare(of="unique", at_least=0.8), corpus(tmp_path / "a", CLEAN)).passed
    found = check(LanguageShare(of="unique", at_least=0.9, on="point"), corpus(tmp_path / "b", [*CLEAN, *german]))
    assert not found.passed and "unique/not in en: 10 of n=50" in found.message


def model(folder: Path, losses: list[float | str], **metrics: float) -> Model:
    folder.mkdir()
    lines = [json.dumps({"event": "step", "step": number, "loss": loss}) for number, loss in enumerate(losses, 1)]
    (folder / "training.jsonl").write_text("\n".join([*lines, json.dumps({"event": "ended", "step": 1, "reason": "done"})]))
    cost = {"seconds": 10.0, "cpu_seconds": 20.0, "peak_bytes": 1_000_000}
    return Model(
        folder, Manifest("Model", stage="base", metrics={"parameters": 1000, **metrics}, notes={"cost": cost}, files={"x": {"bytes": 500}})
    )


def test_a_training_that_went_well_and_three_that_did_not(tmp_path: Path) -> None:
    losses: list[float | str] = [5 - number / 20 for number in range(40)]
    gate = Trained(of="base", fell_by=1)
    good = check(gate, model(tmp_path / "a", losses, skipped_updates=0))
    assert good.passed and good.items == 40 and good.value == pytest.approx(1.8)
    for name, made, said in (
        ("b", model(tmp_path / "b", losses[::-1]), "the loss fell by -1.8"),
        ("c", model(tmp_path / "c", losses, skipped_updates=1, rollbacks=1), "2 updates skipped, must be at most 0, off by 2"),
        ("d", model(tmp_path / "d", []), "no loss was written"),
    ):
        finding = gate.check(None, lambda ref, made=made: made)
        assert not finding.passed and said in finding.message, name
    broken = gate.check(None, lambda ref: model(tmp_path / "e", [*losses, "nan"]))
    assert not broken.passed and "1 losses are not finite" in broken.message


def test_cost_and_facts_within_limits(tmp_path: Path) -> None:
    made = model(tmp_path / "a", [1.0], holdout_loss=2.5)
    assert check(Cost(of="base", seconds=10, cpu_seconds=20, memory="1MB", parameters="1k", size=500), made).passed
    for limit, said in (
        ({"seconds": 9}, "base/cost.seconds is 10"),
        ({"memory": 1000}, "base/cost.peak_bytes"),
        ({"parameters": 10}, "base/metrics.parameters is 1000 (n=1): must be at most 10, off by 990"),
        ({"size": 1}, "base/size.bytes is 500"),
    ):
        finding = check(Cost(of="base", **limit), made)
        assert not finding.passed and said in finding.message
    assert check(Fact(of="base", fact="metrics.holdout_loss", at_most=3, at_least=2), made).passed
    assert check(Fact(of="base", fact="cost.cpu_seconds", per="cost.seconds", at_most=2), made).passed
    assert not check(Fact(of="base", fact="metrics.holdout_loss", at_least=3), made).passed
    with pytest.raises(ConfigError, match=r"base notes no 'metrics.holdout_los' \(did you mean 'metrics.holdout_loss'"):
        check(Fact(of="base", fact="metrics.holdout_los", at_least=3), made)
    for bad in (Cost, Fact):
        with pytest.raises(ValueError, match="needs"):
            bad(of="base", **({"fact": "x"} if bad is Fact else {}))


def test_latency_is_measured_here(subject: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = model(tmp_path / "a", [])
    monkeypatch.setattr(Model, "load", lambda self, device: subject.module)
    quick = check(Latency(of="base", milliseconds=10_000, new_tokens=8), made)
    assert quick.passed and 0 < quick.value < 10_000 and not check(Latency(of="base", milliseconds=1e-6, new_tokens=8), made).passed


def test_all_of_and_any_of_tell_what_decided(tmp_path: Path) -> None:
    made = model(tmp_path / "a", [])
    good, bad = Cost(of="base", seconds=11), Cost(of="base", seconds=1)
    assert check(AllOf(checks=[good, good]), made).passed and check(AnyOf(checks=[bad, good]), made).passed
    one, none = check(AllOf(checks=[good, bad]), made), check(AnyOf(checks=[bad, AllOf(checks=[bad])]), made)
    assert not one.passed and one.message.count("cost.seconds") == 1 and none.message.startswith("none of 2 checks passes")
    write_verdict(tmp_path, "gate", [check(AnyOf(checks=[bad, good]), made)])
    text = (tmp_path / "junit.xml").read_text()
    assert 'failures="0"' in text and "<skipped" in text
