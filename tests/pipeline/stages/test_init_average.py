"""Models before training and between trainings: sized to a tokenizer, and averaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from ropewalk.core.errors import DataError
from ropewalk.data.tokenizer import CHATML, END, Vocabulary, save_tokenizer, train_byte_bpe
from ropewalk.models.model import Model
from ropewalk.pipeline.stages.average import Average
from ropewalk.pipeline.stages.init import Init

TEXTS = [f"Rope number {n} holds {n * n} knots." for n in range(40)]
SHAPE: dict[str, Any] = {"type": "gpt", "preset": "llama-tiny", "depth": 1, "width": 16, "heads": 2, "mlp_width": 24, "context": 16}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tokenizers: the second has the first one's tokens at other ids, and the marks of a chat."""
    home = tmp_path_factory.mktemp("vocab")
    save_tokenizer(train_byte_bpe(TEXTS, 280, [END], 2, "gpt2"), home / "plain")
    save_tokenizer(train_byte_bpe(TEXTS, 290, [END, *CHATML], 2, "gpt2"), home / "chat")
    return home


def made(home: Path, stage: Any, seed: int = 0, **inputs: Any) -> Any:
    return stage.run(store=home / "store", runs=home / "runs", seed=seed, quiet=True, **inputs)


def test_a_new_model_is_seeded_and_sized_to_the_tokenizer(tmp_path: Path, folder: Path) -> None:
    stage = Init.model_validate({"model": SHAPE, "tokenizer": f"path:{folder / 'plain'}"})
    one, again, other = made(tmp_path, stage), made(tmp_path, stage), made(tmp_path, stage, seed=1)
    assert one.key == again.key != other.key and one.vocab_size == 280 and (one.path / "tokenizer.json").is_file()
    assert not torch.equal(one.load().embed.weight, other.load().embed.weight)


def test_known_tokens_keep_their_rows_and_new_ones_are_the_mean(tmp_path: Path, folder: Path) -> None:
    start = made(tmp_path, Init.model_validate({"model": {**SHAPE, "tied": False}, "tokenizer": f"path:{folder / 'plain'}"}))
    grown = made(tmp_path, Init.model_validate({"init": f"path:{start.path}", "tokenizer": f"path:{folder / 'chat'}"}))
    before, after = start.load(), grown.load()
    old, new = (Vocabulary(folder / name).engine.get_vocab() for name in ("plain", "chat"))
    for text in ("a", "k", "Ġ"):
        assert torch.equal(after.embed.weight[new[text]], before.embed.weight[old[text]])
        assert torch.equal(after.head.weight[new[text]], before.head.weight[old[text]])
    unknown = sorted(set(new) - set(old))
    assert set(CHATML) < set(unknown) and grown.manifest.metrics["new_rows"] == len(unknown)
    for text in unknown:
        torch.testing.assert_close(after.embed.weight[new[text]], before.embed.weight.mean(0))
    assert torch.equal(after.blocks[0].mlp.up.weight, before.blocks[0].mlp.up.weight)
    same = made(tmp_path, Init.model_validate({"init": f"path:{start.path}"}))
    assert same.manifest.metrics["new_rows"] == 0 and torch.equal(same.load().embed.weight, before.embed.weight)


@pytest.mark.parametrize("fields", [{}, {"model": SHAPE}, {"model": SHAPE, "init": "base", "tokenizer": "vocab"}])
def test_an_init_has_one_start_and_a_tokenizer(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"model|tokenizer"):
        Init.model_validate(fields)


def test_the_average_is_that_of_each_weight(tmp_path: Path, folder: Path) -> None:
    stage = Init.model_validate({"model": SHAPE, "tokenizer": f"path:{folder / 'plain'}"})
    models: list[Model] = [made(tmp_path, stage, seed=seed) for seed in range(3)]
    refs = [f"path:{model.path}" for model in models]
    mean = made(tmp_path, Average.model_validate({"models": refs, "weights": [2, 1, 1]})).load().state_dict()
    states = [model.load().state_dict() for model in models]
    for name, tensor in mean.items():
        torch.testing.assert_close(tensor, (2 * states[0][name] + states[1][name] + states[2][name]) / 4)
    other = made(tmp_path, Init.model_validate({"model": {**SHAPE, "depth": 2}, "tokenizer": f"path:{folder / 'plain'}"}))
    chat = made(tmp_path, Init.model_validate({"model": SHAPE, "tokenizer": f"path:{folder / 'chat'}"}))
    for wrong, words in ((other, "another shape"), (chat, "another tokenizer")):
        with pytest.raises(DataError, match=words):
            made(tmp_path, Average.model_validate({"models": [refs[0], f"path:{wrong.path}"]}))
    with pytest.raises(ValidationError, match="as many weights"):
        Average.model_validate({"models": refs, "weights": [1, 2]})
