"""How likely continuations are after their context: what is shared is computed once, logits only where a token is asked for.

Continuations of one context become a tree (the context is its trunk, choices that begin alike share a branch) in one row, where
each token looks at its ancestors alone; what all contexts begin with (examples) is computed once and kept as keys and values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.errors import NotFinite, OutOfMemory
from ropewalk.evaluate.scoring import Ids, Subject
from ropewalk.hardware.memory import MicroBatch, catching

if TYPE_CHECKING:
    from torch import Tensor

POSITIONS_AT_ONCE = 1024
"""Measured on a CPU with 13.9M parameters: 512 to 2,048 cost the same, more takes memory."""
SHARED_FROM = 16
"""Tokens that all contexts must begin with before keys and values are kept for them."""


@dataclass(frozen=True)
class Ask:
    """A context of one token at least, and the continuations whose likelihood after it is wanted."""

    context: Ids
    continuations: tuple[Ids, ...]


@dataclass(frozen=True)
class Likelihood:
    """The log-likelihood in nats (never above 0), and whether each token was the likeliest one."""

    nats: float
    greedy: bool


@dataclass(frozen=True)
class _Tree:
    """An ask without the shared prefix: node i reads `tokens[i]` behind its parent; `targets` are (node, token, continuation)."""

    ask: int
    tokens: list[int]
    parents: list[int]
    depths: list[int]
    targets: list[tuple[int, int, int]]

    @property
    def chain(self) -> bool:
        return all(parent == place - 1 for place, parent in enumerate(self.parents))

    def ancestors(self) -> NDArray[np.bool_]:
        """(N, N): whom each node looks at, itself included."""
        seen = np.eye(len(self.tokens), dtype=np.bool_)
        for place, parent in enumerate(self.parents):
            if parent >= 0:
                seen[place, : parent + 1] |= seen[parent, : parent + 1]
        return seen


def likelihoods(
    subject: Subject, asks: Sequence[Ask], advance: Callable[[int], None] = lambda done: None, positions: int = POSITIONS_AT_ONCE
) -> list[list[Likelihood]]:
    """One for each continuation of each ask. Raises NotFinite naming the item; halves the batch when memory runs out."""
    shared = _shared(asks)
    trees = sorted((_tree(number, ask, len(shared)) for number, ask in enumerate(asks)), key=lambda tree: -len(tree.tokens))
    found = [[Likelihood(0.0, True)] * len(ask.continuations) for ask in asks]
    sizes, start = MicroBatch(positions), 0
    prefix = _prefix(subject, shared)
    while start < len(trees):
        batch = trees[start : start + max(1, sizes.size // max(len(trees[start].tokens), 1))]
        with catching(subject.device) as ran:
            scored = _scored(subject, batch, shared, prefix)
        if ran.out_of_memory:
            if not sizes.shrink() or len(batch) == 1:
                raise OutOfMemory(f"one item of {len(batch[0].tokens)} positions does not fit: {ran.message}")
            continue
        for tree, (nats, best) in zip(batch, scored, strict=True):
            if not np.isfinite(nats).all():
                raise NotFinite(
                    f"the model gives no finite logits on item {tree.ask + 1} of {len(asks)}", remedy="look at its training log"
                )
            for number in range(len(found[tree.ask])):
                own = [place for place, (_, _, owner) in enumerate(tree.targets) if owner == number]
                found[tree.ask][number] = Likelihood(float(nats[own].sum(dtype=np.float64)), bool(best[own].all()))
        start += len(batch)
        advance(sum(len(tree.tokens) for tree in batch))
    return found


def _shared(asks: Sequence[Ask]) -> Ids:
    """What all contexts begin with, where that is worth keeping; each context keeps one token of its own at least."""
    if len(asks) < 2:
        return np.zeros(0, np.int64)
    first = asks[0].context
    most = min(len(ask.context) for ask in asks) - 1
    for ask in asks[1:]:
        differs = np.flatnonzero(ask.context[:most] != first[:most])
        most = int(differs[0]) if len(differs) else most
        if most < SHARED_FROM:
            return np.zeros(0, np.int64)
    return first[:most]


def _tree(number: int, ask: Ask, shared: int) -> _Tree:
    trunk = [int(token) for token in ask.context[shared:]]
    tokens, parents = list(trunk), list(range(-1, len(trunk) - 1))
    depths = list(range(shared, shared + len(trunk)))
    branches: dict[tuple[int, int], int] = {}
    targets = []
    for owner, continuation in enumerate(ask.continuations):
        node = len(trunk) - 1
        for place, token in enumerate(continuation.tolist()):
            targets.append((node, token, owner))
            if place == len(continuation) - 1:
                break
            key = (node, token)
            if key not in branches:
                branches[key] = len(tokens)
                tokens.append(token)
                parents.append(node)
                depths.append(depths[node] + 1)
            node = branches[key]
    return _Tree(number, tokens, parents, depths, targets)


def _prefix(subject: Subject, shared: Ids) -> list[tuple[Tensor, Tensor]]:
    import torch

    cache: list[tuple[Tensor, Tensor]] = []
    if len(shared):
        with torch.inference_mode():
            subject.module(torch.from_numpy(shared[None]).to(subject.device), cache=cache)
    return cache


def _scored(subject: Subject, batch: list[_Tree], shared: Ids, prefix: list[tuple[Tensor, Tensor]]) -> list[tuple[Any, Any]]:
    """Of each tree the nats and the hits of its targets."""
    import torch

    from ropewalk.models.loss_module import rows_at_once

    def put(array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(subject.device)

    width = max(len(tree.tokens) for tree in batch)
    tokens, depths = np.zeros((2, len(batch), width), np.int64)
    for row, tree in enumerate(batch):
        tokens[row, : len(tree.tokens)], depths[row, : len(tree.tokens)] = tree.tokens, tree.depths
    mask = None if not len(shared) and all(tree.chain for tree in batch) else _mask(batch, width, len(shared))
    places = np.array([row * width + node for row, tree in enumerate(batch) for node, _, _ in tree.targets])
    wanted = np.array([token for tree in batch for _, token, _ in tree.targets])
    nodes, where = np.unique(places, return_inverse=True)
    with torch.inference_mode():
        cache = [(key.expand(len(batch), -1, -1, -1), value.expand(len(batch), -1, -1, -1)) for key, value in prefix] or None
        hidden = subject.module(put(tokens), put(depths), cache=cache, mask=None if mask is None else put(mask))
        rows = hidden.flatten(0, 1).index_select(0, put(nodes))
        weight = subject.module.head_weight.to(rows.dtype)
        step = rows_at_once(weight)
        nats, best = np.empty(len(wanted), np.float32), np.empty(len(wanted), np.bool_)
        for start in range(0, len(nodes), step):
            logits = (rows[start : start + step] @ weight.T).float()
            inside = np.flatnonzero((where >= start) & (where < start + step))
            line, token = put(where[inside] - start), put(wanted[inside])
            nats[inside] = (logits[line, token] - logits.logsumexp(-1)[line]).cpu().numpy()
            best[inside] = (logits.argmax(-1)[line] == token).cpu().numpy()
    ends = np.cumsum([len(tree.targets) for tree in batch])[:-1]
    return list(zip(np.split(nats, ends), np.split(best, ends), strict=True))


def _mask(batch: list[_Tree], width: int, past: int) -> NDArray[np.bool_]:
    """(B, 1, T, past + T); padding looks at itself, so that no row is empty."""
    seen = np.zeros((len(batch), 1, width, past + width), np.bool_)
    seen[..., :past] = True
    seen[:, 0, np.arange(width), past + np.arange(width)] = True
    for row, tree in enumerate(batch):
        size = len(tree.tokens)
        seen[row, 0, :size, past : past + size] = tree.ancestors()
    return seen
