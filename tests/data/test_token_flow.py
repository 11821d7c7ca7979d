"""Tokens in are tokens out: any documents, any settings, any number of workers and ranks (cases O05, O06, O17, O19, O20)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ropewalk.data.loader import IGNORED, Batch, Loader
from ropewalk.data.loading import Loading
from ropewalk.data.pack import plan
from ropewalk.data.tokens import Packing, Tokens
from ropewalk.data.windows import Windows
from token_kit import make_store

PACKINGS: tuple[Packing, ...] = ("best_fit", "concat", "pad")


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 60), max_size=25),
    length=st.sampled_from([1, 2, 7, 16, 64]),
    packing=st.sampled_from(PACKINGS),
    stride=st.integers(1, 64),
    count_overlap=st.booleans(),
    data=st.data(),
)
def test_tokens_in_are_tokens_trained_and_alone(
    lengths: list[int], length: int, packing: Packing, stride: int, count_overlap: bool, data: st.DataObject
) -> None:
    sizes = np.array(lengths, np.int64)
    offsets = np.cumsum(sizes) - sizes
    windows = None if packing == "concat" or stride > length else Windows(stride, count_overlap)
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=int(sizes.sum()), max_size=int(sizes.sum()))), np.uint8)
    for given_mask in (None, mask):
        planned = plan(offsets, np.maximum(sizes - 1, 0), length, packing, given_mask, windows)
        context = np.zeros(len(planned.segments), np.int64) if planned.context is None else planned.context
        fresh = [
            place + 1
            for (offset, size), seen in zip(planned.segments.tolist(), context.tolist(), strict=True)
            for place in range(offset + seen, offset + size)
        ]
        predicted = [offset + place for offset, size in zip(offsets.tolist(), lengths, strict=True) for place in range(1, size)]
        assert sorted(set(fresh)) == predicted and (count_overlap or len(fresh) == len(predicted))
        trained = sum(1 if given_mask is None else int(given_mask[place]) for place in fresh)
        assert planned.trained.sum() == trained
        rows = [planned.segments[a:b, 1].sum() for a, b in zip(planned.starts[:-1], planned.starts[1:], strict=True)]
        assert all(0 < row <= length for row in rows)


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    return make_store(tmp_path_factory.mktemp("thousand") / "s", [9] * 1000, 8, "pad", first_id=100)


def ids_of(batch: Batch) -> list[int]:
    return (batch.tokens[:, 0] // 100 - 1).tolist()


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("workers", [0, 1, 2, 4])
def test_a_thousand_ids_are_seen_once_an_epoch_by_all_ranks_and_workers_together(thousand: Tokens, workers: int, ranks: int) -> None:
    loader = Loader(thousand, "train", 12, 5)
    plain = [[ids_of(loader.at(step)) for step in range(epoch * 84, epoch * 84 + 84)] for epoch in (0, 1)]
    for epoch in (0, 1):
        seen: list[list[int]] = [[] for _ in range(84)]
        for rank in range(ranks):  # a rank computes its share of each batch's rows
            with Loading(workers=workers).start(Loader(thousand, "train", 12, 5)) as ahead:
                for number in range(84):
                    parts = list(ahead.micro_batches(ahead.at(epoch * 84 + number), -(-12 // ranks)))
                    seen[number] += ids_of(parts[rank]) if rank < len(parts) else []
        assert seen == plain[epoch] and sorted(id_ for batch in seen for id_ in batch) == list(range(1000))
    assert plain[0] != plain[1]


def test_drop_last_leaves_out_the_short_batch_only(thousand: Tokens) -> None:
    loader = Loader(thousand, "train", 12, 5, drop_last=True)
    seen = [id_ for step in range(loader.steps_per_epoch) for id_ in ids_of(loader.at(step))]
    assert len(seen) == len(set(seen)) == 996
    assert len(ids_of(Loader(thousand, "train", 12, 5).at(loader.steps_per_epoch))) == 4


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(2, 9), min_size=2, max_size=5), st.data())
def test_no_target_and_no_attention_crosses_documents(lengths: list[int], data: st.DataObject) -> None:
    import torch

    from ropewalk.tasks.lm import LanguageModelling
    from ropewalk.tasks.torch_batch import to_torch

    module = decoder()
    documents = [data.draw(st.lists(st.integers(1, 99), min_size=size, max_size=size)) for size in lengths]
    edited = data.draw(st.integers(0, len(lengths) - 1))
    changed = [[1 + id_ % 99 for id_ in document] if number == edited else document for number, document in enumerate(documents)]
    task = LanguageModelling()
    with torch.no_grad():
        whole = task.loss(module, to_torch(packed(documents), "cpu"))
        alone = [task.loss(module, to_torch(packed([document]), "cpu")) for document in documents]
        assert whole.weight == sum(loss.weight for loss in alone) == sum(size - 1 for size in lengths)
        assert whole.total.item() == pytest.approx(sum(loss.total.item() for loss in alone), rel=1e-5)
        batches = [to_torch(packed(given), "cpu") for given in (documents, changed)]
        before, after = (module(batch.tokens, batch.positions, batch.documents)[0] for batch in batches)
        others = torch.from_numpy(packed(documents).documents[0] != edited + 1)
        assert torch.equal(before[others], after[others]) and not torch.equal(before, after)


_MODULES: list[Any] = []


def decoder() -> Any:
    """A small model whose attention has something to say."""
    import torch

    from ropewalk.models.gpt import GPT

    if not _MODULES:
        module = GPT(preset="llama-tiny", depth=2, width=32, heads=2, context=64).build(100, 0)
        for name, parameter in module.named_parameters():
            if name.endswith(("out.weight", "down.weight")):
                torch.nn.init.normal_(parameter, std=0.2, generator=torch.Generator().manual_seed(1))
        _MODULES.append(module.eval())
    return _MODULES[0]


def packed(documents: list[list[int]]) -> Batch:
    """Documents in one row, as a store of one sequence gives them."""
    tokens = [id_ for document in documents for id_ in document]
    targets = [id_ for document in documents for id_ in [*document[1:], IGNORED]]
    positions = [place for document in documents for place in range(len(document))]
    numbers = [number + 1 for number, document in enumerate(documents) for _ in document]
    return Batch(np.array([tokens]), np.array([targets]), np.array([positions]), np.array([numbers], np.int32), np.zeros(1, np.int64))


@pytest.mark.parametrize("processes", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_every_process_trains_the_same_bytes(tmp_path: Path, processes: int) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom ropewalk.data.tokenizer import *\nfrom ropewalk.data.tokenizer_kinds import *\n"
        "texts = [f'{w} {w[::-1]} the {w*2}' for w in 'alpha beta gamma delta epsilon zeta eta theta'.split()] * 3\n"
        "save_tokenizer(train_byte_bpe(texts, 320, (END,), 2, 'gpt2'), Path(sys.argv[1]) / 'bpe')\n"
        "for fall in (False, True):\n"
        "    engine = train_unigram(texts, 330, (END,), 'gpt2', split_digits=False, byte_fallback=fall)\n"
        "    save_tokenizer(engine, Path(sys.argv[1]) / f'unigram-{fall}')\n"
    )
    environment = {"PATH": "", "PYTHONPATH": os.pathsep.join(sys.path)}
    found = set()
    for seed in range(processes):
        folder = tmp_path / str(seed)
        subprocess.run([sys.executable, "-c", code, str(folder)], env={**environment, "PYTHONHASHSEED": str(seed)}, check=True)
        found.add(tuple((folder / name / "tokenizer.json").read_bytes() for name in ("bpe", "unigram-False", "unigram-True")))
    assert len(found) == 1
