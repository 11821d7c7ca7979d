"""The step family: a filter of ten lines works, and rules say which documents they keep."""

from __future__ import annotations

import numpy as np
import pytest

from ropewalk.data.corpus import from_documents
from ropewalk.data.examples import Examples, first_examples
from ropewalk.data.records import Document
from ropewalk.data.steps import Batch, Change, Rule, Step, judge, rewrite


class Shouting(Step, type="shouting_in_test"):
    """Drops texts in capitals."""

    max_capitals: float = 0.3
    """Largest share of capital letters."""

    def apply(self, batch: Batch) -> Change:
        shares = [sum(map(str.isupper, text)) / max(len(text), 1) for text in batch.texts]
        return judge(Rule("max_capitals", shares, at_most=self.max_capitals))


class Silent(Step, type="silent_in_test"):
    """Without a verb."""


for tag in ("shouting_in_test", "silent_in_test"):  # known here only
    del Step.members[tag]


def batch(*texts: str) -> Batch:
    return Batch(from_documents([Document(f"d{number}", text) for number, text in enumerate(texts)]))


def test_a_filter_of_ones_own() -> None:
    change = Shouting().apply(batch("quiet", "LOUD", ""))
    assert change.rules[0].keeps.tolist() == [True, False, True] and change.texts is None
    with pytest.raises(TypeError, match="has no apply"):
        Silent().apply(batch("a"))


def test_a_batch_shows_columns_and_makes_new_ones() -> None:
    first = batch("a", "b", "c")
    second = first.replaced(["x", "y", "z"]).where(np.array([True, False, True]))
    assert (second.ids, second.texts, len(second)) == (["d0", "d2"], ["x", "z"], 2)
    assert (first.texts, first.table.schema) == (["a", "b", "c"], second.table.schema)
    assert first.where(np.ones(3, np.bool_)) is first


def test_new_texts_may_be_an_arrow_column_and_take_what_was_derived_with_them() -> None:
    import pyarrow as pa

    first = batch("a", "b", "c")
    first.derived["lengths"] = np.array([1, 1, 1])
    column = pa.chunked_array([["a"], ["x", "c"]], pa.large_string())
    assert first.differs(column).tolist() == first.differs(["a", "x", "c"]).tolist() == [False, True, False]
    assert first.replaced(column).texts == ["a", "x", "c"] and first.replaced(column).derived == {}
    assert first.where(np.array([True, False, True])).derived["lengths"].tolist() == [1, 1]


def test_a_rule_keeps_what_is_in_its_range() -> None:
    values = [0.0, 1.0, 2.0, float("nan")]
    assert Rule("r", values, at_least=1).keeps.tolist() == [False, True, True, False]
    assert Rule("r", values, at_most=1).keeps.tolist() == [True, True, False, False]
    assert Rule("r", values, at_least=1, at_most=1).keeps.tolist() == [False, True, False, False]
    assert Rule("r", values).keeps.all()


def test_rewrite_counts_what_changed() -> None:
    change = rewrite(["a"], email=[2])
    assert (change.texts, change.counts, change.rules) == (["a"], {"email": [2]}, ())


def test_five_examples_a_reason_in_shard_order() -> None:
    shards = [Examples(), Examples()]
    for number in range(14):
        shards[number // 7].add("b" if number % 2 else "a", f"d{number}", "x" * 300, 0.5)
    merged = first_examples(shard.shown for shard in shards)
    assert [row["id"] for row in merged["a"]] == ["d0", "d2", "d4", "d6", "d8"] and list(merged) == ["a", "b"]
    assert len(merged["b"][0]["text"]) == 200 and merged["b"][0]["score"] == 0.5
