"""Torch signs with the bits of the compiled kernel, and what stays is the same."""

from __future__ import annotations

import logging

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import dedup_reference as reference
from ropewalk.data.dedup import engine, signature_torch
from ropewalk.data.dedup.deduplicate import deduplicate
from ropewalk.data.dedup.engine import pick_engine
from ropewalk.data.dedup.hash import Texts, Unit
from ropewalk.data.dedup.near import Near
from ropewalk.data.dedup.signature import signatures
from ropewalk.data.dedup.signature_torch import torch_signatures

UNITS = st.sampled_from(["word", "character"])


def column(texts: list[str]) -> Texts:
    return Texts.of(pa.array(texts, pa.large_string()))


def equal(texts: Texts, ngram: int, values: int, unit: Unit) -> bool:
    found, counts = torch_signatures(texts, ngram, values, unit, "cpu")
    expected, number = signatures(texts, ngram, values, unit)
    return np.array_equal(found, expected) and np.array_equal(counts, number)


@settings(max_examples=60)
@given(
    texts=st.lists(st.text(st.sampled_from("aBé_0 .\n\t\u2003日"), max_size=40), min_size=1, max_size=5),
    ngram=st.integers(1, 6),
    values=st.sampled_from([8, 100]),
    unit=UNITS,
)
def test_any_text_has_the_compiled_bits(texts: list[str], ngram: int, values: int, unit: Unit) -> None:
    assert equal(column(texts), ngram, values, unit)


@pytest.mark.parametrize("unit", ["word", "character"])
def test_the_committed_strings_have_the_compiled_bits(unit: Unit) -> None:
    assert equal(column([row["text"] for row in reference.read_vectors()][::8]), 5, 128, unit)


def test_chunks_that_fit_the_memory_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = column([row["text"] for row in reference.read_vectors()][:60])
    monkeypatch.setattr(signature_torch, "_room", lambda device: 300)
    assert equal(texts, 5, 16, "word")


def test_what_stays_is_the_same_on_every_engine() -> None:
    texts = [row["text"] for row in reference.read_vectors()][:150]
    rules = Near(threshold=0.3, ngram=2, values=32)
    one, other = deduplicate(texts, near=rules), deduplicate(texts, near=rules, device="torch:cpu")
    assert np.array_equal(one.keeper, other.keeper) and np.array_equal(one.component, other.component)
    assert not one.kept.all()


def test_a_device_that_runs_out_of_memory_is_said_and_the_cpu_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*given: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(signature_torch, "_piece", full)
    monkeypatch.setattr(logging.getLogger("ropewalk"), "propagate", True)
    texts = column(["a b c d e f", "x y"])
    assert np.array_equal(torch_signatures(texts, 2, 16, "word", "cpu")[0], signatures(texts, 2, 16)[0])
    assert "ran out of memory, 2 texts are signed on the CPU" in caplog.text


def test_a_device_that_is_not_here_is_replaced_and_the_reason_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_engine("cpu") == ("cpu", "")
    assert pick_engine("cuda") == ("cpu", "device cuda: no CUDA device is here")

    def missing(wanted: str) -> str:
        raise ImportError("libcudart.so.13")

    monkeypatch.setattr(engine, "pick_device", missing)
    assert pick_engine("auto") == ("cpu", "torch can't be imported (libcudart.so.13)")
