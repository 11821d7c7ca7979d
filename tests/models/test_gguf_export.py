"""GGUF files: every tensor under llama.cpp's name and in its layout; a tokenizer that it would cut otherwise is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from ropewalk.core.errors import DataError
from ropewalk.data.tokenizer import CHATML, END, Pretokenizer, save_tokenizer, train_byte_bpe
from ropewalk.models.folder_module import save_model
from ropewalk.models.gguf_module import interleaved, write_gguf
from ropewalk.models.gpt import GPT
from ropewalk.models.gpt_module import Decoder

gguf = pytest.importorskip("gguf")
SMALL = {"depth": 2, "width": 16, "heads": 2, "context": 32}


def saved(folder: Path, rule: Any = "gpt2", **fields: Any) -> Decoder:
    engine = train_byte_bpe(["two ropes of 12345 strands"] * 4, 290, (END, *CHATML), 2, rule)
    save_tokenizer(engine, folder / "vocab")
    module = GPT.model_validate({**SMALL, **fields}).build(engine.get_vocab_size(), 0)
    for parameter in module.parameters():
        parameter.data.add_(0.01)
    save_model(folder, module, folder / "vocab")
    return module


@pytest.mark.parametrize("preset", ["gpt2-tiny", "llama-tiny", "qwen3-tiny"])
def test_every_weight_is_there_in_llama_cpps_layout(tmp_path: Path, preset: str) -> None:
    module = saved(tmp_path, preset=preset)
    facts = write_gguf(tmp_path, tmp_path / "model.gguf")
    reader = gguf.GGUFReader(tmp_path / "model.gguf")
    found = {tensor.name: tensor.data for tensor in reader.tensors}
    assert facts["gguf_max_difference"] == 0.0 and facts["gguf_bytes"] == (tmp_path / "model.gguf").stat().st_size
    own = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    assert sum(values.size for values in found.values()) == sum(values.size for values in own.values())
    assert np.array_equal(found["blk.1.ffn_down.weight"], own["blocks.1.mlp.down.weight"])
    assert np.array_equal(found["token_embd.weight"], own["embed.weight"])
    if preset == "gpt2-tiny":
        assert np.array_equal(found["blk.0.attn_qkv.weight"], own["blocks.0.attention.qkv.weight"])
    else:
        query = own["blocks.0.attention.qkv.weight"][:16]
        assert np.array_equal(found["blk.0.attn_q.weight"], interleaved(query, 8) if preset == "llama-tiny" else query)


def test_llamas_rows_are_paired_as_they_are_rotated() -> None:
    rows = np.arange(16, dtype=np.float32).reshape(16, 1)  # two heads of 8: halves 0-3 and 4-7
    assert interleaved(rows, 8)[:, 0].tolist() == [0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15]


@pytest.mark.parametrize("rule", get_args(Pretokenizer))
def test_the_rule_of_words_is_named(tmp_path: Path, rule: str) -> None:
    saved(tmp_path, rule, preset="qwen3-tiny")
    write_gguf(tmp_path, tmp_path / "model.gguf")
    field = gguf.GGUFReader(tmp_path / "model.gguf").fields["tokenizer.ggml.pre"]
    assert field.contents() == ("gpt-2" if rule == "gpt2" else "llama-bpe")


def test_what_llama_cpp_does_not_have_is_refused(tmp_path: Path) -> None:
    saved(tmp_path, preset="qwen3-tiny")
    text = (tmp_path / "tokenizer.json").read_text()
    (tmp_path / "tokenizer.json").write_text(
        text.replace('"use_regex": true', '"use_regex": false').replace('"use_regex":true', '"use_regex":false')
    )
    with pytest.raises(DataError, match="no name for how this tokenizer cuts text"):
        write_gguf(tmp_path, tmp_path / "model.gguf")
    other = tmp_path / "other"
    saved(other, preset="gpt2-tiny", norm="rms")
    with pytest.raises(DataError, match="no architecture for 'ropewalk_gpt'"):
        write_gguf(other, other / "model.gguf")
