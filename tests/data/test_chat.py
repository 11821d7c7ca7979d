"""Masks from characters, not ids; one BOS; one trained end a turn (cases O21 to O26)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ropewalk.core.errors import DataError
from ropewalk.data.chat import TEMPLATES, TrainOn, content_of, encode_pieces
from ropewalk.data.chats import read_chats, write_chats
from ropewalk.data.records import Chat, Message, ToolCall
from ropewalk.data.tokenizer import CHATML, END, Vocabulary, save_tokenizer, train_byte_bpe

TEXT = ["user\nassistant\nsystem\n hello there, how are you? fine thanks", "### User:\n### Assistant:\n\n what is it"] * 9


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(train_byte_bpe(TEXT, 380, (END, *CHATML), 2, "gpt2"), folder, TEMPLATES["chatml"].jinja)
    return Vocabulary(folder)


def chat(*turns: tuple[str, str]) -> Chat:
    return Chat("c", tuple(Message(role, content) for role, content in turns))


LONG = chat(("system", "be kind"), ("user", "hello"), ("assistant", "hi there"), ("user", "how are you?"), ("assistant", "fine"))


def trained_text(words: Vocabulary, template: str, found: Chat, train_on: TrainOn = "assistant") -> str:
    ids, trained = encode_pieces(TEMPLATES[template].pieces(found, train_on), words)
    return "".join(words.decode([id_]) for id_, own in zip(ids, trained, strict=True) if own)


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_trained_characters_are_the_answers_and_their_ends(words: Vocabulary, template: str) -> None:
    stop = TEMPLATES[template].stop
    assert trained_text(words, template, LONG) == f"hi there{stop}fine{stop}"
    assert trained_text(words, template, LONG, "last") == f"fine{stop}"
    everything = trained_text(words, template, LONG, "all")
    assert "be kind" in everything and "how are you?" in everything and "### User" not in everything and "user\n" not in everything


@pytest.mark.parametrize("template", sorted(TEMPLATES))
@pytest.mark.parametrize("before", ["", ".", "\n", " ", "👋", "<|im_end|>", "assistant\n", "### Assistant:\n"])
def test_what_stands_before_changes_no_trained_character(words: Vocabulary, template: str, before: str) -> None:
    stop = TEMPLATES[template].stop
    assert trained_text(words, template, chat(("user", before + "hello"), ("assistant", "fine thanks"))) == f"fine thanks{stop}"


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_one_bos_and_one_trained_end_a_turn(words: Vocabulary, template: str) -> None:
    ids, trained = encode_pieces(TEMPLATES[template].pieces(LONG, "assistant"), words)
    assert ids[0] == words.bos_id and not trained[0] and (template == "plain" or (ids == words.bos_id).sum() == 1)
    stop = words.control(TEMPLATES[template].stop)
    assert (ids[trained] == stop).sum() == 2


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_transformers_renders_the_same_ids(words: Vocabulary, template: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    save_tokenizer(words.engine, tmp_path, TEMPLATES[template].jinja)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    turns = [{"role": turn.role, "content": turn.content} for turn in LONG.messages]
    expected = theirs.apply_chat_template(turns, tokenize=True, return_dict=False)
    assert encode_pieces(TEMPLATES[template].pieces(LONG, "assistant"), words)[0].tolist() == expected
    prompt = theirs.apply_chat_template(turns[:2], tokenize=True, add_generation_prompt=True, return_dict=False)
    assert encode_pieces(TEMPLATES[template].prompt(Chat("c", LONG.messages[:2])), words)[0].tolist() == prompt


def test_odd_orders_train_assistants_only(words: Vocabulary) -> None:
    odd = chat(
        ("assistant", "first"), ("user", "q"), ("user", "q2"), ("assistant", "a"), ("tool", "result"), ("tool", "more"), ("assistant", "b")
    )
    assert trained_text(words, "chatml", odd) == "first<|im_end|>a<|im_end|>b<|im_end|>"
    assert "result" not in trained_text(words, "chatml", odd, "all")
    with pytest.raises(DataError, match="chat 'c': unknown role 'robot' in turn 2"):
        TEMPLATES["chatml"].pieces(chat(("user", "x"), ("robot", "y")), "assistant")


def test_a_token_over_the_border_counts_as_trained(words: Vocabulary) -> None:
    ids, trained = encode_pieces(TEMPLATES["chatml"].pieces(chat(("user", "q"), ("assistant", "\n\nanswer")), "assistant"), words)
    text = "".join(words.decode([id_]) for id_, own in zip(ids, trained, strict=True) if own)
    assert text.endswith("answer<|im_end|>") and len(ids) == len(trained) and text.count("\n") >= 2


def test_tool_calls_are_written_and_chats_come_back_from_disk(tmp_path: Path) -> None:
    call = Message("assistant", "", (ToolCall("f", {"a": 1}),))
    assert content_of(call) == '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'
    chats = [Chat("007", (Message("user", "q", name="n"), call, Message("tool", "r")), ({"name": "f"},), "s", "MIT"), LONG]
    write_chats(chats, tmp_path / "c.parquet")
    assert list(read_chats(tmp_path / "c.parquet")) == chats


def test_empty_text_between_controls_is_no_token(words: Vocabulary) -> None:
    ids, trained = encode_pieces(TEMPLATES["chatml"].pieces(Chat("c", ()), "assistant"), words)
    assert ids.tolist() == [words.bos_id] and not np.any(trained)
