"""A tiny model's folder with a tokenizer and a chat template, for the tests of what writes text."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch

from ropewalk.data.chat import TEMPLATES
from ropewalk.data.tokenizer import CHATML, END, save_tokenizer, train_byte_bpe
from ropewalk.models.folder_module import save_model
from ropewalk.models.gpt import GPT
from ropewalk.models.gpt_module import Decoder

TEXTS = [
    "the cat sat on the mat, the dog did not",
    "häuser über straßen — 🙂 👩‍🚀 日本語のテキスト",
    "one two three four five six seven",
] * 3


def make_tokenizer(folder: Path, template: str = TEMPLATES["chatml"].jinja) -> int:
    """Its size."""
    engine = train_byte_bpe(TEXTS, 340, (END, *CHATML), 1, "gpt2")
    save_tokenizer(engine, folder, template)
    return engine.get_vocab_size()


@cache
def weights(vocab_size: int, context: int) -> Decoder:
    """All weights random, so that what it writes is varied nonsense."""
    module = GPT(preset="qwen3-tiny", depth=2, width=32, heads=4, kv_heads=2, context=context).build(vocab_size, seed=1)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
        module.embed.weight[:3] = 0  # control tokens, which would end answers early
    return module


def make_model(folder: Path, context: int = 96) -> Path:
    """A folder that transformers would open too."""
    size = make_tokenizer(folder / "tokenizer")
    save_model(folder, weights(size, context), folder / "tokenizer")
    return folder
