"""`type: huggingface`: another architecture trains, is saved, opened again and writes, with transformers' own numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from ropewalk.core.errors import DataError
from ropewalk.data.tokenizer import Vocabulary
from ropewalk.models.generate_module import generate_rows
from ropewalk.models.huggingface import HuggingFace
from ropewalk.models.model import load_model
from ropewalk.models.sampling import Sampling
from ropewalk.pipeline.recipe import loads
from writing_kit import TEXTS

SIZES: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


def neox(folder: Path, vocab_size: int = 97, **changes: Any) -> Any:
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    torch.manual_seed(0)
    config = GPTNeoXConfig(vocab_size=vocab_size, max_position_embeddings=64, initializer_range=0.3, **SIZES, **changes)
    model = GPTNeoXForCausalLM(config).eval()
    model.save_pretrained(folder)
    return model


def tokens() -> torch.Tensor:
    return torch.randint(0, 97, (2, 20), generator=torch.Generator().manual_seed(2))


def test_logits_and_packed_documents_are_those_of_transformers(tmp_path: Path) -> None:
    theirs = neox(tmp_path)
    ours = HuggingFace(folder=tmp_path).build(97, seed=1).eval()
    with torch.no_grad():
        assert torch.allclose(ours.logits(ours(tokens())), theirs(tokens()).logits, atol=1e-5)
        packed = torch.cat([tokens()[:1, :8], tokens()[1:, :12]], 1)
        documents, positions = torch.tensor([[1] * 8 + [2] * 12]), torch.tensor([[*range(8), *range(12)]])
        together = ours.logits(ours(packed, positions, documents))
        assert torch.allclose(together[:, 8:], theirs(packed[:, 8:]).logits, atol=1e-5)
        assert not torch.allclose(ours.logits(ours(packed))[:, 8:], together[:, 8:], atol=1e-2)


def test_batches_are_written_as_transformers_writes_them(tmp_path: Path) -> None:
    theirs, ours = neox(tmp_path), HuggingFace(folder=tmp_path).build(97, seed=1)
    prompts = [[5, 6, 7], [8], [9] * 12]
    for prompt, new in zip(prompts, generate_rows(ours, prompts, Sampling(max_tokens=9), at_once=2), strict=True):
        found = theirs.generate(torch.tensor([prompt]), max_new_tokens=9, do_sample=False, pad_token_id=0, eos_token_id=None)
        assert found[0, len(prompt) :].tolist() == new


def test_new_weights_are_drawn_by_the_seed(tmp_path: Path) -> None:
    neox(tmp_path)
    model = HuggingFace(folder=tmp_path, weights="new")
    one, two, other = (model.build(50, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one.values(), two.values(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one.values(), other.values(), strict=True))
    assert HuggingFace(folder=tmp_path, weights="new").build(50, 1).head_weight.size(0) == 50


def test_what_can_not_be_trained_right_is_refused(tmp_path: Path) -> None:
    from transformers import BloomConfig, BloomForCausalLM, CohereConfig, CohereForCausalLM

    neox(tmp_path / "neox")
    with pytest.raises(DataError, match="knows 97 tokens, and the data's tokenizer has 98"):
        HuggingFace(folder=tmp_path / "neox").build(98, seed=1)
    CohereForCausalLM(CohereConfig(vocab_size=97, **SIZES, logit_scale=0.5)).save_pretrained(tmp_path / "scaled")
    with pytest.raises(DataError, match="'cohere' computes its logits otherwise"):
        HuggingFace(folder=tmp_path / "scaled").build(97, seed=1)
    torch.manual_seed(0)
    BloomForCausalLM(BloomConfig(vocab_size=97, hidden_size=32, n_layer=2, n_head=4, initializer_range=0.5)).save_pretrained(
        tmp_path / "bloom"
    )
    with pytest.raises(DataError, match="'bloom' says none of max_position_embeddings"):
        HuggingFace(folder=tmp_path / "bloom").build(97, seed=1)
    (tmp_path / "neox" / "model.safetensors").unlink()
    (tmp_path / "neox" / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(DataError, match="can't open this 'gpt_neox'"):
        HuggingFace(folder=tmp_path / "neox").build(97, seed=1)
    with pytest.raises(DataError, match="can't be read"):
        HuggingFace(folder=tmp_path / "nowhere").shape()


RECIPE = """
name: neox
stages:
  raw: {{type: load, source: {{type: text, path: texts.txt, per: line}}}}
  vocab: {{type: tokenizer, input: raw, size: 300}}
  packed: {{type: pack, input: raw, tokenizer: vocab, length: 16, holdout: 0.2}}
  base: {{type: train, data: packed, model: {{type: huggingface, folder: neox{weights}}}, budget: {{steps: 12}},
          batch: {{sequences: 4}}, optimizer: {{lr: 0.01}}, evaluate: {{every: 6, sequences: 4}}, recompute: {recompute}}}
  scores: {{type: evaluate, model: base, suites: [{{type: perplexity, data: packed}}]}}
"""


def test_a_recipe_trains_evaluates_and_opens_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoModelForCausalLM

    monkeypatch.chdir(tmp_path)
    neox(tmp_path / "neox", vocab_size=310)
    (tmp_path / "texts.txt").write_text("\n".join(f"{text} {number}" for number, text in enumerate(TEXTS * 4)), encoding="utf-8")
    losses = {}
    for recompute in ("false", "true"):
        run = loads(RECIPE.format(weights="", recompute=recompute), folder=tmp_path).run(quiet=True)
        log = [json.loads(line) for line in (run["base"].path / "training.jsonl").read_text().splitlines()]
        losses[recompute] = [line["loss"] for line in log if "loss" in line]
    assert losses["true"] == pytest.approx(losses["false"], abs=1e-4) and losses["false"][-1] < losses["false"][0] - 0.5
    folder = run["base"].path
    ours, vocabulary = load_model(folder), Vocabulary(folder)
    ids = torch.tensor([vocabulary.encode(["the cat sat"])[0].tolist()])
    with torch.no_grad():
        assert torch.allclose(ours.logits(ours(ids)), AutoModelForCausalLM.from_pretrained(folder).eval()(ids).logits, atol=1e-5)
    assert run["scores"].metrics["perplexity/bits_per_byte"].value > 0
