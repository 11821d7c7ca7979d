"""The linear classifier: features as said, the solver and the measures as scikit-learn has them, the same bytes whatever the order."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from ropewalk.core.errors import DataError
from ropewalk.core.reference import Ref
from ropewalk.data.classify.classifier import SPEC, WEIGHTS, Classifier, Linear, Scale
from ropewalk.data.classify.disguise import disguised
from ropewalk.data.classify.examples import by_value, gather
from ropewalk.data.classify.features import Features, Reader
from ropewalk.data.classify.opened import linear
from ropewalk.data.classify.solver import Table, fit
from ropewalk.data.classify.training import Plan, Trainer, calibrate
from ropewalk.data.corpus import from_documents
from ropewalk.data.records import Document

GOOD = ["the rope is long", "hemp rope is strong", "a strong long line", "the line holds well", "well made hemp", "the the the rope"]
BAD = ["mud and dirt", "the dirt is foul", "foul mud again", "dirt dirt mud", "a foul foul smell", "mud is foul"]
SMALL = Features(bits=10)


def column(*texts: str) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(texts, pa.large_string())])


def rows_of(features: Features, *texts: str) -> list[dict[int, int]]:
    entries, found = Reader(features).table(list(Reader(features).vectors(column(*texts), 0))), []
    for first, end in zip(entries.offsets[:-1], entries.offsets[1:], strict=True):
        found.append({int(entry) >> 8: int(entry) & 255 for entry in entries.packed[first:end]})
    return found


@pytest.mark.parametrize(
    "features", [Features(words=1, characters=(0, 0)), Features(words=2, characters=(0, 0)), Features(words=3, characters=(0, 0))]
)
def test_word_ngrams_are_counted_as_scikit_learn_counts_them(features: Features) -> None:
    counted = CountVectorizer(ngram_range=(1, features.words), token_pattern=r"\S+").fit_transform(GOOD + BAD)
    for row, expected in zip(rows_of(features, *GOOD, *BAD), counted.toarray(), strict=True):
        assert sorted(row.values()) == sorted(expected[expected > 0].tolist())


def test_character_ngrams_are_counted_as_scikit_learn_counts_them() -> None:
    counted = CountVectorizer(analyzer="char_wb", ngram_range=(3, 5)).fit_transform(["rope hemp rope line", "lines and ropes"])
    for row, expected in zip(rows_of(Features(words=0, bits=24), "rope hemp rope line", "lines and ropes"), counted.toarray(), strict=True):
        assert sorted(row.values()) == sorted(expected[expected > 0].tolist())


def test_equal_ngrams_share_a_bucket_and_counts_end_at_255() -> None:
    first, second = rows_of(SMALL, "rope hemp", "Rope, hemp!")
    assert set(first) < set(second)
    assert max(rows_of(SMALL, "rope " * 400)[0].values()) == 255
    assert rows_of(SMALL, "", " ") == [{}, {}]


def dense(table: Table, size: int) -> np.ndarray:
    matrix = np.zeros((len(table.offsets) - 1, size))
    for row, (first, end) in enumerate(zip(table.offsets[:-1], table.offsets[1:], strict=True)):
        for entry in table.packed[first:end].tolist():
            matrix[row, entry >> 8] = table.damped[entry & 255] * table.scale[row]
    return matrix


@pytest.mark.parametrize("penalty", [0.1, 2.0])
def test_the_solver_finds_what_scikit_learn_finds(penalty: float) -> None:
    reader = Reader(Features(words=1, characters=(0, 0), bits=8))
    table = reader.table(list(reader.vectors(column(*GOOD, *BAD), 0)))
    labels, importance = np.array([1.0] * 6 + [-1.0] * 6), np.array([1.0] * 6 + [0.5] * 6)
    found = fit(table, np.arange(12), labels, importance, 256, penalty, tolerance=1e-9)
    matrix = dense(table, 256)
    np.testing.assert_allclose((matrix**2).sum(axis=1), 1.0)
    oracle = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=1000).fit(matrix, labels, sample_weight=importance)
    np.testing.assert_allclose(found.weights[:-1], oracle.coef_[0], atol=1e-5)
    assert found.weights[-1] == pytest.approx(oracle.intercept_[0], abs=1e-5) and found.gradient <= 1e-9
    np.testing.assert_allclose(table.scores(found.weights, np.arange(12)), matrix @ found.weights[:-1] + found.weights[-1])


def documents(*order: int) -> list[Document]:
    whole = [Document(str(place), text, source="s") for place, text in enumerate(GOOD + BAD + GOOD[:2])]
    return [whole[place] for place in order]


def trained(order: list[int], pieces: int = 1, disguise: float = 0.5) -> Linear:
    tables = [from_documents(documents(*part)) for part in np.array_split(order, pieces)]
    parts = [(table, np.array([text in GOOD for text in table["text"].to_pylist()])) for table in tables]
    trainer = Trainer(Plan(SMALL, 0, 0.5, True, 2, disguise, 0.0, None), gather(parts, 100))
    scores = trainer.out_of_fold(lambda number: None)
    return trainer.finished(calibrate(scores[: len(trainer.examples)], trainer.examples.positive))[0]


def test_weights_are_the_same_bytes_for_any_order_and_number_of_pieces(tmp_path: Path) -> None:
    for name, made in {"a": trained(list(range(14))), "b": trained(list(range(14))[::-1], pieces=3)}.items():
        made.save(tmp_path / name)
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in (SPEC, WEIGHTS))


def test_a_classifier_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = trained(list(range(14)))
    made.save(tmp_path)
    ref: Ref[Classifier] = Ref(f"path:{tmp_path}", (Classifier,))
    texts = column("a strong rope", "foul mud", "", "…")
    found, again = made.judge(texts, 0), linear(ref).judge(texts, 0)
    assert found.tolist() == again.tolist() and found[0] > 0.5 > found[1] and found[2] == made.prior
    assert linear(ref) is linear(ref)
    trained(list(range(14)), disguise=0.0).save(tmp_path)
    assert linear(ref).judge(texts, 0).tolist() != again.tolist()  # the folder has changed


@pytest.mark.parametrize("damage", ["spec", "weights", "bits", "missing"])
def test_a_damaged_classifier_is_named(tmp_path: Path, damage: str) -> None:
    trained(list(range(12))).save(tmp_path)
    spec = json.loads((tmp_path / SPEC).read_text())
    if damage == "spec":
        (tmp_path / SPEC).write_text("{")
    elif damage == "bits":
        spec["features"]["bits"] = 11
        (tmp_path / SPEC).write_text(json.dumps(spec))
    elif damage == "weights":
        (tmp_path / WEIGHTS).write_bytes(b"\0" * 20)
    else:
        (tmp_path / WEIGHTS).unlink()
    with pytest.raises(DataError, match=str(tmp_path)):
        linear(Ref(f"path:{tmp_path}", (Classifier,)))


def test_of_each_kind_the_lowest_hashes_are_taken_whatever_comes_first() -> None:
    tables = [from_documents([Document(str(n), f"text {n}")]) for n in range(20)]
    parts = [(table, np.array([place % 2 == 0])) for place, table in enumerate(tables)]
    first, second = gather(parts, 3), gather(parts[::-1], 3)
    assert first.texts.to_pylist() == second.texts.to_pylist() and first.positive.sum() == 3 and len(first) == 6
    assert np.all(np.diff(first.hashes) > 0)
    assert len(gather([], 3)) == 0


def test_equal_texts_are_in_one_fold() -> None:
    table = from_documents([Document(str(n), text) for n, text in enumerate(["A text", "a  TEXT", "other", "a text"])])
    examples = gather([(table, np.array([True, False, True, True]))], 10)
    folds = examples.folds(3)
    assert len({fold for fold, text in zip(folds, examples.texts.to_pylist(), strict=True) if text != "other"}) == 1


def test_labels_are_compared_as_text_and_missing_ones_named() -> None:
    meta = ['{"class": "1"}', '{"class": 1}', '{"class": true}', '{"class": 0}']
    assert list(by_value(meta, "abcd", "class", frozenset(["1", "true"]))) == [True, True, True, False]
    with pytest.raises(DataError, match="document b: its meta has no 'class'"):
        list(by_value(['{"class": 1}', "{}"], ["a", "b"], "class", frozenset(["1"])))


def test_calibration_finds_the_line_that_made_the_labels() -> None:
    draw = np.random.Generator(np.random.PCG64(1))
    scores = draw.normal(0, 2, 4000)
    positive = draw.random(4000) < Scale(1.5, -0.7).probabilities(scores)
    found = calibrate(scores, positive)
    oracle = LogisticRegression(C=1e9, tol=1e-9).fit(scores[:, None], positive)
    assert (found.slope, found.shift) == (pytest.approx(oracle.coef_[0][0], rel=0.01), pytest.approx(oracle.intercept_[0], abs=0.02))
    apart = calibrate(np.array([-1.0, -2.0, 1.0, 2.0]), np.array([False, False, True, True]))
    assert np.isfinite([apart.slope, apart.shift]).all() and apart.slope > 0
    assert np.isfinite(vars(calibrate(np.zeros(4), np.array([True, True, True, False])))["shift"])


def test_a_scale_is_finite_at_the_ends() -> None:
    assert Scale().probabilities(np.array([-1e4, 0.0, 1e4])).tolist() == [0.0, 0.5, 1.0]


def test_disguises_are_the_same_each_time_and_leave_names_alone() -> None:
    text = "some people write their words like that so nobody finds them @somebody " * 3
    first = disguised(text, "a")
    assert first == disguised(text, "a") != text and disguised(text, "b") != first
    assert first.count("@somebody") == 3 and disguised("", "a") == ""


@pytest.mark.parametrize("wrong", [{"characters": [5, 3]}, {"characters": [0, 3]}, {"words": 0, "characters": [0, 0]}, {"bits": 30}])
def test_features_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Features.model_validate(wrong)
