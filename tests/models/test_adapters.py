"""LoRA and DoRA: outputs, gradients and folders are peft's; merging changes no logit; the base's weights are never written."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, Qwen3Config

from ropewalk.core.errors import DataError, MissingExtra
from ropewalk.models.adapter_module import AdaptedLinear, adapted_layers, merge_adapters, without_adapters
from ropewalk.models.folder_module import save_model
from ropewalk.models.gpt import GPT
from ropewalk.models.gpt_module import Decoder
from ropewalk.models.lora import LoRA
from ropewalk.models.model import load_model
from ropewalk.models.peft_module import load_adapted, read_config, save_adapter, tensors_of

peft = pytest.importorskip("peft")
pytestmark = pytest.mark.filterwarnings("ignore")  # transformers and peft warn about their own
logging.getLogger("transformers").setLevel(logging.ERROR)

HEADS = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
CONFIGS = {
    "llama": LlamaConfig(vocab_size=30, max_position_embeddings=32, **HEADS),
    "qwen3": Qwen3Config(vocab_size=30, max_position_embeddings=32, head_dim=4, **HEADS),
    "gpt2": GPT2Config(vocab_size=30, n_embd=16, n_layer=2, n_head=4, n_positions=32, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0),
}
ALL = {"gpt2": ["c_attn", "c_proj", "c_fc"]}
ROWS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
IDS = torch.arange(18).reshape(2, 9) % 30


def peft_folder(folder: Path, kind: str, **fields: Any) -> Any:
    """A base in `base`, peft's adapter beside it in `adapter`; returns peft's model."""
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_config(CONFIGS[kind]).eval()
    base.save_pretrained(folder / "base")
    wanted = {"r": 3, "lora_alpha": 6, "target_modules": ALL.get(kind, ROWS), "task_type": "CAUSAL_LM", **fields}
    model = peft.get_peft_model(base, peft.LoraConfig(**wanted, init_lora_weights=False, fan_in_fan_out=kind == "gpt2")).eval()
    model.save_pretrained(folder / "adapter")
    return model


def by_peft_name(gradients: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.replace(".default", "").removesuffix(".weight"): value for name, value in gradients.items()}


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("llama", {}),
        ("llama", {"use_dora": True, "target_modules": ["v_proj", "q_proj", "up_proj"]}),
        ("qwen3", {"use_rslora": True}),
        ("qwen3", {"use_dora": True}),
        ("gpt2", {}),
        ("gpt2", {"use_dora": True, "target_modules": ["attn.c_proj", "c_fc"]}),
    ],
)
def test_outputs_gradients_and_folders_are_pefts(tmp_path: Path, kind: str, fields: dict[str, Any]) -> None:
    theirs = peft_folder(tmp_path, kind, **fields)
    ours = load_adapted(tmp_path / "adapter", base=tmp_path / "base")
    expected, found = theirs(IDS).logits, ours.logits(ours(IDS))
    assert (expected - found).abs().max() < 1e-5
    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    (expected * weights).sum().backward()
    (found * weights).sum().backward()
    wanted = by_peft_name({name: p.grad for name, p in theirs.named_parameters() if p.requires_grad})
    own: dict[str, Tensor] = {}
    for _, layer in adapted_layers(ours):
        for part in layer.parts:
            for name in ("lora_A", "lora_B", "lora_magnitude"):
                group = getattr(layer, name)
                if group is not None:
                    ending = "lora_magnitude_vector" if name == "lora_magnitude" else name
                    own[f"base_model.model.{part.outside}.{ending}"] = group[part.name].grad
    assert set(own) == set(wanted)
    for name, gradient in own.items():
        assert (gradient - wanted[name]).abs().max() <= 1e-4 * wanted[name].abs().max(), name

    (tmp_path / "back").mkdir()
    save_adapter(tmp_path / "back", ours, read_config(tmp_path / "adapter"), {"key": "", "path": str(tmp_path / "base")})
    again = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tmp_path / "base"), tmp_path / "back").eval()
    assert torch.equal(again(IDS).logits, expected), "what we write, peft reads"
    assert (load_adapted(tmp_path / "back").logits(load_adapted(tmp_path / "back")(IDS)) - found).abs().max() == 0
    merge_adapters(ours)
    assert not adapted_layers(ours) and (ours.logits(ours(IDS)) - found).abs().max() < 1e-5
    merged = theirs.merge_and_unload()
    (tmp_path / "back" / "config.json").write_text((tmp_path / "base" / "config.json").read_text())
    plain = load_model(tmp_path / "back")
    assert (plain.logits(plain(IDS)) - merged(IDS).logits).abs().max() < 1e-5, "load_model gives the merged model"


def test_any_linear_layer_of_any_module_can_be_adapted() -> None:
    """As peft does to transformers' own model."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIGS["llama"]).eval()
    before = model(IDS).logits
    LoRA(rank=2, targets=["q_proj", "down_proj"]).attach(model, 3)
    assert len(adapted_layers(model)) == 4 and torch.equal(model(IDS).logits, before), "B begins at zero"
    for _, layer in adapted_layers(model):
        nn.init.normal_(layer.lora_B["own"])
    changed = model(IDS).logits
    assert not torch.allclose(changed, before)
    with without_adapters(model):
        assert torch.equal(model(IDS).logits, before)
    merge_adapters(model)
    assert torch.allclose(model(IDS).logits, changed, atol=1e-5)


def decoder(**fields: Any) -> Decoder:
    return GPT.model_validate({"preset": "qwen3-tiny", "depth": 2, "width": 16, "heads": 2, "context": 32, **fields}).build(30, 0)


@pytest.mark.parametrize(
    ("targets", "layers"),
    [
        ("all", {"attention.qkv", "attention.out", "mlp.up", "mlp.down"}),
        ("attention", {"attention.qkv", "attention.out"}),
        ("mlp", {"mlp.up", "mlp.down"}),
        (["q_proj", "v_proj"], {"attention.qkv"}),
        (["model.layers.1.mlp.down_proj"], {"mlp.down"}),
    ],
)
def test_targets_are_a_rule_or_names_from_transformers(targets: Any, layers: set[str]) -> None:
    module = decoder()
    LoRA(rank=2, targets=targets).attach(module, 0)
    found = [name for name, _ in adapted_layers(module)]
    assert {name.split(".", 2)[2] for name in found} == layers
    trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    assert trained and all(".lora_" in name for name in trained)
    parts = {part.name for _, layer in adapted_layers(module) for part in layer.parts}
    assert parts == {"q_proj", "v_proj"} if targets == ["q_proj", "v_proj"] else True


def test_a_target_that_is_nowhere_is_named_with_the_nearest() -> None:
    with pytest.raises(DataError, match=r"no layer 'qproj' .*q_proj"):
        LoRA(targets=["qproj"]).attach(decoder(), 0)


def test_nothing_to_train_is_an_error_before_any_step() -> None:
    """O42."""
    with pytest.raises(DataError, match="the adapter has no trainable parameter: no layer fits"):
        LoRA(targets="attention").attach(nn.Sequential(nn.Linear(4, 4)), 0)


def test_an_untied_head_is_no_target_and_equal_seeds_give_equal_adapters() -> None:
    modules = [decoder(tied=False) for _ in range(3)]
    for seed, module in zip((1, 1, 2), modules, strict=True):
        LoRA(rank=2).attach(module, seed)
        assert isinstance(module.head, nn.Linear)
    first, same, other = (torch.cat([tensor.flatten() for tensor in tensors_of(module).values()]) for module in modules)
    assert torch.equal(first, same) and not torch.equal(first, other)
    layer = adapted_layers(modules[0])[0][1]
    assert isinstance(layer, AdaptedLinear) and float(layer.lora_A["q_proj"].detach().abs().max()) <= layer.base.in_features**-0.5


def test_a_folder_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    peft_folder(tmp_path, "llama", target_modules=["q_proj"])
    other = decoder(width=32)
    save_model(tmp_path / "wide", other, None)
    with pytest.raises(DataError, match=r"does not fit its base: .* of another shape"):
        load_adapted(tmp_path / "adapter", base=tmp_path / "wide")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    for change, message in (
        ({"peft_type": "IA3"}, "peft_type: IA3"),
        ({"bias": "all"}, "bias: all"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"target_modules": ".*q_proj"}, "is a pattern"),
        ({"target_modules": ["v_proj"]}, "tensors missing"),
        ({"r": "many"}, "can't be read"),
    ):
        (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps({**config, **change}))
        with pytest.raises(DataError, match=message):
            load_adapted(tmp_path / "adapter", base=tmp_path / "base")
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": "elsewhere"}))
    with pytest.raises(DataError, match="base 'elsewhere' is not here"):
        load_model(tmp_path / "adapter")


def test_four_bits_without_bitsandbytes_is_a_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    known = metadata.version

    def version(name: str) -> str:
        if name == "bitsandbytes":
            raise metadata.PackageNotFoundError(name)
        return known(name)

    monkeypatch.setattr(metadata, "version", version)
    with pytest.raises(MissingExtra, match="quantise: nf4 needs the package bitsandbytes") as caught:
        LoRA(quantise="nf4").attach(decoder(), 0)
    assert "ropewalk[qlora]" in caught.value.remedy


def test_four_bits_train_and_merge_into_what_they_stand_for() -> None:
    pytest.importorskip("bitsandbytes")
    module = decoder(width=64, mlp_width=128)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.1)
    plain = module.logits(module(IDS)).detach()
    LoRA(rank=2, quantise="nf4").attach(module, 0)
    layer = adapted_layers(module)[0][1]
    assert layer.base.weight.dtype == torch.uint8
    quantised = module.logits(module(IDS)).detach()
    assert 0 < (plain - quantised).abs().max() < plain.abs().max()
    module.logits(module(IDS)).square().mean().backward()
    assert all(float(layer.lora_B[part.name].grad.abs().max()) > 0 for _, layer in adapted_layers(module) for part in layer.parts)
    for _, layer in adapted_layers(module):
        for matrix in layer.lora_B.values():
            nn.init.normal_(matrix, std=0.1)
    adapted = module.logits(module(IDS)).detach()
    merge_adapters(module)
    assert (module.logits(module(IDS)) - adapted).abs().max() <= 1e-4
