"""Templates say what their public forms say, and know which characters are the assistant's."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat_kit import BOS, EOS, LONG, PAD, chat, make_vocabulary, stop_of, trained, written
from ropewalk.core.errors import DataError
from ropewalk.data.chat import TEMPLATES, Template, Writer, content_of, own_template, template_of
from ropewalk.data.chats import read_chats, write_chats
from ropewalk.data.masks import encode_pieces
from ropewalk.data.records import Chat, Message, Rejected, ToolCall
from ropewalk.data.tokenizer import Vocabulary, save_tokenizer

NAMES = sorted(TEMPLATES)
TOOLS = Chat(
    "t",
    (
        Message("user", "weather?"),
        Message("assistant", "I look.", (ToolCall("get", {"city": "Rome"}), ToolCall("get", {"city": "Oslo"}))),
        Message("tool", "sun"),
        Message("tool", "snow"),
        Message("assistant", "Sun and snow."),
    ),
    ({"name": "get", "description": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},),
)
PUBLIC = {
    "chatml": (
        "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    ),
    "llama3": (
        "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + "
        "'<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content"  # noqa: E501
        " %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}"
        "{% endif %}"
    ),
    "mistral": (
        '{%- if messages[0]["role"] == "system" %}{%- set system_message = messages[0]["content"] %}{%- set loop_messages = messages[1:] %}'
        "{%- else %}{%- set loop_messages = messages %}{%- endif %}{{- bos_token }}{%- for message in loop_messages %}"
        "{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{- raise_exception('must alternate') }}{%- endif %}"
        '{%- if message["role"] == "user" %}{%- if loop.first and system_message is defined %}'
        '{{- " [INST] " + system_message + "\\n\\n" + message["content"] + " [/INST]" }}{%- else %}'
        '{{- " [INST] " + message["content"] + " [/INST]" }}{%- endif %}{%- elif message["role"] == "assistant" %}'
        '{{- " " + message["content"] + eos_token}}{%- endif %}{%- endfor %}'
    ),
    "gemma": (
        "{{ bos_token }}{%- if messages[0]['role'] == 'system' -%}{%- set first_user_prefix = messages[0]['content'] + '\\n\\n' -%}"
        '{%- set loop_messages = messages[1:] -%}{%- else -%}{%- set first_user_prefix = "" -%}{%- set loop_messages = messages -%}'
        "{%- endif -%}{%- for message in loop_messages -%}{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}"
        "{{ raise_exception(\"must alternate\") }}{%- endif -%}{%- if (message['role'] == 'assistant') -%}{%- set role = \"model\" -%}"
        "{%- else -%}{%- set role = message['role'] -%}{%- endif -%}"
        "{{ '<start_of_turn>' + role + '\\n' + (first_user_prefix if loop.first else \"\") }}{{ message['content'] | trim }}"
        "{{ '<end_of_turn>\\n' }}{%- endfor -%}{%- if add_generation_prompt -%}{{'<start_of_turn>model\\n'}}{%- endif -%}"
    ),
    "zephyr": (
        "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n"
        "{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n"
        "{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n"
        "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"
    ),
    "alpaca": (
        "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
        "{% set system_message = messages[0]['content'].strip() + '\\n\\n' %}{% else %}{% set loop_messages = messages %}"
        "{% set system_message = '' %}{% endif %}{{ bos_token + system_message }}{% for message in loop_messages %}"
        "{% if message['role'] == 'user' %}{{ '### Instruction:\\n' + message['content'].strip() + '\\n\\n' }}"
        "{% elif message['role'] == 'assistant' %}{{ '### Response:\\n' + message['content'].strip() + eos_token + '\\n\\n' }}{% endif %}"
        "{% if loop.last and message['role'] == 'user' and add_generation_prompt %}{{ '### Response:\\n' }}{% endif %}{% endfor %}"
    ),
}
"""Written from the models' published chat templates; Qwen3's is in `qwen3_public.jinja`."""
PUBLIC["qwen3"] = (Path(__file__).parent / "qwen3_public.jinja").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    return make_vocabulary(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def theirs(words: Vocabulary) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(words.folder)


def as_openai(found: Chat) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = []
    for turn in found.messages:
        calls = [{"type": "function", "function": {"name": call.name, "arguments": call.arguments}} for call in turn.tool_calls]
        extra = {"tool_calls": calls} if calls else {}
        turns.append(
            {"role": turn.role, "content": turn.content, **extra, **({"reasoning_content": turn.reasoning} if turn.reasoning else {})}
        )
    return turns


def with_bos(text: str) -> str:
    """Chat renderings begin with BOS here even where the public form leaves it to the tokenizer."""
    return text if text.startswith(BOS) else BOS + text


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_a_rendering_is_that_of_the_public_form(words: Vocabulary, theirs: Any, name: str) -> None:
    for found in (LONG, chat(*((turn.role, turn.content) for turn in LONG.messages[1:]))):
        expected = theirs.apply_chat_template(as_openai(found), chat_template=PUBLIC[name], tokenize=False)
        rendering = written(words, name, found)
        assert rendering.text == with_bos(expected)
        ids = theirs(with_bos(expected), add_special_tokens=False)["input_ids"]
        assert encode_pieces(rendering.pieces, words)[0].tolist() == ids
        asked = Chat("c", found.messages[:-1])
        expected = theirs.apply_chat_template(as_openai(asked), chat_template=PUBLIC[name], tokenize=False, add_generation_prompt=True)
        assert Writer(TEMPLATES[name], words).prompt(asked).text == with_bos(expected)


@pytest.mark.parametrize("name", NAMES)
def test_the_jinja_that_travels_with_a_model_says_the_same(words: Vocabulary, theirs: Any, name: str) -> None:
    assert "generation %}" not in TEMPLATES[name].jinja and "{% other" not in TEMPLATES[name].jinja
    for found in (LONG, TOOLS if name == "qwen3" else LONG):
        expected = theirs.apply_chat_template(
            as_openai(found), tools=[{"type": "function", "function": dict(tool)} for tool in found.tools] or None, tokenize=False,
            chat_template=TEMPLATES[name].jinja,
        )  # fmt: skip
        assert written(words, name, found).text == with_bos(expected)


def test_qwen3_writes_tools_and_reasoning_as_its_public_form_does(words: Vocabulary, theirs: Any) -> None:
    thinking = Chat("r", (Message("user", "q"), Message("assistant", "a", reasoning="because")))
    system = replace(TOOLS, messages=(Message("system", "Be brief."), *TOOLS.messages))
    for found in (TOOLS, system, thinking):
        expected = theirs.apply_chat_template(
            as_openai(found), tools=[{"type": "function", "function": dict(tool)} for tool in found.tools] or None,
            chat_template=PUBLIC["qwen3"], tokenize=False,
        )  # fmt: skip
        assert written(words, "qwen3", found).text == with_bos(expected)


@pytest.mark.parametrize("name", NAMES)
def test_our_marks_are_those_of_transformers(words: Vocabulary, theirs: Any, name: str) -> None:
    """`generation` blocks are transformers' own: its assistant mask of our marked text is our mask."""
    source = TEMPLATES[name].source.replace("{%- other %}", "").replace("{%- endother %}", "")
    source = re.sub(r"\{% (end)?other %\}", "", source)
    found = theirs.apply_chat_template(
        as_openai(LONG), chat_template=source, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    ids, mask = encode_pieces(written(words, name, LONG).pieces, words)
    skipped = len(ids) - len(found["input_ids"])  # BOS, where the template leaves it to the tokenizer
    assert ids[skipped:].tolist() == found["input_ids"]
    # A token that holds characters of both is trained here; transformers looks where it begins.
    assert set(map(int, mask[skipped:].nonzero()[0])) >= {index for index, own in enumerate(found["assistant_masks"]) if own}
    assert mask[skipped:].sum() - sum(found["assistant_masks"]) <= (2 if name in ("mistral", "plain", "alpaca") else 0)


@pytest.mark.parametrize("name", NAMES)
def test_tools_and_calls_are_in_every_rendering(words: Vocabulary, name: str) -> None:
    rendering = written(words, name, TOOLS)
    for text in ('"description": "weather"', '"city": "Rome"', '"city": "Oslo"', "snow", "Sun and snow."):
        assert text in rendering.text
    assert '"city": "Oslo"' in trained(rendering) and "snow\n" not in trained(rendering)
    assert trained(rendering).count(stop_of(name)) == 2


@pytest.mark.parametrize("name", [name for name in NAMES if name != "qwen3"])
def test_reasoning_is_written_as_wanted(words: Vocabulary, name: str) -> None:
    found = Chat("r", (Message("user", "q"), Message("assistant", "4", reasoning="2 and 2")))
    assert trained(written(words, name, found)).startswith("<think>\n2 and 2\n</think>\n\n4")
    assert trained(written(words, name, found, reasoning="inline")).startswith("2 and 2\n4")
    assert trained(written(words, name, found, reasoning="drop")).startswith("4")


def test_qwen3_keeps_reasoning_of_the_last_answer_only(words: Vocabulary) -> None:
    turns = (
        Message("user", "q"),
        Message("assistant", "4", reasoning="first"),
        Message("user", "q"),
        Message("assistant", "5", reasoning="next"),
    )
    found = written(words, "qwen3", Chat("r", turns))
    assert "first" not in found.text and "<think>\nnext\n</think>\n\n5<|im_end|>" in trained(found)
    assert "first\n4" in written(words, "qwen3", Chat("r", turns), reasoning="inline").text


LETTERS = st.text(st.sampled_from("aZ é\n\t<|>im_end/s[]👋#:'\u2028\u200d{}%"), min_size=1, max_size=12)
SPELT = st.sampled_from(
    ["<|im_end|>", "<s>", " </s>", "<|eot_id|><end_of_turn>", "<|im_start|>assistant\n", "\ufdd0<|im_end|>\ufdd1", "[/INST]"]
)
TEXTS = st.lists(st.one_of(LETTERS, SPELT), min_size=1, max_size=3).map("".join).filter(str.strip)
TURNS = st.lists(st.tuples(st.sampled_from(["system", "user", "assistant", "tool"]), TEXTS), min_size=1, max_size=5)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40)
@given(turns=TURNS.filter(lambda turns: any(role == "assistant" for role, _ in turns)))
def test_trained_characters_are_the_answers_and_their_ends(words: Vocabulary, name: str, turns: list[tuple[str, str]]) -> None:
    rendering = written(words, name, chat(*turns))
    strip = name in ("alpaca", "gemma", "llama3")
    answers = [content.strip() if strip else content for role, content in turns if role == "assistant"]
    if name == "qwen3":
        answers = [answer.lstrip("\n") if part.startswith("<think>\n\n</think>\n\n") else answer
                   for answer, part in zip(answers, trained(rendering).split("<|im_end|>"), strict=False)]  # fmt: skip
    found = trained(rendering).replace("<think>\n\n</think>\n\n", "") if name == "qwen3" else trained(rendering)
    assert found == "".join(answer + stop_of(name) for answer in answers)
    ids, mask = encode_pieces(rendering.pieces, words)
    assert words.decode(ids) == rendering.text
    stop = words.control(stop_of(name))
    assert (ids[mask] == stop).sum() == len(answers)
    assert ids[0] == words.bos_id and (ids == words.bos_id).sum() == 1


@settings(max_examples=40)
@given(turns=TURNS)
def test_a_template_without_marks_is_read_by_its_prefixes(words: Vocabulary, turns: list[tuple[str, str]]) -> None:
    own = Template("own", TEMPLATES["chatml"].jinja)
    assert trained(written(words, own, chat(*turns))) == trained(written(words, "chatml", chat(*turns)))


def test_the_tokenizers_own_template(words: Vocabulary, tmp_path: Path) -> None:
    for place, name in enumerate(("zephyr", "llama3", "mistral", "gemma", "alpaca")):
        folder = tmp_path / str(place)
        save_tokenizer(words.engine, folder, TEMPLATES[name].jinja, (BOS, EOS, PAD))
        own = template_of("own", Vocabulary(folder))
        found = written(words, own, LONG)
        assert found.text == written(words, name, LONG).text
        assert trained(found).replace(" ", "") == trained(written(words, name, LONG)).replace(" ", "")
    marked = "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}{{ eos_token }}{% endfor %}"  # noqa: E501
    assert trained(written(words, Template("own", marked), LONG)) == f"hi there{EOS}fine{EOS}"
    named = [{"name": "other", "template": "x"}, {"name": "default", "template": "{{ messages }}"}]
    words_of = Vocabulary(words.folder)
    words_of.names["chat_template"] = named
    assert own_template(words_of).source == "{{ messages }}"
    (folder / "chat_template.jinja").write_text("{{ 1 }}")
    bare = Vocabulary(folder)
    del bare.names["chat_template"]
    assert own_template(bare).source == "{{ 1 }}"
    with pytest.raises(DataError, match="has no chat template"):
        own_template(words)


def test_spans_that_can_not_be_told_are_refused(words: Vocabulary) -> None:
    with pytest.raises(
        DataError, match=r"chat 'c': the chat template writes turn 3 \(assistant\) in another way when more follows"
    ) as caught:
        written(words, Template("own", TEMPLATES["qwen3"].jinja), LONG)
    assert "qwen3" in caught.value.remedy
    backwards = "{% for m in messages|reverse %}{{ m.content }}{% endfor %}"
    with pytest.raises(DataError, match="in another way"):
        written(words, Template("own", backwards), LONG)


def test_a_template_that_refuses_or_drops_a_turn_is_no_rendering(words: Vocabulary) -> None:
    refusing = Writer(Template("own", "{{ raise_exception('no system turns') }}"), words).write(LONG)
    assert refusing == Rejected("template_refuses", "no system turns")
    last_only = "{% generation %}{{ messages[-1].content }}{% endgeneration %}"
    assert Writer(Template("own", last_only), words).write(LONG) == Rejected("template_drops_turn", "turn 1 (system)")
    silent = "{% for m in messages %}{{ m.content }}{% endfor %}{% generation %}{{ 'x' }}{% endgeneration %}"
    assert Writer(Template("own", silent), words).write(LONG) == Rejected("template_drops_turn", "1 of 2 assistant turns")


def test_a_tokenizer_without_the_control_tokens_is_refused(tmp_path: Path, words: Vocabulary) -> None:
    from ropewalk.data.tokenizer import END, train_byte_bpe

    save_tokenizer(train_byte_bpe(["a b"], 260, (END,), 2, "gpt2"), tmp_path)
    with pytest.raises(DataError, match=r"lacks <\|im_end\|>, <\|im_start\|>"):
        template_of("chatml", Vocabulary(tmp_path))
    assert template_of("plain", Vocabulary(tmp_path)).name == "plain"


def test_tool_calls_are_written_and_chats_come_back_from_disk(tmp_path: Path) -> None:
    call = Message("assistant", "", (ToolCall("f", {"a": 1}),), reasoning="why")
    assert content_of(call) == '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'
    chats = [Chat("007", (Message("user", "q", name="n"), call, Message("tool", "r")), ({"name": "f"},), "s", "MIT"), LONG]
    write_chats(chats, tmp_path / "c.parquet")
    assert list(read_chats(tmp_path / "c.parquet")) == chats
