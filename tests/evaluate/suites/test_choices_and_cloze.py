"""Multiple choice and cloze against plain computations; examples before items; bad rows by name."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ropewalk.core.errors import DataError
from ropewalk.evaluate.scores import SuiteResult
from ropewalk.evaluate.scoring import Subject
from ropewalk.evaluate.suites.cloze import Cloze
from ropewalk.evaluate.suites.multiple_choice import MultipleChoice
from ropewalk.evaluate.suites.suite import Suite

ROWS: list[dict[str, Any]] = [
    {"query": "the quick", "choices": ["brown fox", "lazy", " zebra"], "gold": 0},
    {"query": "document 3 says", "choices": ["the", "é é"], "gold": "B"},
]
LONG = {"query": "a " * 200, "choices": ["x", "y"], "gold": "1"}


def ask(suite: Suite, subject: Subject) -> SuiteResult:
    return suite.run(subject, lambda ref: None, lambda done: None)


def numbers(result: SuiteResult, name: str) -> np.ndarray:
    return next(measure.numerators for measure in result.measures if measure.name == name)


def nats(subject: Subject, context: str, text: str) -> float:
    before, whole = subject.vocabulary.encode([context, context + text])
    ids = torch.from_numpy(np.concatenate([[subject.vocabulary.bos_id], whole]))[None]
    with torch.no_grad():
        logits = subject.module.logits(subject.module(ids[:, :-1]))[0]
    return -F.cross_entropy(logits, ids[0, 1:], reduction="none")[len(before) :].sum().item()


def test_the_four_normalisations_equal_a_plain_computation(subject: Subject) -> None:
    suite = MultipleChoice(rows=ROWS, normalisations=["raw", "per_character", "per_byte", "unconditional"], nothing="the")
    result = ask(suite, subject)
    for item, row in enumerate(ROWS):
        texts = [" " + choice.strip() for choice in row["choices"]]
        sums = np.array([nats(subject, row["query"], text) for text in texts])
        bare = np.array([nats(subject, "the", text) for text in texts])
        assert np.allclose(result.details[item]["nats"], sums, atol=1e-4)
        scores = {
            "accuracy": sums,
            "accuracy_per_character": sums / [len(text) - 1 for text in texts],
            "accuracy_per_byte": sums / [len(text.encode()) - 1 for text in texts],
            "accuracy_unconditional": sums - bare,
        }
        gold = (0, 1)[item]
        assert {name: numbers(result, name)[item] for name in scores} == {name: float(one.argmax() == gold) for name, one in scores.items()}
        odds = np.exp(sums) / np.exp(sums).sum()
        assert numbers(result, "brier")[item] == pytest.approx(((odds - np.eye(len(odds))[gold]) ** 2).sum(), rel=1e-4)
    assert [measure.name for measure in result.measures] == list(suite.metric_names())
    bins = result.facts["calibration"]["bins"]
    assert sum(row["texts"] for row in bins) == 2 and 0 <= result.facts["calibration"]["error"] <= 1


def test_contexts_that_differ_are_compared_by_what_follows(subject: Subject) -> None:
    rows = [{"options": ["the quick brown", "lazy dogs"], "rest": "jumps over", "gold": 1}]
    result = ask(MultipleChoice(rows=rows, contexts="options", query="{rest}"), subject)
    expected = [nats(subject, context, " jumps over") for context in rows[0]["options"]]
    assert np.allclose(result.details[0]["nats"], expected, atol=1e-4)


@pytest.mark.parametrize("suite", [MultipleChoice(rows=[*ROWS, LONG]), Cloze(rows=[{"context": "a " * 200, "continuation": "b"}] * 2)])
def test_items_longer_than_the_context_are_cropped_or_left_out_and_counted(suite: Suite, subject: Subject) -> None:
    cropped = ask(suite, subject)
    kept = 3 if suite.tag == "multiple_choice" else 2
    assert len(cropped.items) == kept and cropped.counts["truncated"] == (1 if kept == 3 else 2) and cropped.counts["left_out"] == 0
    strict = suite.model_copy(update={"too_long": "leave_out"})
    if kept == 3:
        result = ask(strict, subject)
        assert len(result.items) == 2 and result.counts == {"truncated": 0, "left_out": 1, "failed": 0}
    else:
        with pytest.raises(DataError, match="every item is longer than the model's context of 64"):
            ask(strict, subject)


def test_cloze_is_right_when_each_token_is_the_likeliest(subject: Subject) -> None:
    ids = [subject.vocabulary.bos_id, *subject.vocabulary.encode(["the quick"])[0]]
    with torch.no_grad():
        best = int(subject.module.logits(subject.module(torch.tensor([ids])))[0, -1].argmax())
    text = subject.vocabulary.decode([best])
    rows = [{"context": "the quick", "continuation": "brown fox"}]
    result = ask(Cloze(rows=rows), subject)
    assert numbers(result, "nats_per_item")[0] == pytest.approx(-nats(subject, "the quick", " brown fox"), rel=1e-4)
    assert numbers(result, "accuracy")[0] == float(text == " brown fox")


def test_examples_are_none_of_the_items_and_fixed_by_the_seed(subject: Subject, tmp_path: Path) -> None:
    rows = [{"query": f"document {number} says", "choices": ["the", "quick"], "gold": number % 2} for number in range(12)]
    suite = MultipleChoice(rows=rows, limit=4, shots=3)
    chosen = [row.columns["query"] for row in suite.examples()]
    assert len(set(chosen)) == 3 and not set(chosen) & {row["query"] for row in rows[:4]}
    assert chosen == [row.columns["query"] for row in MultipleChoice(rows=rows, limit=4, shots=3).examples()]
    assert chosen != [row.columns["query"] for row in MultipleChoice(rows=rows, limit=4, shots=3, shots_seed=1).examples()]
    (tmp_path / "pool.jsonl").write_text("\n".join(json.dumps(row) for row in rows[:5]))
    apart = MultipleChoice(rows=rows, limit=4, shots=1, shots_path=tmp_path / "pool.jsonl")
    assert [row.columns["query"] for row in apart.examples()] == ["document 4 says"]
    head = "document 4 says the\n\n"  # gold 0
    one = ask(apart.model_copy(update={"limit": 1}), subject)
    drawn = apart.model_copy(update={"limit": 1}).examples()[0]
    head = f"{drawn.columns['query']} {drawn.columns['choices'][drawn.columns['gold']]}\n\n"
    assert np.allclose(one.details[0]["nats"], [nats(subject, head + "document 0 says", text) for text in (" the", " quick")], atol=1e-4)
    (problem,) = MultipleChoice(rows=rows, shots=3).problems({})
    assert "3 examples are wanted, and 0 rows are left" in problem[1] and "set a limit" in problem[1]


def test_rows_of_one_document_are_one_cluster_and_items_are_named_by_what_they_say(subject: Subject) -> None:
    rows = [{**ROWS[0], "passage": "p1"}, {**ROWS[1], "passage": "p1"}]
    result = ask(MultipleChoice(rows=rows, document="passage"), subject)
    assert len(set(result.items)) == 2 and set(result.clusters) == {"passage p1"}
    other = ask(MultipleChoice(rows=[ROWS[0], {**ROWS[1], "query": "document 4 says"}]), subject)
    assert ask(MultipleChoice(rows=ROWS), subject).items[0] == other.items[0] and other.items[1] not in result.items


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"query": "x", "choices": ["a", "b"]}, "there is no column 'gold'"),
        ({"query": "x", "choices": ["a", "b"], "gold": 2}, "gold 2 is none of 2 choices"),
        ({"query": "x", "choices": ["a", "b"], "gold": "C"}, "gold 'C' is none of 2 choices"),
        ({"query": "x", "choices": ["a", "b"], "gold": -1}, "gold -1 is none of 2 choices"),
        ({"query": "x", "choices": ["a", "b"], "gold": True}, "gold is True, needs a number from 0 or a letter"),
        ({"query": "x", "choices": ["a"], "gold": 0}, "1 choices, needs two at least"),
        ({"query": "x", "choices": "ab", "gold": 0}, "choices needs a list of texts"),
        ({"query": "x ", "choices": ["", "a"], "gold": 1}, "adds no token"),
        ({"query": None, "choices": ["a", "b"], "gold": 1}, "query is NoneType, needs a text"),
    ],
)
def test_a_bad_row_is_named_before_any_work(row: dict[str, Any], said: str, subject: Subject, tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text(json.dumps(ROWS[0]) + "\n\n" + json.dumps(row))
    suite = MultipleChoice(path=tmp_path / "q.jsonl")
    ((field, message),) = suite.problems({})
    assert field == "path" and said in message and "q.jsonl:3" in message
    with pytest.raises(DataError, match=r"q\.jsonl:3"):
        ask(suite, subject)


def test_files_plain_and_packed_and_what_is_wrong_with_them(tmp_path: Path) -> None:
    good = "\n".join(json.dumps(row) for row in ROWS) + "\n\n"
    (tmp_path / "q.jsonl").write_text(good)
    with gzip.open(tmp_path / "q.jsonl.gz", "wt") as file:
        file.write(good)
    plain, packed = MultipleChoice(path=tmp_path / "q.jsonl"), MultipleChoice(path=tmp_path / "q.jsonl.gz", limit=1)
    assert len(plain.items()) == 2 and len(packed.items()) == 1 and plain.fingerprint() != packed.fingerprint()
    with pytest.raises(DataError, match="no such file"):
        MultipleChoice(path=tmp_path / "none.jsonl").fingerprint()
    for text, said in ((good + "{", "q.jsonl:4: not a row of JSON"), ("[1]", "not an object")):
        (tmp_path / "q.jsonl").write_text(text)
        with pytest.raises(DataError, match=said):
            plain.items()
    (tmp_path / "q.jsonl.gz").write_bytes((tmp_path / "q.jsonl.gz").read_bytes()[:-9])
    with pytest.raises(DataError, match=r"q.jsonl.gz:\d"):
        packed.items()
    assert MultipleChoice().problems({}) == [("rows", "multiple_choice: no rows to ask: give path or rows")]
    assert Cloze(rows=[{"context": "x", "continuation": " "}]).problems({})[0][1].startswith("rows 1: the continuation is empty")
