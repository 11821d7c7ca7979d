"""A small tokenizer that knows every template's control tokens, and short ways to write conversations."""

from __future__ import annotations

from pathlib import Path

from ropewalk.data.chat import TEMPLATES, Template, Writer
from ropewalk.data.masks import Rendering, TrainOn
from ropewalk.data.records import Chat, Message, Rejected
from ropewalk.data.templates import CONTROLS
from ropewalk.data.tokenizer import END, Vocabulary, save_tokenizer, train_byte_bpe

TEXT = ["user\nassistant\nsystem\n hello there, how are you? fine thanks", "### User:\n### Assistant:\n\n what is it [INST] [/INST]"] * 9
ALL_CONTROLS = tuple(dict.fromkeys(name for names in CONTROLS.values() for name in names))
BOS, EOS, PAD = "<s>", "</s>", "<pad>"


def make_vocabulary(folder: Path, ends: tuple[str, str, str] = (BOS, EOS, PAD), chat_template: str = "") -> Vocabulary:
    """With separate BOS, EOS and padding, unless told otherwise."""
    engine = train_byte_bpe(TEXT, 400, (END, *ALL_CONTROLS, BOS, EOS, PAD), 2, "gpt2")
    save_tokenizer(engine, folder, chat_template, ends)
    return Vocabulary(folder)


def chat(*turns: tuple[str, str], id_: str = "c") -> Chat:
    return Chat(id_, tuple(Message(role, content) for role, content in turns))


LONG = chat(("system", "be kind"), ("user", "hello"), ("assistant", "hi there"), ("user", "how are you?"), ("assistant", "fine"))


def written(words: Vocabulary, template: str | Template, found: Chat, train_on: TrainOn = "assistant", **options: object) -> Rendering:
    """The rendering of a conversation that is not refused."""
    named = TEMPLATES[template] if isinstance(template, str) else template
    rendering = Writer(named, words, **options).write(found, train_on)  # type: ignore[arg-type]
    assert not isinstance(rendering, Rejected), rendering
    return rendering


def trained(rendering: Rendering) -> str:
    """The trained characters."""
    return "".join(piece.text for piece in rendering.pieces if piece.trained)


def stop_of(template: str) -> str:
    """What ends a turn of the assistant."""
    return CONTROLS[template][-1] if template in CONTROLS else EOS
