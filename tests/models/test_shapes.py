"""What Llama, Mistral, Qwen2 and Qwen3 folders in the wild need: our logits are transformers', both ways; the rest is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from ropewalk.core.errors import DataError
from ropewalk.models.folder_module import load_module, save_model
from ropewalk.models.gpt import GPT

SIZES: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
}
LLAMA3 = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
FOLDERS = {
    "llama-linear": ("Llama", {"rope_parameters": {"rope_type": "linear", "factor": 2.5, "rope_theta": 5000.0}}),
    "llama3": ("Llama", {"rope_parameters": {**LLAMA3, "original_max_position_embeddings": 16}}),
    "llama-attention-bias": ("Llama", {"attention_bias": True}),
    "llama-all-biases": ("Llama", {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True}),
    "llama-wide-heads": ("Llama", {"head_dim": 20}),
    "mistral": ("Mistral", {"sliding_window": 5, "head_dim": 8}),
    "mistral-without-window": ("Mistral", {"sliding_window": None, "head_dim": 12}),
    "qwen2": ("Qwen2", {}),
    "qwen2-window-from-1": ("Qwen2", {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1}),
    "qwen3-biases": ("Qwen3", {"head_dim": 16, "attention_bias": True}),
    "qwen3-window": ("Qwen3", {"head_dim": 16, "use_sliding_window": True, "sliding_window": 7, "max_window_layers": 2}),
}


def tokens() -> torch.Tensor:
    return torch.randint(0, 97, (2, 40), generator=torch.Generator().manual_seed(2))


def theirs_of(name: str) -> Any:
    import transformers

    family, fields = FOLDERS[name]
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**{**SIZES, **fields}, attn_implementation="eager")
    model = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms too
            parameter.add_(torch.randn(parameter.shape) * 0.1)
    return model


@pytest.mark.parametrize("name", sorted(FOLDERS))
def test_our_logits_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    theirs = theirs_of(name)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_module(tmp_path / "theirs")
    with torch.no_grad():
        expected = theirs(tokens()).logits
        found = ours.logits(ours(tokens()))
    assert (found - expected).abs().max() < 1e-4 < 0.5 < expected.abs().max()
    assert ours.shape.parameters(97) == sum(parameter.numel() for parameter in ours.parameters())
    save_model(tmp_path / "ours", ours, None)
    again, info = AutoModelForCausalLM.from_pretrained(tmp_path / "ours", output_loading_info=True, attn_implementation="eager")
    assert not info["missing_keys"] and not info["unexpected_keys"]
    with torch.no_grad():
        assert (again.eval()(tokens()).logits - expected).abs().max() < 1e-4


@pytest.mark.parametrize("name", ["llama3", "mistral", "qwen2-window-from-1"])
def test_each_part_shows_in_the_logits(name: str, tmp_path: Path) -> None:
    """Without it the logits are others: else the test above would prove nothing."""
    theirs_of(name).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    ours = load_module(tmp_path)
    plain = {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}, "sliding_window": None, "use_sliding_window": False}
    (tmp_path / "config.json").write_text(json.dumps({**config, **plain, "layer_types": None}))
    with torch.no_grad():
        changed = load_module(tmp_path)
        assert (changed.logits(changed(tokens())) - ours.logits(ours(tokens()))).abs().max() > 0.01


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rope_parameters": {"rope_type": "yarn", "factor": 2.0}}, "rotary positions of type 'yarn'"),
        ({"rope_parameters": None, "rope_scaling": {"type": "dynamic", "factor": 2.0}}, "rotary positions of type 'dynamic'"),
        ({"mlp_bias": True}, "mlp_bias"),
        ({"layer_types": ["full_attention", "chunked_attention", "full_attention"]}, "attention of type 'chunked_attention'"),
        ({"layer_types": ["sliding_attention", "full_attention", "full_attention"], "sliding_window": 4}, "in every few layers"),
        ({"layer_types": ["full_attention", "full_attention", "sliding_attention"]}, "without a size"),
        ({"model_type": "gemma2"}, "'gemma2'"),
    ],
)
def test_what_would_compute_otherwise_is_refused_by_name(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    theirs_of("llama-linear").save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(DataError, match=said):
        load_module(tmp_path)


def test_windows_and_scaled_positions_without_counterpart_are_kept(tmp_path: Path) -> None:
    fields: dict[str, Any] = {"preset": "gpt2-tiny", "depth": 2, "width": 32, "heads": 4, "context": 64, "norm": "rms", "position": "rope"}
    module = GPT(**fields, window=5, rope_scaling=(8.0, 1.0, 4.0, 16.0)).build(97, seed=1)
    save_model(tmp_path, module, None)
    assert load_module(tmp_path).shape == module.shape and module.shape.family == "ropewalk"


def test_a_window_holds_within_packed_documents() -> None:
    module = GPT(preset="llama-tiny", depth=2, width=32, heads=4, context=64, window=4).build(97, seed=3).eval()
    with torch.no_grad():
        module.blocks[0].attention.out.weight.normal_(std=0.5)
        module.blocks[1].attention.out.weight.normal_(std=0.5)
        first, second = tokens()[:1, :9], tokens()[1:, :11]
        documents = torch.tensor([[1] * 9 + [2] * 11], dtype=torch.int32)
        positions = torch.tensor([[*range(9), *range(11)]])
        together = module(torch.cat([first, second], 1), positions, documents)
        assert torch.allclose(together[:, 9:], module(second), atol=1e-5)
        far = torch.cat([second[:, :1] + 1, second[:, 1:]], 1) % 97
        assert torch.equal(module(far)[:, 7:], module(second)[:, 7:])  # two layers reach 2 * (4 - 1) tokens back
        assert not torch.equal(module(far)[:, 6:7], module(second)[:, 6:7])


def test_published_shapes_have_their_sizes() -> None:
    assert GPT(preset="llama-1b").shape().parameters(128256) == 1_235_814_400
    assert GPT(preset="qwen3-0.6b").shape().parameters(151936) == 596_049_920
    assert GPT(preset="350m").shape() == GPT(preset="gpt2-350m").shape()


def test_the_dial_sets_width_and_heads_from_the_depth_alone() -> None:
    shape = GPT(preset="dial", depth=12).shape()
    assert (shape.width, shape.heads, shape.head_width, shape.kv_heads) == (768, 6, 128, 6)
    assert GPT(preset="dial", depth=1).shape().heads == 1 and GPT(preset="dial", depth=20, heads=20).shape().head_width == 64
    with pytest.raises(ValueError, match="needs a depth"):
        GPT(preset="dial")
    with pytest.raises(ValueError, match="rope_scaling is"):
        GPT(preset="llama-tiny", rope_scaling=(1.0, 2.0))
