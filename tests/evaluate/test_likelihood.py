"""Likelihoods on trees equal one sequence at a time, whatever is shared, cached, batched or runs out of memory."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ropewalk.core.errors import NotFinite, OutOfMemory
from ropewalk.evaluate import likelihood
from ropewalk.evaluate.likelihood import Ask, Likelihood, likelihoods
from ropewalk.evaluate.scoring import Subject

Lists = list[list[int]]


def plain(subject: Subject, ask: Ask) -> list[Likelihood]:
    """Each continuation alone behind its context, every logit made."""
    found = []
    for continuation in ask.continuations:
        ids = torch.from_numpy(np.concatenate([ask.context, continuation]))[None]
        with torch.no_grad():
            logits = subject.module.logits(subject.module(ids[:, :-1]))[0, len(ask.context) - 1 :]
        wanted = ids[0, len(ask.context) :]
        nats = -F.cross_entropy(logits, wanted, reduction="sum").item()
        found.append(Likelihood(nats, bool((logits.argmax(-1) == wanted).all())))
    return found


def asks_of(shared: list[int], rows: list[tuple[list[int], Lists]]) -> list[Ask]:
    return [Ask(np.array(shared + context), tuple(np.array(ids) for ids in continuations)) for context, continuations in rows]


ids = st.lists(st.integers(0, 5), min_size=1, max_size=6)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(ids, st.lists(ids, min_size=1, max_size=4)), min_size=1, max_size=5), st.sampled_from([0, 20]), st.integers(1, 60)
)
def test_trees_prefixes_and_batches_change_nothing(
    subject: Subject, rows: list[tuple[list[int], Lists]], shared: int, positions: int
) -> None:
    asks = asks_of([7] * shared, rows)
    for found, alone in zip(likelihoods(subject, asks, positions=positions), (plain(subject, ask) for ask in asks), strict=True):
        assert np.allclose([one.nats for one in found], [one.nats for one in alone], atol=1e-4)
        assert [one.greedy for one in found] == [one.greedy for one in alone]


def test_what_choices_and_items_share_is_computed_once(subject: Subject) -> None:
    asks = asks_of(list(range(20)), [([20], [[1, 2, 3, 4], [1, 2, 3, 5]]), ([21], [[1], [2]])])
    done: list[int] = []
    with patch.object(subject.module, "forward", wraps=subject.module.forward) as forward:
        likelihoods(subject, asks, done.append)
    sizes = [call.args[0].numel() for call in forward.call_args_list]
    # the examples once; then a trunk of one token and a branch of three that two choices share, and a trunk alone, padded to one batch
    assert sizes == [20, 8] and sum(done) == 4 + 1


def test_a_greedy_continuation_is_told(subject: Subject) -> None:
    context = np.array([3, 4, 5])
    with torch.no_grad():
        best = int(subject.module.logits(subject.module(torch.from_numpy(context[None])))[0, -1].argmax())
    ((first, second),) = likelihoods(subject, [Ask(context, (np.array([best]), np.array([(best + 1) % 9])))])
    assert first.greedy and not second.greedy and first.nats > second.nats


def test_memory_that_runs_out_halves_the_batch_and_keeps_the_numbers(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    asks = asks_of([], [([1, 2, n], [[4, 5], [6]]) for n in range(8)])
    expected = likelihoods(subject, asks)
    scored, seen = likelihood._scored, []

    def tight(subject: Subject, batch: list[object], *rest: object) -> object:
        seen.append(len(batch))
        if len(batch) > 2:
            raise MemoryError("no room")
        return scored(subject, batch, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(likelihood, "_scored", tight)
    found = likelihoods(subject, asks, positions=40)
    assert max(seen) == 8 and min(seen) <= 2
    for row, other in zip(found, expected, strict=True):
        assert np.allclose([one.nats for one in row], [one.nats for one in other], atol=1e-5)

    def full(*all_: object) -> object:
        raise MemoryError("no room")

    monkeypatch.setattr(likelihood, "_scored", full)
    with pytest.raises(OutOfMemory, match="one item of 4 positions does not fit: no room"):
        likelihoods(subject, asks)


def test_logits_that_are_not_finite_name_the_item(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject.module, "forward", lambda tokens, *rest, **named: torch.full((*tokens.shape, 32), torch.nan))
    with pytest.raises(NotFinite, match="no finite logits on item 1 of 1"):
        likelihoods(subject, [Ask(np.array([1]), (np.array([2]),))])
