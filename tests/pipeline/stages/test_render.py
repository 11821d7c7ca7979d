"""The render stage: masks in the store, its checks, and what happens to conversations that fail them (case O26)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat_kit import BOS, EOS, LONG, PAD, chat, make_vocabulary
from ropewalk.core.artifact import Manifest
from ropewalk.core.errors import DataError
from ropewalk.core.ledger import read_ledger
from ropewalk.core.reference import Ref
from ropewalk.data.chat import TEMPLATES, Writer
from ropewalk.data.chats import Chats, write_chats
from ropewalk.data.masks import Rendering
from ropewalk.data.records import Chat, Message
from ropewalk.data.tokenizer import Tokenizer, Vocabulary
from ropewalk.data.tokens import Tokens
from ropewalk.pipeline.stages.render import Render
from ropewalk.pipeline.stages.tokenizer import TrainTokenizer

Make = Callable[..., Any]


@pytest.fixture
def render(tmp_path: Path, make_stage: Make) -> Callable[..., Any]:
    """`render([chats, …], length=…)` -> (tokens, facts); each list in `more` is a further input."""
    number = 0

    def run(chats: list[Chat], *more: list[Chat], chat_template: str = "", **fields: Any) -> Any:
        nonlocal number
        number += 1
        place = tmp_path / f"in{number}"
        words = make_vocabulary(place / "words", chat_template=chat_template)
        inputs: dict[str, Any] = {"words": Tokenizer(words.folder, Manifest("Tokenizer"))}
        for index, part in enumerate([chats, *more]):
            write_chats(part, place / f"c{index}" / "chats" / "00000.parquet")
            inputs[f"c{index}"] = Chats(place / f"c{index}", Manifest("Chats"))
        names = [Ref[Chats](f"c{index}") for index in range(len(more) + 1)]
        stage = Render(input=names if more else names[0], tokenizer=Ref("words"), **{"length": 64, **fields})
        return make_stage(stage, inputs, f"made{number}")

    return run


def trained_texts(tokens: Tokens) -> list[str]:
    words = Vocabulary(tokens.tokenizer_path)
    return [words.decode(one.tokens[one.mask]) for one in tokens.read("train") if one.mask is not None]


def test_the_store_holds_the_mask_and_the_template(render: Callable[..., Any]) -> None:
    tokens, facts = render([LONG], template="zephyr")
    assert trained_texts(tokens) == [f"hi there{EOS}fine{EOS}"]
    assert facts.counts["kept"] == 1 and facts.metrics["train/trained_tokens"] == int(tokens.mask[1:].sum())
    assert "<|' + message" in Vocabulary(tokens.tokenizer_path).names["chat_template"]
    assert "generation" not in Vocabulary(tokens.tokenizer_path).names["chat_template"].replace("add_generation_prompt", "")


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_a_model_is_asked_as_it_was_trained(render: Callable[..., Any], name: str) -> None:
    """What travels with the tokens renders BOS too, in any program (case O22)."""
    from transformers import AutoTokenizer

    tokens, _ = render([chat(("user", "q"), ("assistant", "a"))], template=name)
    [one] = tokens.read("train")
    theirs = AutoTokenizer.from_pretrained(tokens.tokenizer_path)
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    assert theirs.apply_chat_template(turns, tokenize=True, return_dict=False) == one.tokens.tolist()
    asked = theirs.apply_chat_template(turns[:1], tokenize=False, add_generation_prompt=True)
    assert theirs.decode(one.tokens).startswith(asked)


def test_a_tokenizer_whose_bos_opens_turns_gets_no_second_one(tmp_path: Path) -> None:
    """Sibling: SmolLM2's BOS is <|im_start|>."""
    words = make_vocabulary(tmp_path, ("<|im_start|>", "<|im_end|>", PAD))
    writer = Writer(TEMPLATES["chatml"], words)
    assert writer.jinja == TEMPLATES["chatml"].jinja
    rendering = writer.write(LONG)
    assert isinstance(rendering, Rendering) and rendering.text.startswith("<|im_start|>system") and not rendering.ends_added


def test_inputs_of_several_stages_are_rendered_in_order(render: Callable[..., Any]) -> None:
    parts = [[chat(("user", "q"), ("assistant", f"a{index}"), id_=f"c{index}")] for index in range(3)]
    tokens, facts = render(*parts)
    assert [one.id for one in tokens.read("train")] == ["c0", "c1", "c2"] and facts.counts["records_in"] == 3


def test_the_tokenizers_own_template_stays_with_the_tokens(render: Callable[..., Any]) -> None:
    own = "{% for m in messages %}{{ m.role ~ ':\\n' ~ m.content ~ '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant:\\n' }}{% endif %}"  # noqa: E501
    tokens, facts = render([LONG], template="own", chat_template=own)
    assert trained_texts(tokens) == [f"hi there{EOS}fine{EOS}"] and facts.metrics["ends_added"] == 2
    assert Vocabulary(tokens.tokenizer_path).names["chat_template"] == "{{ bos_token }}" + own
    with pytest.raises(DataError, match=r"render: .*has no chat template"):
        render([LONG], template="own")


def test_o26_a_prompt_longer_than_a_sequence_is_dropped_and_counted(render: Callable[..., Any]) -> None:
    long = chat(("user", "word " * 200), ("assistant", "a"), id_="long")
    tokens, facts = render([long, LONG], too_long="drop")
    assert facts.counts["dropped/too_long"] == 1 and [one.id for one in tokens.read("train")] == ["c"]
    assert read_ledger(tokens.path)["id"].to_pylist() == ["long"]
    assert all(tokens.sequences("train").trained > 0)


def test_o26_the_prompt_is_cropped_on_wish_and_the_system_turn_last(render: Callable[..., Any]) -> None:
    turns = [("system", "be kind"), *[("user", "word " * 9), ("assistant", "word " * 5)] * 9]
    tokens, facts = render([chat(*turns)], too_long="crop_prompt", max_too_long=1)
    [one] = tokens.read("train")
    assert len(one.tokens) - 1 <= 64 and "be kind" in Vocabulary(tokens.tokenizer_path).decode(one.tokens)
    assert facts.metrics["cropped_chats"] == 1 and facts.metrics["cropped_tokens"] > 64 and facts.counts["kept"] == 1


def test_o26_an_answer_that_never_fits_is_dropped_whatever_is_cropped(render: Callable[..., Any]) -> None:
    """Sibling: cropping ends where nothing would be left to train."""
    _, facts = render([chat(("user", "q"), ("assistant", "word " * 200), id_="x"), LONG], too_long="crop_prompt")
    assert facts.counts["dropped/too_long"] == 1 and facts.counts["kept"] == 1


def test_o26_nothing_to_train_is_dropped_or_an_error(render: Callable[..., Any]) -> None:
    """Sibling: a conversation without an assistant."""
    idle = chat(("user", "q"), id_="idle")
    tokens, facts = render([idle, LONG])
    assert facts.counts["dropped/nothing_trained"] == 1 and all(
        mask.any() for one in tokens.read("train") if (mask := one.mask) is not None
    )
    with pytest.raises(DataError, match="chat 'idle': nothing_trained"):
        render([idle, LONG], on_fault="error")
    with pytest.raises(DataError, match=r"no conversation is left of 1 \(1 nothing_trained\)"):
        render([idle])


def test_too_many_long_ones_are_an_error(render: Callable[..., Any]) -> None:
    chats = [chat(("user", "word " * 200), ("assistant", "a"), id_=f"{index}") for index in range(2)]
    with pytest.raises(DataError, match=r"2 of 3 conversations are longer than 64 positions \(67%\)"):
        render([*chats, LONG])
    assert render([*chats, LONG], max_too_long=0.7)[1].counts["kept"] == 1
    with pytest.raises(DataError, match=r"chat '0' has .* positions, a sequence 64"):
        render([*chats, LONG], too_long="error")
    with pytest.raises(DataError, match=r"no conversation is left of 2 \(2 too_long\)"):
        render(chats)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{ bos_token ~ bos_token }}{% for m in messages %}{{ m.content ~ eos_token }}{% endfor %}", "two_bos"),
        ("{% generation %}{{ messages[-1].content }}{% endgeneration %}", "template_drops_turn"),
        ("{{ raise_exception('no') }}", "template_refuses"),
    ],
)
def test_faults_of_a_template_are_told(render: Callable[..., Any], source: str, reason: str) -> None:
    with pytest.raises(DataError, match=rf"no conversation is left of 1 \(1 {reason}\)"):
        render([LONG], template="own", chat_template=source)
    with pytest.raises(DataError, match=f"chat 'c': {reason}"):
        render([LONG], template="own", chat_template=source, on_fault="error")


def test_control_tokens_that_texts_spell_are_counted_and_stay_text(render: Callable[..., Any]) -> None:
    tokens, facts = render([chat(("user", "<|im_end|> and </s>"), ("assistant", "<|im_start|>"))])
    words = Vocabulary(tokens.tokenizer_path)
    [one] = tokens.read("train")
    assert facts.metrics["spelt_controls"] == 3
    assert [int((one.tokens == words.control(name)).sum()) for name in ("<|im_end|>", "<|im_start|>", EOS, BOS, PAD)] == [2, 2, 0, 1, 0]


def test_a_recipe_is_told_beforehand_that_control_tokens_are_missing() -> None:
    stage = Render(input=Ref("chats"), tokenizer=Ref("vocab"), template="llama3", length=8)
    [(path, message)] = stage.problems({"tokenizer": TrainTokenizer(input=Ref("raw"))})
    assert path == "template" and "<|eot_id|>" in message and "special: llama3" in message
    assert not stage.problems({"tokenizer": TrainTokenizer(input=Ref("raw"), special="llama3")})


@settings(max_examples=15)
@given(
    st.lists(
        st.lists(st.text(st.sampled_from("ab <|>é"), min_size=1, max_size=9).filter(str.strip), min_size=1, max_size=4),
        min_size=1,
        max_size=6,
    )
)
def test_every_conversation_is_accounted_for_in_any_cut(tmp_path_factory: pytest.TempPathFactory, texts: list[list[str]]) -> None:
    """Shards don't matter: the tokens are those of one conversation after another."""
    from ropewalk.core.shards import Shard
    from ropewalk.pipeline.stages.render import _RenderShard

    place = tmp_path_factory.mktemp("cut")
    words = make_vocabulary(place / "words")
    chats = [
        Chat(str(n), tuple(Message(("user", "assistant")[i % 2], text) for i, text in enumerate(part))) for n, part in enumerate(texts)
    ]
    function = _RenderShard("render", words.folder, "chatml", "assistant", "think", 24, "drop", "drop")

    def tokens_of(parts: list[list[Chat]], name: str) -> tuple[Any, int]:
        found, records = [], 0
        for index, part in enumerate(parts):
            out = place / f"{name}{index}"
            out.mkdir()
            write_chats(part, place / f"{name}{index}.parquet")
            counts = function(Shard("s", place / f"{name}{index}.parquet"), out).counts
            assert counts["records_in"] == counts["kept"] + counts["dropped"] == len(part)
            records += counts["kept"]
            found.append(np.fromfile(out / "encoded" / "s.tokens", np.uint16))
        return np.concatenate(found).tolist(), records

    assert tokens_of([chats], "whole") == tokens_of([[one] for one in chats], "parts")
