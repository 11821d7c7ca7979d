"""The decoder against transformers' GPT-2, Llama and Qwen3, both ways; masks, cache, checkpointing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from ropewalk.core.errors import DataError
from ropewalk.models.folder_module import load_module, save_model
from ropewalk.models.generate_module import generate
from ropewalk.models.gpt import GPT
from ropewalk.models.gpt_module import Decoder
from ropewalk.models.model import Model, load_model

SMALL: dict[str, Any] = {"depth": 2, "width": 32, "heads": 4, "context": 64}
CASES = [
    pytest.param({"preset": "gpt2-tiny", **SMALL}, id="gpt2"),
    pytest.param({"preset": "llama-tiny", **SMALL, "kv_heads": 2, "tied": False, "rope_theta": 5000.0}, id="llama-grouped-untied"),
    pytest.param({"preset": "qwen3-tiny", **SMALL, "kv_heads": 2}, id="qwen3"),
]


def random_module(fields: dict[str, Any], vocab_size: int = 97) -> Decoder:
    """All weights random, also those that start at zero or one."""
    module = GPT(**fields).build(vocab_size, seed=1)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return module.eval()


def tokens(rows: int = 3, length: int = 40) -> torch.Tensor:
    return torch.randint(0, 97, (rows, length), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("fields", CASES)
def test_transformers_opens_our_folder_and_gives_our_logits(fields: dict[str, Any], tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    module = random_module(fields)
    save_model(tmp_path, module, None)
    theirs, info = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    with torch.no_grad():
        expected = theirs.eval()(tokens()).logits
        ours = module.logits(module(tokens()))
    assert (ours - expected).abs().max() < 1e-4 and expected.abs().max() > 0.5


@pytest.mark.parametrize("fields", CASES)
def test_we_open_transformers_folder_and_give_its_logits(fields: dict[str, Any], tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    save_model(tmp_path / "a", random_module(fields), None)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "a").eval()
    theirs.save_pretrained(tmp_path / "b", max_shard_size="20KB")
    assert (tmp_path / "b" / "model.safetensors.index.json").is_file()
    ours = load_model(tmp_path / "b")
    with torch.no_grad():
        assert (ours.logits(ours(tokens())) - theirs(tokens()).logits).abs().max() < 1e-4


@pytest.mark.parametrize("fields", [*CASES, pytest.param({**SMALL, "norm": "rms", "dropout": 0.1}, id="no-counterpart")])
def test_save_and_load_keep_every_bit(fields: dict[str, Any], tmp_path: Path) -> None:
    module = random_module(fields)
    save_model(tmp_path, module, None)
    again = load_module(tmp_path)
    assert again.shape.family == module.shape.family
    assert all(torch.equal(a, b) for a, b in zip(module.state_dict().values(), again.state_dict().values(), strict=True))


@pytest.mark.parametrize("fields", CASES)
def test_parameters_are_counted_exactly_without_torch(fields: dict[str, Any]) -> None:
    module = random_module(fields)
    assert GPT(**fields).shape().parameters(97) == sum(parameter.numel() for parameter in module.parameters())
    assert GPT(**fields).shape().flops_per_token(97, 40) > 6 * 97 * 32


@pytest.mark.parametrize("fields", CASES)
def test_documents_in_one_row_don_not_see_each_other(fields: dict[str, Any]) -> None:
    module = random_module(fields)
    first, second = tokens(1, 7), tokens(1, 12)[:, 2:]
    packed = torch.cat([first, second], 1)
    documents = torch.tensor([[1] * 7 + [2] * 10], dtype=torch.int32)
    positions = torch.tensor([[*range(7), *range(10)]])
    with torch.no_grad():
        together = module(packed, positions, documents)
        assert torch.allclose(together[:, :7], module(first), atol=1e-5)
        assert torch.allclose(together[:, 7:], module(second), atol=1e-5)
        packed[0, 3] = (packed[0, 3] + 1) % 97
        assert torch.equal(module(packed, positions, documents)[:, 7:], together[:, 7:])


@pytest.mark.parametrize("fields", CASES)
def test_cached_generation_equals_uncached(fields: dict[str, Any]) -> None:
    module = random_module(fields)
    prompt = tokens(1, 9)[0].tolist()
    new = generate(module, prompt, 12)
    slow = list(prompt)
    with torch.no_grad():
        for _ in range(12):
            slow.append(int(module.logits(module(torch.tensor([slow]))[:, -1]).argmax()))
    assert new == slow[9:]
    assert generate(module, prompt, 12, stop_ids={new[4]}) == new[: new.index(new[4])]
    assert len(generate(module, prompt, 500)) == 64 - 9 + 1


def test_sampling_is_seeded_and_limited() -> None:
    module = random_module(CASES[2].values[0])  # type: ignore[arg-type]
    one = generate(module, [1, 2], 20, temperature=1.0, seed=1)
    assert one == generate(module, [1, 2], 20, temperature=1.0, seed=1) != generate(module, [1, 2], 20, temperature=1.0, seed=2)
    greedy = generate(module, [1, 2], 20)
    assert generate(module, [1, 2], 20, temperature=5.0, top_k=1) == greedy == generate(module, [1, 2], 20, temperature=5.0, top_p=1e-9)


def test_checkpointing_gives_the_same_gradients_with_dropout() -> None:
    gradients = []
    for checkpointing in (False, True):
        module = random_module({"preset": "qwen3-tiny", **SMALL, "dropout": 0.2}).train()
        module.checkpointing = checkpointing
        torch.manual_seed(3)
        module(tokens()).square().sum().backward()
        gradients.append([parameter.grad for parameter in module.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True) if a is not None and b is not None)


def test_equal_seeds_give_equal_weights_and_start_at_the_uniform_loss() -> None:
    one, two = (GPT(preset="qwen3-tiny", **SMALL).build(97, seed=5) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(one.embed.weight, GPT(preset="qwen3-tiny", **SMALL).build(97, seed=6).embed.weight)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"preset": "gpt2-tinny"}, "did you mean 'gpt2-tiny'"),
        ({"width": 30, "heads": 4}, "can't be shared"),
        ({"heads": 4, "kv_heads": 3}, "can't share"),
        ({"preset": "llama-tiny", "width": 12, "heads": 4}, "even head width"),
    ],
)
def test_impossible_shapes_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        GPT(**fields)


def test_presets_have_their_sizes() -> None:
    assert GPT(preset="124m").shape().parameters(50257) == 124_439_808
    assert GPT(preset="gpt2-350m").shape().parameters(50257) == 354_823_168
    assert 4_000_000 < GPT(preset="gpt2-tiny").shape().parameters(4096) < 4_500_000
    assert GPT(preset="gpt2-tiny", context=64).context_tokens == 64


def test_damaged_and_foreign_folders_are_data_errors(tmp_path: Path) -> None:
    module = random_module(CASES[2].values[0])  # type: ignore[arg-type]
    save_model(tmp_path, module, None)
    weights = {name: tensor.clone() for name, tensor in load_weights(tmp_path).items()}
    save_file({**weights, "extra": torch.ones(1)}, tmp_path / "model.safetensors")
    with pytest.raises(DataError, match="1 unknown"):
        load_module(tmp_path)
    del weights["model.norm.weight"]
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(DataError, match=r"1 missing \['model.norm.weight'\]"):
        load_module(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x00" * 40)
    with pytest.raises(DataError, match="damaged"):
        load_module(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(DataError, match="a pickle, which is never read"):
        load_module(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(DataError, match="'bert' is not supported"):
        load_module(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(DataError, match="can't be read"):
        load_module(tmp_path)


@pytest.mark.parametrize(
    ("model", "change", "said"),
    [
        (1, {"partial_rotary_factor": 0.5}, "on a part of each head"),
        (0, {"scale_attn_weights": False}, "scale_attn_weights"),
        (0, {"activation_function": "relu"}, "activation 'relu'"),
        (2, {"hidden_act": "gelu"}, "hidden_act"),
        (2, {"num_hidden_layers": None}, "faulty or missing"),
    ],
)
def test_what_would_give_other_logits_is_refused(model: int, change: dict[str, Any], said: str, tmp_path: Path) -> None:
    save_model(tmp_path, random_module(CASES[model].values[0]), None)  # type: ignore[arg-type]
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(DataError, match=said):
        load_module(tmp_path)


def load_weights(folder: Path) -> dict[str, torch.Tensor]:
    from ropewalk.models.folder_module import read_weights

    return read_weights(folder)


def test_model_artifacts_know_their_sizes(tmp_path: Path) -> None:
    from ropewalk.core.store import open_outside

    save_model(tmp_path, random_module(CASES[0].values[0]), None)  # type: ignore[arg-type]
    found = open_outside((Model,), tmp_path)
    assert isinstance(found, Model) and found.context == 64 and found.vocab_size == 97 and found.tokenizer_path == tmp_path
    assert found.load().vocab_size == 97
