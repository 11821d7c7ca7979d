"""Known faults of chat training (cases O21 to O26), each with siblings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from chat_kit import BOS, EOS, LONG, PAD, chat, make_vocabulary, stop_of, trained, written
from ropewalk.core.errors import DataError
from ropewalk.data.chat import TEMPLATES, Template, Writer
from ropewalk.data.masks import Cutter, Marks, Piece, encode_pieces
from ropewalk.data.records import Chat, Message, Rejected, ToolCall
from ropewalk.data.tokenizer import END, Vocabulary

NAMES = sorted(TEMPLATES)
BEFORE = ["", ".", "\n", " ", "👋", "<|im_end|>", "assistant\n", "### Assistant:\n", "[/INST]", "</s>", "<end_of_turn>", "\ufdd1"]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    return make_vocabulary(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def one_end(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    """BOS, EOS and padding are one token."""
    return make_vocabulary(tmp_path_factory.mktemp("tokenizer"), (END, END, END))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("before", BEFORE)
def test_o21_what_stands_before_changes_no_trained_character(words: Vocabulary, name: str, before: str) -> None:
    plain = trained(written(words, name, chat(("user", "hello"), ("assistant", "fine thanks"))))
    found = written(words, name, chat(("user", before + "hello"), ("assistant", "fine thanks")))
    assert trained(found) == plain and plain.endswith(f"fine thanks{stop_of(name)}")
    ids, mask = encode_pieces(found.pieces, words)
    assert words.decode(ids[mask]).strip().endswith(f"fine thanks{stop_of(name)}") and not mask[: len(ids) // 4].any()


@pytest.mark.parametrize("name", NAMES)
def test_o21_an_answer_that_spells_the_template_is_trained_whole(words: Vocabulary, name: str) -> None:
    """Sibling: the head and the end of a turn inside of the answer."""
    answer = f"x{stop_of(name)} <|im_start|>assistant\n### Assistant:\n[INST] {BOS}"
    found = written(words, name, chat(("user", "q"), ("assistant", answer)))
    assert answer.strip() + stop_of(name) in trained(found)
    ids, mask = encode_pieces(found.pieces, words)
    assert (ids[mask] == words.control(stop_of(name))).sum() == 1 and (ids == words.bos_id).sum() == 1


def test_o21_tool_names_and_arguments_that_spell_control_tokens_stay_text(words: Vocabulary) -> None:
    """Sibling: not only contents hold such texts."""
    call = ToolCall("<|im_end|>", {"<|im_start|>": ["<|im_end|>"]})
    tools = ({"name": "<|im_end|>", "description": "<|im_start|>system"},)
    found = written(words, "qwen3", Chat("c", (Message("user", "q", name="<|im_end|>"), Message("assistant", "", (call,))), tools))
    ids, _ = encode_pieces(found.pieces, words)
    assert (ids == words.control("<|im_start|>")).sum() == 3 == (ids == words.control("<|im_end|>")).sum()


@pytest.mark.parametrize("name", NAMES)
def test_o22_one_bos_with_and_without_the_templates(words: Vocabulary, one_end: Vocabulary, name: str) -> None:
    for vocabulary in (words, one_end):
        for found in (written(vocabulary, name, LONG), Writer(TEMPLATES[name], vocabulary).prompt(LONG)):
            ids, mask = encode_pieces(found.pieces, vocabulary)
            assert ids[0] == vocabulary.bos_id and ids[1] != vocabulary.bos_id and not mask[0]


def test_o22_a_tokenizer_that_adds_bos_by_itself_adds_none_here(tmp_path: Path) -> None:
    """Sibling: the post-processor of Llama's tokenizers."""
    from tokenizers.processors import TemplateProcessing

    vocabulary = make_vocabulary(tmp_path)
    engine = vocabulary.engine
    engine.post_processor = TemplateProcessing(
        single=f"{BOS} $A {EOS}", special_tokens=[(name, vocabulary.control(name)) for name in (BOS, EOS)]
    )
    assert engine.encode("a").tokens[0] == BOS
    ids, _ = encode_pieces(written(vocabulary, "llama3", LONG).pieces, vocabulary)
    assert (ids == vocabulary.bos_id).sum() == 1 and (ids == vocabulary.eos_id).sum() == 0


def test_o22_a_template_without_ends_does_not_lose_eos(words: Vocabulary) -> None:
    """Sibling: marked or not, each turn of the assistant gets the tokenizer's EOS, and that is counted."""
    bare = "{% for m in messages %}\n{{ m.role }}: {{ m.content }}{% endfor %}{% if add_generation_prompt %}\nassistant: {% endif %}"
    marked = "{% for m in messages %}\n{{ m.role }}: {% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}"  # noqa: E501
    for source in (bare, marked):
        found = written(words, Template("own", source), LONG)
        assert trained(found) == f"hi there{EOS}fine{EOS}" and found.ends_added == 2 and found.unended == 0
    assert not words.names.get("chat_template")
    without = Cutter((BOS,), "").cut("\ufdd1x\ufdd2", Marks("\ufdd0", ("\ufdd1", "\ufdd2"), ("\ufdd3", "\ufdd4")), "assistant", 1)
    assert without.unended == 1 and without.pieces == [Piece("x", True)]


@pytest.mark.parametrize("name", NAMES)
def test_o23_one_trained_end_a_turn_also_when_padding_is_eos(one_end: Vocabulary, name: str) -> None:
    assert one_end.pad_id == one_end.eos_id == one_end.bos_id
    for found, turns in ((LONG, 2), (chat(("user", "q"), ("assistant", "a")), 1)):
        ids, mask = encode_pieces(written(one_end, name, found).pieces, one_end)
        stop = stop_of(name) if stop_of(name) != EOS else END
        assert (ids[mask] == one_end.control(stop)).sum() == turns == (ids[1:] == one_end.control(stop))[mask[1:]].sum()


def test_o23_a_model_trained_on_one_conversation_stops(one_end: Vocabulary) -> None:
    """200 steps with padding that is EOS: greedy generation says the answer and its end."""
    import torch

    from ropewalk.models.generate_module import generate
    from ropewalk.models.gpt import GPT

    found = chat(("user", "hello"), ("assistant", "fine thanks"))
    ids, mask = encode_pieces(written(one_end, "plain", found).pieces, one_end)
    padded = torch.tensor([*ids.tolist(), *[one_end.pad_id] * 4])
    own = torch.tensor([*mask.tolist(), *[False] * 4])[1:]  # by position: the padding is EOS too
    module = GPT(preset="llama-tiny", depth=1, width=32, heads=2, mlp_width=64, context=64).build(one_end.size, seed=1)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.01)
    for _ in range(200):
        loss = torch.nn.functional.cross_entropy(module.logits(module(padded[None, :-1]))[0][own], padded[1:][own])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    asked = Writer(TEMPLATES["plain"], one_end).prompt(Chat("c", found.messages[:1]))
    prompt = encode_pieces(asked.pieces, one_end)[0].tolist()
    assert one_end.decode(generate(module, prompt, 20, stop_ids={one_end.eos_id})) == "fine thanks"
    assert len(generate(module, prompt, 20, stop_ids={one_end.eos_id})) < 20


def test_o23_the_end_is_trained_when_the_template_leaves_it_outside_the_mark(words: Vocabulary) -> None:
    """Sibling: templates whose `generation` block holds the content alone."""
    source = "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{{ eos_token }}{% else %}{{ m.content }}{% endif %}{% endfor %}"  # noqa: E501
    found = written(words, Template("own", source), LONG)
    assert trained(found) == f"hi there{EOS}fine{EOS}" and not found.ends_added


def test_o23_a_line_break_behind_the_end_asks_for_no_second_end(words: Vocabulary) -> None:
    """Sibling: templates whose `generation` block goes on to the end of the line, and those that mark the last end by itself."""
    line = "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content ~ '<|im_end|>\n' }}{% endgeneration %}{% else %}{{ m.content ~ '\n' }}{% endif %}{% endfor %}"  # noqa: E501
    found = written(words, Template("own", line), LONG)
    assert trained(found) == "hi there<|im_end|>\nfine<|im_end|>\n" and not found.ends_added
    closed = line + "{% generation %}{{ eos_token }}{% endgeneration %}"
    found = written(words, Template("own", closed), LONG)
    assert trained(found) == f"hi there<|im_end|>\nfine<|im_end|>\n{EOS}" and found.turns == 2
    assert trained(written(words, Template("own", closed), LONG, "last")) == f"fine<|im_end|>\n{EOS}"


def test_o23_an_opening_token_behind_an_answer_is_no_end(words: Vocabulary) -> None:
    """Sibling: the next turn's opening is not taken for it."""
    source = "{% for m in messages %}{{ '<|im_start|>' }}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}"  # noqa: E501
    found = written(words, Template("own", source), chat(("user", "q"), ("assistant", "a"), ("user", "r"), ("assistant", "b")))
    assert trained(found) == f"a{EOS}b{EOS}"


@pytest.mark.parametrize("name", NAMES)
def test_o24_each_option_changes_the_mask(words: Vocabulary, name: str) -> None:
    stop = stop_of(name)
    thought = "<think>\n\n</think>\n\n" if name == "qwen3" else ""
    assert trained(written(words, name, LONG)) == f"hi there{stop}{thought}fine{stop}"
    assert trained(written(words, name, LONG, "last")) == f"{thought}fine{stop}"
    everything = trained(written(words, name, LONG, "all"))
    assert all(turn.content in everything for turn in LONG.messages)
    assert "### User" not in everything and "user\n" not in everything and "[INST]" not in everything


@pytest.mark.parametrize("name", ["chatml", "zephyr", "llama3"])
def test_o24_options_work_on_a_template_without_marks(words: Vocabulary, name: str) -> None:
    """Sibling: there `all` trains the heads of other turns too, and still no tool output."""
    own = Template("own", TEMPLATES[name].jinja)
    assert trained(written(words, own, LONG, "last")) == trained(written(words, name, LONG, "last"))
    found = written(words, own, chat(("user", "q"), ("tool", "result"), ("assistant", "a")), "all")
    assert "q" in trained(found) and "result" not in trained(found)


def test_o24_last_of_a_conversation_that_ends_with_the_user(words: Vocabulary) -> None:
    """Sibling: the last turn of the assistant, not the last turn; and none without one."""
    assert trained(written(words, "chatml", chat(("assistant", "a"), ("user", "q")), "last")) == "a<|im_end|>"
    assert trained(written(words, "chatml", chat(("user", "q")), "last")) == ""


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("roles", ["uaau", "uua", "uatta", "aua", "sua", "ssua", "a", "tua", "usa"])
def test_o25_odd_orders_train_assistants_only(words: Vocabulary, name: str, roles: str) -> None:
    names = {"u": "user", "a": "assistant", "t": "tool", "s": "system"}
    odd = chat(*((names[letter], f"text{index}") for index, letter in enumerate(roles)))
    found = trained(written(words, name, odd)).replace("<think>\n\n</think>\n\n", "")
    assert found == "".join(f"text{index}{stop_of(name)}" for index, letter in enumerate(roles) if letter == "a")
    everything = trained(written(words, name, odd, "all"))
    assert [f"text{index}" in everything for index in range(len(roles))] == [letter != "t" for letter in roles]


def test_o25_an_unknown_role_names_conversation_and_turn(words: Vocabulary) -> None:
    for name in NAMES:
        with pytest.raises(DataError, match="chat 'c': unknown role 'robot' in turn 2"):
            written(words, name, chat(("user", "x"), ("robot", "y")))


def test_o25_a_strict_template_refuses_by_its_own_words(words: Vocabulary) -> None:
    """Sibling: the tokenizer's own template may know no odd orders."""
    strict = "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('must alternate') }}{% endif %}{{ m.content }}{% endfor %}"  # noqa: E501
    odd = chat(("user", "x"), ("user", "y"), ("assistant", "z"))
    assert Writer(Template("own", strict), words).write(odd) == Rejected("template_refuses", "must alternate")


def test_masks_of_tokens_that_hold_both_and_of_characters_cut_in_bytes(words: Vocabulary) -> None:
    pieces = [Piece("he", False), Piece("llo", True), Piece(" 👋", False), Piece("👋 x", True)]
    ids, mask = encode_pieces(pieces, words)
    text = "hello 👋👋 x"
    _, ends = words.encode_with_ends(text)
    own = np.array([False] * 2 + [True] * 3 + [False] * 2 + [True] * 3)
    for index, end in enumerate(ends):
        start = min(ends[index - 1] if index else 0, end - 1)
        assert mask[index] == own[start:end].any(), (index, words.decode([ids[index]]))
    assert encode_pieces([], words)[0].tolist() == []


def test_a_conversation_may_hold_characters_that_are_no_text(words: Vocabulary) -> None:
    found = written(words, "chatml", chat(("user", "\ufdd0\ufdd1 <|im_end|>"), ("assistant", "\ufdd2a\ufdd3")))
    assert found.text.count("\ufdd0\ufdd1 <|im_end|>") == 1 and trained(found) == "\ufdd2a\ufdd3<|im_end|>"
    with pytest.raises(DataError, match="U\\+FDD0 to U\\+FDEF"):
        written(words, "chatml", chat(("user", "".join(map(chr, range(0xFDD0, 0xFDED)))), ("assistant", "a")))


def test_padding_is_known(words: Vocabulary) -> None:
    assert words.pad_id == words.control(PAD) != words.eos_id
