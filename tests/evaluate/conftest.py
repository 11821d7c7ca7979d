"""A tiny random model with a tokenizer, and stores of documents for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ropewalk.core.artifact import Manifest
from ropewalk.data.chat import TEMPLATES
from ropewalk.data.token_store import EncodedShard, Layout, join_shards
from ropewalk.data.tokenizer import CHATML, END, Vocabulary, save_tokenizer, train_byte_bpe
from ropewalk.data.tokens import Packing, Tokens
from ropewalk.evaluate.scoring import Subject
from ropewalk.models.gpt import GPT

TEXTS = [f"document {i} says the quick brown fox number {i * i} jumps over lazy dogs " * (1 + i % 7) for i in range(60)]


@pytest.fixture(scope="session")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(train_byte_bpe(TEXTS, 300, (END, *CHATML), 2, "gpt2"), folder, TEMPLATES["chatml"].jinja)
    vocabulary = Vocabulary(folder)
    module = GPT(preset="qwen3-tiny", depth=2, width=32, heads=2, context=64).build(vocabulary.size, seed=0)
    import torch

    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.2)
    return Subject(module.eval(), vocabulary, "cpu")


@pytest.fixture
def make_store(subject: Subject, tmp_path: Path) -> Callable[..., Tokens]:
    def made(name: str = "store", packing: Packing = "best_fit", length: int = 32, masked: bool = False) -> Tokens:
        folder = tmp_path / name
        folder.mkdir()
        words, shard = subject.vocabulary, EncodedShard(subject.vocabulary.size)
        for number, text in enumerate(TEXTS):
            ids = np.concatenate([[words.bos_id], words.encode([text])[0], [words.eos_id]])
            mask = np.arange(len(ids)) >= 5
            shard.add(f"doc{number}", "test", len(text.encode()), ids, mask if masked else None)
        shard.write(folder, "0")
        join_shards(folder, words, Layout(length, packing, "document", 0.3, 1))
        return Tokens(folder, Manifest("Tokens"))

    return made
