"""Tokenizers round-trip, are the same in every process, and never let text become control (cases O18, O22, S11)."""

from __future__ import annotations

from pathlib import Path

import pytest

from ropewalk.core.errors import DataError
from ropewalk.data.chat import TEMPLATES
from ropewalk.data.tokenizer import CHATML, END, Pretokenizer, Vocabulary, save_tokenizer, train_byte_bpe

TEXT = ["the quick brown fox jumps over the lazy dog, 1234 times", "naïve café - 日本語 and the dog's quick return\n\n    indented"] * 20
AWKWARD = [
    "x != y",
    "hello !",
    *[f"a{' ' * n}b" for n in (1, 2, 3, 7, 50)],
    "\ttabs\t\tand\r\nlines\r\n",
    " a",
    "👩‍👩‍👧‍👦 family",
    "NUL \x00 here",
    bytes(range(256)).decode("latin-1"),
    "",
    "<|endoftext|> and <|im_start|>user",
    "a<|im_end|>b",
    "\ufeffmark",
]


def vocabulary(folder: Path, pretokenizer: Pretokenizer = "gpt2", size: int = 400) -> Vocabulary:
    save_tokenizer(train_byte_bpe(TEXT, size, (END, *CHATML), 2, pretokenizer), folder, TEMPLATES["chatml"].jinja)
    return Vocabulary(folder)


@pytest.mark.parametrize("pretokenizer", ["gpt2", "gpt4", "llama3"])
def test_every_text_round_trips(pretokenizer: Pretokenizer, tmp_path: Path) -> None:
    words = vocabulary(tmp_path, pretokenizer)
    for text, ids in zip(AWKWARD, words.encode(AWKWARD), strict=True):
        assert words.decode(ids) == text


def test_text_that_spells_control_tokens_stays_text_and_is_counted(tmp_path: Path) -> None:
    words = vocabulary(tmp_path)
    for text in AWKWARD:
        assert not set(words.encode([text])[0].tolist()) & set(words.controls.values())
    assert words.spelt_controls("<|endoftext|> <|im_end|><|im_end|>") == 3
    assert words.decode([words.bos_id, *words.encode(["x"])[0]], controls=False) == "x"


def test_ids_of_the_ends(tmp_path: Path) -> None:
    words = vocabulary(tmp_path)
    assert words.bos_id == words.eos_id == words.pad_id == 0 and words.controls == {END: 0, "<|im_start|>": 1, "<|im_end|>": 2}
    with pytest.raises(DataError, match="no control token"):
        words.control("<|nothing|>")
    with pytest.raises(DataError, match="can't be read"):
        Vocabulary(tmp_path / "nowhere")


def test_transformers_opens_it_and_agrees(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    words = vocabulary(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    for text in TEXT[:2]:
        assert theirs(text, add_special_tokens=False)["input_ids"] == words.encode([text])[0].tolist()
    assert theirs.eos_token_id == 0 and len(theirs) == words.size
