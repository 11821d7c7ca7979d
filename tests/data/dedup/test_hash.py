"""The hash has the bits that its description says, in the compiled kernel, in plain Python and in the committed file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dedup_reference as reference
from ropewalk.data.dedup.hash import Texts, Unit, exact_hashes, folded, lead_factor, mix_all, pieces, shingle_hashes
from ropewalk.data.dedup.signature import signatures

TEXTS = st.lists(st.text(st.sampled_from("aBé_0 .\n\t\u2003日"), max_size=40), min_size=1, max_size=5)


def column(texts: list[str]) -> Texts:
    return Texts.of(pa.array(texts, pa.large_string()))


def sets(texts: list[str], ngram: int) -> list[set[int]]:
    hashes, counts = shingle_hashes(column(texts), np.arange(len(texts)), ngram)
    ends = np.cumsum(counts)
    return [set(hashes[end - count : end].tolist()) for end, count in zip(ends, counts, strict=True)]


def test_a_thousand_committed_strings_have_their_committed_bits() -> None:
    rows = reference.read_vectors()
    texts = [row["text"] for row in rows]
    assert len(texts) == 1000
    exact = [f"{first:016x}{second:016x}" for first, second in exact_hashes(column(texts)).tolist()]
    assert exact == [row["exact"] for row in rows]
    assert [reference.digest(sorted(found), "Q") for found in sets(texts, 5)] == [row["shingles"] for row in rows]
    signed, counts = signatures(column(texts), 5, 128)
    assert [reference.digest(values, "I") for values in signed.tolist()] == [row["signature"] for row in rows]
    assert signed[: reference.IN_FULL].tolist() == [row["values"] for row in rows[: reference.IN_FULL]]
    assert [count == 0 for count in counts] == [not reference.words(text) for text in texts]


def test_the_committed_file_is_what_the_description_says() -> None:
    texts, rows = reference.strings(), reference.read_vectors()
    assert [row["text"] for row in rows] == texts
    assert [reference.row(texts[place], place) for place in range(0, 1000, 40)] == rows[::40]


@settings(max_examples=60)
@given(texts=TEXTS, ngram=st.integers(1, 6))
def test_any_text_has_the_reference_hashes(texts: list[str], ngram: int) -> None:
    assert sets(texts, ngram) == [reference.shingles(text, ngram, fold=False) for text in texts]
    assert [tuple(pair) for pair in exact_hashes(column(texts)).tolist()] == [reference.exact(text) for text in texts]


SIGNS = st.one_of(
    st.sampled_from("aB _.\n“”—É\u0130Ⱥßΐς日\u00a0\u0301٣😀\U0001d49c"), st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"])
)


@settings(max_examples=80)
@given(texts=st.lists(st.text(SIGNS, max_size=20), min_size=1, max_size=4), unit=st.sampled_from(["word", "character"]))
def test_folded_words_are_runs_of_word_characters_of_all_scripts(texts: list[str], unit: Unit) -> None:
    array = pa.array([*texts, None], pa.large_string())
    found = folded(array, unit)
    hashes, counts = shingle_hashes(found, np.arange(len(texts) + 1), 2, unit)
    ends = np.cumsum(counts)
    got = [set(hashes[end - count : end].tolist()) for end, count in zip(ends, counts, strict=True)]
    assert got == [*(reference.shingles(text, 2, unit) for text in texts), set()]
    assert Texts.of(array).data.tobytes() == folded(array, None).data.tobytes()


def test_bytes_that_are_no_utf8_are_folded_within_their_text() -> None:
    array = pa.array(["a\u00e9 b", "c"], pa.large_string())
    _, offsets, _ = array.buffers()
    for bad in (b"a\xe2 bc", b"\x80\xf5\xff\x80c", b"a b\xf0c"):
        broken = pa.LargeStringArray.from_buffers(2, pa.py_buffer(np.array([0, len(bad) - 1, len(bad)])), pa.py_buffer(bad))
        assert len(folded(broken, "word")) == 2
    assert offsets is not None


@settings(max_examples=60)
@given(texts=TEXTS)
def test_exact_hashes_are_equal_for_equal_folded_texts_only(texts: list[str]) -> None:
    hashes = [tuple(pair) for pair in exact_hashes(column(texts)).tolist()]
    folded = [reference.folded(text) for text in texts]
    assert all((hashes[i] == hashes[j]) == (folded[i] == folded[j]) for i in range(len(texts)) for j in range(i))


def test_case_and_white_space_are_folded_and_nothing_else() -> None:
    hashes = exact_hashes(column(["A  B\n", " a\tb", "ab", "a b.", "É", "é"])).tolist()
    assert hashes[0] == hashes[1]
    assert len({tuple(pair) for pair in hashes}) == 5


def test_a_text_of_fewer_words_than_the_ngram_is_one_shingle_and_one_without_words_none() -> None:
    short, other, shouted, none, empty, full = sets(["a b c d", "a b c", "A, b; C... d", "...", "", "a b c d e"], 5)
    assert len(short) == len(full) == 1 and not short & full and not short & other
    assert short == shouted and none == empty == set()


def test_slices_chunks_and_nulls_of_a_column_read_alike() -> None:
    texts = ["zero", "one two", "", "three"]
    array = pa.array([*texts, None, "four"], pa.large_string())
    found = [exact_hashes(piece) for piece in pieces(pa.chunked_array([array.slice(1, 2), array.slice(3)]), most=2)]
    np.testing.assert_array_equal(np.concatenate(found), exact_hashes(column([*texts[1:], "", "four"])))
    assert len(Texts.of(pa.array([], pa.large_string()))) == 0


def test_chosen_rows_only_are_read() -> None:
    texts = column(["a b", "c d", "e f g"])
    hashes, counts = shingle_hashes(texts, np.array([2, 0]), 2)
    assert counts.tolist() == [2, 1]
    assert set(hashes[:2].tolist()) == reference.shingles("e f g", 2) and set(hashes[2:].tolist()) == reference.shingles("a b", 2)


def test_mix_is_splitmix64() -> None:
    # The first output for seed 0 is in the generator's paper and in every implementation of it.
    with np.errstate(over="ignore"):
        assert mix_all(np.array([0], np.uint64))[0] == 0xE220A8397B1DCDAF
    assert lead_factor(2) == pow(reference.SHINGLE_FACTOR, 2, 1 << 64)


INTERPRETED = """
import json, sys
import pyarrow as pa
import numpy as np
from ropewalk.data.dedup.deduplicate import deduplicate
from ropewalk.data.dedup.hash import Texts, exact_hashes
from ropewalk.data.dedup.near import Near
from ropewalk.data.dedup.signature import signatures

given = json.load(sys.stdin)
texts = Texts.of(pa.array(given["texts"], pa.large_string()))
decided = [deduplicate(given["corpus"], near=Near(threshold=0.5, ngram=2, values=16, verify=verify)) for verify in (True, False)]
json.dump({
    "exact": exact_hashes(texts).tolist(),
    "signatures": signatures(texts, 5, 128)[0].tolist(),
    "keepers": [found.keeper.tolist() for found in decided],
    "scores": [found.jaccard.tolist() for found in decided],
}, sys.stdout)
"""


def test_without_the_compiler_the_bits_and_the_survivors_are_the_same() -> None:
    texts = [row["text"] for row in reference.read_vectors()[:24] if len(row["text"]) < 200]
    corpus = ["a b c d e f", "A b c d e f", "a b c d e g", "x y", "y z w", "X, y!", "...", "... ", "a b c q e f"]
    said = json.dumps({"texts": texts, "corpus": corpus})

    def run(**environment: str) -> dict[str, object]:
        source = str(Path(__file__).parents[3] / "src")
        paths = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH", "")]))
        everything = {**os.environ, "PYTHONPATH": paths, **environment}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", INTERPRETED], input=said, env=everything, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr[-3000:]
        found: dict[str, object] = json.loads(done.stdout)
        return found

    interpreted = run(NUMBA_DISABLE_JIT="1")
    assert interpreted == run()
    assert interpreted["keepers"][0] == [0, 0, 0, 3, 4, 3, 6, 6, 8]  # type: ignore[index]


@pytest.mark.parametrize("text", ["a" * 5001, "a " * 2500 + "a", " a" * 2500])
def test_the_longest_words_and_the_most_words_fit(text: str) -> None:
    assert sets([text, "b"], 5) == [reference.shingles(text), reference.shingles("b")]
