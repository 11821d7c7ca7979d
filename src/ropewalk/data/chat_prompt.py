"""What a model is asked, as ids: a text as the tokenizer begins texts, or a conversation by the tokenizer's own chat template.

A control token that stands in what a user wrote stays text; those of the template become their ids.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from ropewalk.core.errors import DataError
from ropewalk.data.tokenizer import Vocabulary


def prompt_ids(vocabulary: Vocabulary, text: str) -> list[int]:
    """The ids of a text that is to be continued, with exactly one BOS where the tokenizer begins texts with one."""
    return [*beginning(vocabulary), *vocabulary.encode([text])[0].tolist()]


def beginning(vocabulary: Vocabulary) -> list[int]:
    """BOS as the tokenizer's files have it: said outright, set before each text, or the end of the text before."""
    names = vocabulary.names
    said = names.get("add_bos_token")
    bos, eos = names.get("bos_token"), names.get("eos_token")
    if said is None and (set_before := vocabulary.engine.encode("", add_special_tokens=True).ids):
        return [set_before[0]] if bos and set_before[0] == vocabulary.bos_id else []
    wanted = bos and bos == eos if said is None else said and bos
    return [vocabulary.bos_id] if wanted else []


class ChatPrompt:
    """Writes conversations with the chat template of a tokenizer's folder, in a sandbox."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    @cached_property
    def template(self) -> str:
        """The Jinja text; empty where the folder has none."""
        place = self._vocabulary.folder / "chat_template.jinja"
        found = place.read_text(encoding="utf-8") if place.is_file() else self._vocabulary.names.get("chat_template")
        if isinstance(found, list):  # several by name
            found = next((item["template"] for item in found if item.get("name") == "default"), "")
        return str(found or "")

    @cached_property
    def _write(self) -> Callable[..., str]:
        from jinja2 import TemplateError, nodes
        from jinja2.ext import Extension
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        class Generation(Extension):
            """`{% generation %}` marks what is trained; here it marks nothing."""

            tags = {"generation"}

            def parse(self, parser: Any) -> list[nodes.Node]:
                next(parser.stream)
                found: list[nodes.Node] = parser.parse_statements(("name:endgeneration",), drop_needle=True)
                return found

        def refuse(message: str) -> None:
            raise TemplateError(message)

        extensions = [Generation, "jinja2.ext.loopcontrols"]
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=extensions)
        environment.globals["raise_exception"] = refuse
        environment.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)
        try:
            return environment.from_string(self.template).render
        except (TemplateError, RecursionError) as error:
            raise DataError(f"{self._vocabulary.folder}: the chat template can't be read: {error}") from None

    def ids(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        """The conversation so far and the head of the answer that is to come."""
        if not self.template:
            raise DataError(f"{self._vocabulary.folder}: the tokenizer has no chat template", remedy="use generate, which continues a text")
        names = sorted(self._vocabulary.controls, key=len, reverse=True)
        whole = self.template + "".join(str(value) for turn in messages for value in turn.values())
        mark = next(chr(code) for code in range(0xE000, 0xF900) if chr(code) not in whole)
        spelt = re.compile("|".join(map(re.escape, names)) or "(?!)")

        def hidden(text: str) -> str:
            return spelt.sub(lambda found: f"{mark}{names.index(found[0])}{mark}", text)

        texts = [{key: hidden(value) if isinstance(value, str) else value for key, value in turn.items()} for turn in messages]
        roles = {f"{role}_token": self._vocabulary.names.get(f"{role}_token") for role in ("bos", "eos", "pad", "unk")}
        named = {key: value["content"] if isinstance(value, dict) else value or "" for key, value in roles.items()}
        try:
            written = self._write(messages=texts, add_generation_prompt=True, **named)
        except Exception as error:  # a template can raise anything
            raise DataError(f"the chat template refuses this conversation: {error}") from None
        ids: list[int] = []
        begun = 0
        for found in [*spelt.finditer(written), None]:  # control tokens of the template become their ids
            part = written[begun : found.start() if found else None]
            if part:  # and those that a user spelt are text again
                text = re.sub(f"{mark}([0-9]+){mark}", lambda hit: names[int(hit[1])], part)
                ids += self._vocabulary.encode([text])[0].tolist()
            if found:
                ids.append(self._vocabulary.control(found[0]))
                begun = found.end()
        if ids[:2] == [self._vocabulary.bos_id] * 2:  # some templates write a BOS of their own
            del ids[0]
        return ids
