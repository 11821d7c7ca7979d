"""Suites: numbers that no batch size or packing changes, against a plain computation; bad input by name."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ropewalk.core.errors import DataError
from ropewalk.data.tokens import Tokens
from ropewalk.evaluate import scoring
from ropewalk.evaluate.scores import SuiteResult
from ropewalk.evaluate.scoring import Subject, token_losses
from ropewalk.evaluate.suites.answer_loss import AnswerLoss
from ropewalk.evaluate.suites.perplexity import Perplexity

Make = Callable[..., Tokens]


def plain(subject: Subject, ids: np.ndarray) -> np.ndarray:
    """One sequence at once, nothing shared."""
    with torch.no_grad():
        logits = subject.module.logits(subject.module(torch.from_numpy(ids[None, :-1])))[0]
    return F.cross_entropy(logits, torch.from_numpy(ids[1:]), reduction="none").numpy()


def numbers(result: SuiteResult, name: str) -> np.ndarray:
    return next(measure.numerators for measure in result.measures if measure.name == name)


def run(suite: Perplexity | AnswerLoss, subject: Subject, store: Tokens) -> SuiteResult:
    return suite.run(subject, lambda ref: store, lambda done: None)


def test_losses_of_short_sequences_equal_a_plain_computation(subject: Subject, make_store: Make) -> None:
    documents = [document.tokens for document in make_store().read("train")]
    found = token_losses(subject, documents, 32)
    for ids, losses in zip(documents, found, strict=True):
        if len(ids) <= 33:
            assert np.allclose(losses, plain(subject, ids), atol=1e-5)
        else:
            assert np.allclose(losses[:32], plain(subject, ids[:33]), atol=1e-5)
            assert np.allclose(losses[32:48], plain(subject, ids[16:49])[16:], atol=1e-5)  # half a window of context
    assert sum(map(len, found)) == sum(len(ids) - 1 for ids in documents)
    assert token_losses(subject, [np.array([0])], 32)[0].size == 0


@pytest.mark.parametrize("at_once", [1, 100, 100_000])
def test_no_batch_size_or_packing_changes_bits_per_byte(
    at_once: int, subject: Subject, make_store: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = numbers(run(Perplexity(data="x"), subject, make_store("a")), "bits_per_byte")
    monkeypatch.setattr(scoring, "POSITIONS_AT_ONCE", at_once)
    for packing in ("concat", "pad"):
        again = numbers(run(Perplexity(data="x"), subject, make_store(packing, packing)), "bits_per_byte")
        assert np.abs(again / reference - 1).max() < 1e-5


def test_perplexity_by_hand_and_its_baselines(subject: Subject, make_store: Make) -> None:
    store = make_store()
    result = run(Perplexity(data="x"), subject, store)
    held = list(store.read("holdout"))
    assert list(result.items) == [document.id for document in held] and 5 < len(held) < 40
    short = next(i for i, document in enumerate(held) if len(document.tokens) <= 33)
    bits = plain(subject, held[short].tokens)[:-1].sum() / math.log(2)
    assert numbers(result, "bits_per_byte")[short] == pytest.approx(bits, rel=1e-5)
    measure = result.measures[0]
    assert measure.denominators[short] == held[short].text_bytes
    assert measure.baselines["byte_trigram"].sum() < measure.baselines["byte_unigram"].sum()
    assert len(run(Perplexity(data="x", max_documents=3, baselines=False), subject, store).items) == 3


def test_answer_loss_counts_trained_tokens_only(subject: Subject, make_store: Make) -> None:
    store = make_store(masked=True, length=200)
    result = run(AnswerLoss(data="x"), subject, store)
    document = next(store.read("holdout"))
    if len(document.tokens) <= 65:
        assert numbers(result, "nats_per_token")[0] == pytest.approx(plain(subject, document.tokens)[4:].sum(), rel=1e-5)
    assert result.measures[0].denominators[0] == len(document.tokens) - 5


def test_another_tokenizer_or_an_empty_part_is_a_data_error(subject: Subject, make_store: Make, tmp_path: Path) -> None:
    store = make_store()
    facts = json.loads((store.path / "tokens.json").read_text())
    (store.path / "tokens.json").write_text(json.dumps({**facts, "tokenizer_key": "xxh3:other"}))
    for suite in (Perplexity(data="x"), AnswerLoss(data="x")):
        with pytest.raises(DataError, match="another tokenizer"):
            run(suite, subject, Tokens(store.path, store.manifest))
    monkey = make_store("again")
    import pyarrow as pa

    monkey.__dict__["documents"] = monkey.documents.set_column(5, "split", pa.array(["train"] * monkey.documents.num_rows))
    for suite in (Perplexity(data="x"), AnswerLoss(data="x")):
        with pytest.raises(DataError, match="set holdout"):
            run(suite, subject, monkey)
