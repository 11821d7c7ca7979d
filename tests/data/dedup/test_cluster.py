"""Deduplication keeps exactly one of each cluster, and nothing goes without a witness that is similar enough."""

from __future__ import annotations

import gzip
import itertools
import json
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dedup_reference as reference
from ropewalk.data.dedup import cluster
from ropewalk.data.dedup.cluster import Decisions, Part, decide
from ropewalk.data.dedup.deduplicate import deduplicate
from ropewalk.data.dedup.near import Near
from ropewalk.data.dedup.shingles import TextSets
from ropewalk.data.dedup.sketch import Sketched, SketchFiles, sketch

WORDS = st.sampled_from(["a", "b", "c", "d", "A", "é", "...", "", "b  c", "\n"])
TEXTS = st.lists(st.lists(WORDS, max_size=7).map(" ".join), max_size=14)
Keep = Literal["first", "longest", "best_score"]
KEEPS: tuple[Keep, ...] = ("first", "longest", "best_score")


@settings(max_examples=200)
@given(
    texts=TEXTS,
    given=st.integers(0, 6),
    unit=st.sampled_from(["word", "character"]),
    ngram=st.integers(1, 3),
    threshold=st.sampled_from([0.2, 0.5, 0.75, 1.0]),
    keep=st.sampled_from(KEEPS),
    exact=st.booleans(),
    near=st.booleans(),
    verify=st.booleans(),
)
def test_invariants_of_any_corpus(
    texts: list[str],
    given: int,
    unit: Literal["word", "character"],
    ngram: int,
    threshold: float,
    keep: Keep,
    exact: bool,
    near: bool,
    verify: bool,
) -> None:
    score = "quality" if keep == "best_score" else None
    rules = Near(threshold=threshold, unit=unit, ngram=ngram, values=16, keep=keep, score=score, verify=verify) if near else None
    given = min(given, len(texts))
    scores = [float(len(text) % 3) for text in texts]
    found = deduplicate(texts[given:], exact=exact, near=rules, against=texts[:given], scores=scores[given:])
    kept, folded = found.kept, [reference.folded(text) for text in texts]
    sets = [reference.shingles(text, ngram, unit) for text in texts]
    assert found.given == given and kept[:given].all(), "what is compared with is not touched"
    assert kept[found.keeper].all(), "a witness stays, so each cluster keeps exactly one"
    assert (found.component[found.keeper] == found.component).all(), "a cluster is part of a component"
    for gone in np.flatnonzero(~kept):
        witness = found.keeper[gone]
        assert found.exact[gone] == (exact and folded[gone] == folded[witness])
        similar = reference.jaccard_of(sets[gone], sets[witness])
        assert found.jaccard[gone] == np.float32(1.0 if found.exact[gone] else similar)
        assert found.exact[gone] or (near and (not verify or similar >= threshold))
        if witness < given:
            continue
        copied = given + folded[given:].index(folded[gone]) if exact else gone  # a later copy goes the way of the first
        if keep == "first":
            assert witness < gone
        elif keep == "longest" and not found.exact[gone]:
            assert len(texts[witness].encode()) >= len(texts[copied].encode())
        elif keep == "best_score":
            assert scores[witness] >= scores[gone]
    assert not found.exact[kept].any() and (found.jaccard[kept] == 1.0).all()
    for one, other in itertools.combinations(np.flatnonzero(kept), 2):
        if other < given:
            continue
        assert not (exact and folded[one] == folded[other]), "no two equal texts stay"
        assert not (near and reference.jaccard_of(sets[one], sets[other]) == 1.0), "equal sets have equal signatures"
    again = deduplicate(
        [text for text, stays in zip(texts, kept, strict=True) if stays],
        exact=exact,
        near=rules,
        scores=[value for value, stays in zip(scores, kept, strict=True) if stays],
    )
    assert given or again.kept.all(), "what stays would all stay again"


@pytest.mark.parametrize("verify", [True, False])
def test_short_and_empty_documents_stay_once(verify: bool) -> None:
    """Case O13."""
    found = deduplicate(["cat", "dog", "cat", "", "a b c d"], near=Near(ngram=5, verify=verify))
    assert found.kept.tolist() == [True, True, False, True, True] and found.keeper[2] == 0
    again = deduplicate(["", "  ", "...", "!!!", "\n", "..."], near=Near(verify=verify))
    assert again.keeper.tolist() == [0, 0, 2, 3, 0, 2], "texts without words are copies or nothing"
    alone = deduplicate(["", "", "..."], exact=False, near=Near(verify=verify))
    assert alone.kept.all(), "without `exact` they are not compared at all"
    near = deduplicate(["cat", "Cat!", "cat cat", "a b c d", "a b c d e"], near=Near(ngram=5, verify=verify))
    assert near.keeper.tolist() == [0, 0, 2, 3, 4], "a short text equals one of the same words only"


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("exact", [True, False])
def test_one_of_three_identical_documents_stays(verify: bool, exact: bool) -> None:
    """Case O14."""
    same, *others = (f"document {name} has words of its own that {name} alone would say" for name in ("one", "two", "three"))
    found = deduplicate([others[0], same, same, others[1], same], exact=exact, near=Near(verify=verify))
    assert found.keeper.tolist() == [0, 1, 1, 3, 1] and int(found.kept.sum()) == 3
    assert found.exact[[2, 4]].all() == exact


def obvious(count: int = 10, size: int = 100, edited: int = 3) -> list[str]:
    """Pairs of sets of words that differ in `edited` of them."""
    draw = np.random.default_rng(16)
    texts = []
    for _ in range(count):
        words = [f"w{number:x}" for number in draw.integers(0, 1 << 60, size + edited)]
        texts += [" ".join(draw.permutation(words[:size])), " ".join(draw.permutation(words[edited:]))]
    return texts


def test_defaults_find_obvious_duplicates_and_no_others() -> None:
    """Case O16: Jaccard 97/103 at threshold 0.9."""
    found = deduplicate(obvious(), near=Near(threshold=0.9, ngram=1))
    assert found.keeper.tolist() == [pair - pair % 2 for pair in range(20)]
    np.testing.assert_allclose(found.jaccard[1::2], 97 / 103, rtol=1e-6)


def test_a_threshold_that_is_met_exactly_counts() -> None:
    texts = ["a b c d e", "a b c d"]  # J = 0.8 of single words
    assert deduplicate(texts, near=Near(threshold=0.8, ngram=1)).keeper.tolist() == [0, 0]
    assert deduplicate(texts, near=Near(threshold=0.81, ngram=1)).kept.all()


def edits(places: list[int], size: int = 60) -> str:
    words = [f"word{place}" for place in range(size)]
    return " ".join("other" + word if place in places else word for place, word in enumerate(words))


def test_a_chain_of_edits_does_not_swallow_what_has_little_in_common() -> None:
    chain = [edits(list(range(step * 6))) for step in range(6)]
    found = deduplicate(chain, near=Near(threshold=0.75, ngram=1))
    assert found.keeper.tolist() == [0, 0, 2, 2, 4, 4] and found.component.tolist() == [0] * 6
    assert deduplicate(chain, near=Near(threshold=0.75, ngram=1, bands=16, rows=8, verify=False)).keeper.tolist() == [0] * 6


@pytest.mark.parametrize(("counts", "witness"), [((9, 7), 1), ((7, 9), 0), ((8, 8), 0)])
def test_the_most_similar_of_several_kept_documents_is_the_witness_of_equals_the_first(counts: tuple[int, int], witness: int) -> None:
    one, other = (edits(list(range(start, start + count))) for start, count in zip((0, 20), counts, strict=True))
    assert reference.jaccard(one, other, 1) < 0.6
    found = deduplicate([one, other, edits([])], near=Near(threshold=0.6, ngram=1, bands=128, rows=1))
    assert found.keeper.tolist() == [0, 1, witness]
    assert found.jaccard[2] == np.float32(reference.jaccard((one, other)[witness], edits([]), 1))


def test_the_longest_stays_when_asked_for_and_copies_follow_it() -> None:
    short, copy, long = edits([1]), edits([1]).upper(), edits([]) + " and more words here"
    first = deduplicate([short, copy, long], near=Near(threshold=0.7, ngram=1))
    assert first.keeper.tolist() == [0, 0, 0] and first.exact.tolist() == [False, True, False]
    longest = deduplicate([short, copy, long], near=Near(threshold=0.7, ngram=1, keep="longest"))
    assert longest.keeper.tolist() == [2, 2, 2] and not longest.exact.any()
    assert longest.jaccard[0] == longest.jaccard[1] == np.float32(reference.jaccard(short, long, 1))


def planted() -> list[str]:
    draw = np.random.default_rng(3)
    texts = []
    for _ in range(120):
        words = [f"w{number}" for number in draw.integers(0, 4000, 200)]
        texts.append(" ".join(words))
        for share in draw.choice([0.0, 0.01, 0.03, 0.1, 0.4], draw.integers(0, 4)):
            texts.append(" ".join(f"x{draw.integers(1 << 40)}" if draw.random() < share else word for word in words))
    return [texts[place] for place in draw.permutation(len(texts))]


def test_no_pair_above_the_threshold_stays_and_all_that_goes_is_above_it() -> None:
    texts = planted()
    sets = [reference.shingles(text) for text in texts]
    found = deduplicate(texts, near=Near())
    true = [
        (one, other)
        for one, other in itertools.combinations(range(len(texts)), 2)
        if len(sets[one] & sets[other]) >= 0.8 * len(sets[one] | sets[other])
    ]
    assert len(true) > 60
    assert not [pair for pair in true if found.kept[list(pair)].all()]
    assert {int(gone) for gone in np.flatnonzero(~found.kept)} <= {document for pair in true for document in pair}


def same(one: Decisions, other: Decisions) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("keeper", "component", "exact", "jaccard"))


def test_later_documents_do_not_change_what_becomes_of_earlier_ones() -> None:
    """So a corpus that grows needs no second look at what it has, and chunks of a column don't matter."""
    texts = planted()
    whole, half = deduplicate(texts, near=Near()), deduplicate(texts[:150], near=Near())
    assert same(half, Decisions(whole.keeper[:150], half.component, whole.exact[:150], whole.jaccard[:150]))
    assert (whole.component[:150] <= half.component).all(), "components may grow together, never apart"
    chunks = pa.chunked_array([pa.array(texts[start : start + 37], pa.large_string()) for start in range(0, len(texts), 37)])
    assert same(deduplicate(chunks, near=Near()), whole)


@settings(max_examples=40)
@given(
    texts=TEXTS.filter(bool),
    cuts=st.lists(st.integers(0, 14), max_size=3),
    keep=st.sampled_from(["first", "longest"]),
    verify=st.booleans(),
    disk=st.booleans(),
)
def test_what_stays_does_not_depend_on_the_parts(
    texts: list[str],
    cuts: list[int],
    keep: Literal["first", "longest"],
    verify: bool,
    disk: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    near = Near(threshold=0.5, ngram=2, values=16, keep=keep, verify=verify)
    folder = tmp_path_factory.mktemp("parts") if disk else None
    parts = []
    for start, end in itertools.pairwise(sorted({0, len(texts), *(cut for cut in cuts if cut < len(texts))})):
        column = pa.array(texts[start:end], pa.large_string())
        found: Sketched = sketch(column, near)
        if folder:
            sketch(column, near).save(folder, str(start))
            found = SketchFiles(folder, str(start), end - start)
        parts.append(Part(found, TextSets(partial(pa.chunked_array, [column]), near)))
    cut = decide(parts, near, exact=True, folder=folder)
    assert same(cut, deduplicate(texts, near=near)) and cut.crowded == 0


def test_documents_with_too_many_candidates_are_compared_with_some_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [edits([place, place + 1], 40).replace("other", f"page{place}") for place in range(0, 40, 2)]
    rules = Near(threshold=0.95, ngram=1, bands=128, rows=1)  # every pair is a candidate
    free = deduplicate(pages, near=rules)
    assert free.kept.all() and free.crowded == 0
    monkeypatch.setattr(cluster, "MOST_COMPARED", 5)
    crowded = deduplicate([*pages, pages[3] + " more"], near=rules)
    assert crowded.crowded == 21 - 6, "the first six meet five others at most"
    assert crowded.keeper[20] == 3, "the rarest bands come first, so the one that shares them is met"


def test_nothing_in_nothing_out() -> None:
    assert deduplicate([], near=Near()).kept.tolist() == []


def test_real_near_duplicates_are_found_at_several_thresholds(data_dir: Path) -> None:
    """Copyright files of Debian packages: every pair's similarity is known, by Unicode words and Unicode lower case."""
    folder = data_dir / "neardup" / "debian_copyright"
    rows, truth = (
        [json.loads(line) for line in gzip.decompress((folder / name).read_bytes()).decode().split("\n") if line]
        for name in ("docs.jsonl.gz", "pairs_ge_0.4.jsonl.gz")
    )
    place = {row["id"]: number for number, row in enumerate(rows)}
    for threshold in (0.5, 0.7, 0.8, 0.9):
        found = deduplicate([row["text"] for row in rows], near=Near(threshold=threshold))
        pairs = [(place[pair["a"]], place[pair["b"]]) for pair in truth if pair["jaccard_w5"] >= threshold]
        gone = {int(document) for document in np.flatnonzero(~found.kept)}
        assert len(pairs) > 100
        assert sum(one in gone or other in gone for one, other in pairs) >= 0.98 * len(pairs)
        assert len(gone & {document for pair in pairs for document in pair}) >= 0.98 * len(gone)
