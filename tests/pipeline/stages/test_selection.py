"""Sample, filter and split: what is left out is in the ledger, draws depend on id and seed alone, parts are disjoint and complete."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ropewalk.core.artifact import Manifest
from ropewalk.core.errors import ConfigError, DataError
from ropewalk.core.ledger import read_ledger
from ropewalk.data.corpus import Corpus, from_documents, write_documents
from ropewalk.data.records import Document
from ropewalk.data.selection import draws
from ropewalk.pipeline.recipe import loads
from ropewalk.pipeline.stages.clean import Clean
from ropewalk.pipeline.stages.filter import Filter
from ropewalk.pipeline.stages.sample import Sample, allotted
from ropewalk.pipeline.stages.split import Split, ends

SOURCES = ["books"] * 6 + ["web"] * 3 + ["rare"]


def corpus(folder: Path, number: int = 200, per_shard: int = 60) -> Corpus:
    rows = [
        Document(f"d{n}", f"Text {n % 50} of " + "word " * (n % 7), SOURCES[n % 10], "CC0", {"year": n} if n % 4 else {})
        for n in range(number)
    ]
    for start in range(0, number, per_shard):
        write_documents(from_documents(rows[start : start + per_shard]), folder / "documents" / f"{start:05d}.parquet")
    return Corpus(folder, Manifest("Corpus"))


def ids(made: Corpus) -> list[str]:
    return [document.id for document in made.documents()]


def in_order(names: list[str]) -> bool:
    return names == sorted(names, key=lambda name: int(name[1:]))


def sample(**fields: Any) -> Sample:
    return Sample.model_validate({"input": "raw", **fields})


def test_a_sample_holds_the_smaller_ones_and_keeps_the_order(tmp_path: Path, make_stage: Any) -> None:
    raw = {"raw": corpus(tmp_path / "in")}
    small, facts = make_stage(sample(n=20), raw, "small")
    large, _ = make_stage(sample(fraction=0.5), raw, "large")
    assert facts.counts["kept"] == len(ids(small)) == 20 and len(ids(large)) == 100
    assert set(ids(small)) < set(ids(large)) and in_order(ids(large))
    gone = read_ledger(small.path).to_pylist()
    assert {row["id"] for row in gone} == {f"d{n}" for n in range(200)} - set(ids(small))
    assert {row["reason"] for row in gone} == {"not_drawn"} and len(facts.metrics["examples"]["not_drawn"]) == 5
    kept_draws = draws(ids(small), 0, "sample")
    assert max(kept_draws) < min(row["score"] for row in gone)
    assert not (small.path / "draws").exists()


def test_a_stratified_sample_has_each_source_in_proportion(tmp_path: Path, make_stage: Any) -> None:
    made, facts = make_stage(sample(n=30, stratify=True), {"raw": corpus(tmp_path / "in")})
    assert Counter(document.source for document in made.documents()) == {"books": 18, "web": 9, "rare": 3}
    assert facts.metrics["drawn"] == {"books": 18, "web": 9, "rare": 3}
    assert allotted(5, {"a": 1, "b": 1, "c": 1}) == {"a": 2, "b": 2, "c": 1} and allotted(0, {"a": 3}) == {"a": 0}


def test_more_than_there_is_takes_all_and_nothing_is_an_error(tmp_path: Path, make_stage: Any) -> None:
    raw = {"raw": corpus(tmp_path / "in", 20)}
    made, facts = make_stage(sample(n=1000), raw, "all")
    assert len(ids(made)) == 20 and facts.counts["dropped"] == 0
    with pytest.raises(DataError, match="is none"):
        make_stage(sample(fraction=0.01), raw, "none")


def test_parts_are_disjoint_complete_and_of_the_right_size(tmp_path: Path, make_stage: Any) -> None:
    raw = {"raw": corpus(tmp_path / "in", 1000, 300)}
    shares = {"train": 0.7, "dev": 0.2, "test": 0.1}
    parts = {}
    for part in shares:
        made, facts = make_stage(Split.model_validate({"input": "raw", "parts": shares, "part": part}), raw, part)
        parts[part] = ids(made)
        told = {row["id"]: row["reason"].removeprefix("in_part.") for row in read_ledger(made.path).to_pylist()}
        assert len(told) + len(parts[part]) == 1000 and part not in told.values() and facts.counts["records_in"] == 1000
        assert all(id_ in parts[other] for id_, other in told.items() if other in parts)
    assert sorted(name for names in parts.values() for name in names) == sorted(f"d{n}" for n in range(1000))
    for part, share in shares.items():
        assert abs(len(parts[part]) - 1000 * share) < 4 * np.sqrt(1000 * share * (1 - share)) and in_order(parts[part])
    assert ends({"b": 0.5, "a": 0.5}) == ends({"a": 0.5, "b": 0.5}) == (("a", 0.5), ("b", 1.0))


def test_a_split_by_text_keeps_equal_texts_together(tmp_path: Path, make_stage: Any) -> None:
    raw = {"raw": corpus(tmp_path / "in", 350)}
    texts = {}
    for part in "ab":
        made, _ = make_stage(Split.model_validate({"input": "raw", "parts": {"a": 0.5, "b": 0.5}, "part": part, "by": "text"}), raw, part)
        texts[part] = {document.text for document in made.documents()}
    assert texts["a"] and texts["b"] and not texts["a"] & texts["b"]


def test_a_filter_keeps_by_columns_meta_and_the_scores_of_cleaning(tmp_path: Path, make_stage: Any) -> None:
    cleaned, _ = make_stage(
        Clean.model_validate({"input": "raw", "steps": [{"type": "length", "min_words": 1}]}), {"raw": corpus(tmp_path / "in")}, "clean"
    )
    keep = 'source == "books" and meta.year >= 50 and score.length.min_words > 5'
    made, facts = make_stage(Filter.model_validate({"input": "clean", "keep": keep}), {"clean": cleaned}, "kept")
    wanted = [f"d{n}" for n in range(50, 200) if SOURCES[n % 10] == "books" and n % 4 and 3 + n % 7 > 5]
    assert ids(made) == wanted
    rows = {row["id"]: row for row in read_ledger(made.path).to_pylist()}
    assert rows["d1"]["reason"] == "condition" and rows["d1"]["witness"] == "source='books', meta.year=1, score.length.min_words=4"
    assert rows["d4"]["reason"] == "condition_unknown" and facts.counts["dropped/condition_unknown"] > 0  # d4 has no year
    assert rows["d8"]["reason"] == "condition"  # from the web: false whatever the year


@pytest.mark.parametrize(
    ("keep", "said"),
    [
        ("score.length.min_word > 1", r"no column 'score\.length\.min_word' \(did you mean 'length\.min_words'"),
        ("source > 1", "can't be computed"),
        ("meta.nothing > 1", r"none of 200 documents \(for 200 of them a value is missing\)"),
        ("length(text) < 1", "true for none of 200"),
    ],
)
def test_a_filter_that_can_not_work_says_why(tmp_path: Path, make_stage: Any, keep: str, said: str) -> None:
    length = Clean.model_validate({"input": "raw", "steps": ["length"]})
    cleaned, _ = make_stage(length, {"raw": corpus(tmp_path / "in")}, "clean")
    with pytest.raises(DataError, match=said):
        make_stage(Filter.model_validate({"input": "clean", "keep": keep}), {"clean": cleaned}, "kept")


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("{type: sample, input: raw}", "some.n: set either n or fraction"),
        ("{type: sample, input: raw, n: 3, fraction: 0.5}", "some.n: set either n or fraction"),
        ("{type: split, input: raw, parts: {a: 0.5, b: 0.4}, part: a}", "the shares add up to 0.9, not to 1"),
        ("{type: split, input: raw, parts: {train: 0.5, test: 0.5}, part: tset}", "there is no part 'tset' (did you mean 'test'?)"),
        ("{type: filter, input: raw, keep: 'sorce == 3'}", "there is no column 'sorce' at column 1 (did you mean 'source'?)"),
    ],
)
def test_mistakes_are_found_before_any_work(stage: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        loads(f"format: 1\nstages:\n  raw: {{type: load, source: python_docs}}\n  some: {stage}\n")
