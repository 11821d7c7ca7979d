"""Chat templates: how a conversation is written for a model, and which characters of it are trained.

A template is Jinja with marks around what is trained; `jinja` without them says the same to transformers. What a template does not
know (tools, reasoning) is written into the texts beforehand, so that nothing is lost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from ropewalk.core.errors import DataError
from ropewalk.data.masks import Cutter, Marks, Piece, Rendering, TrainOn, spans_by_prefixes
from ropewalk.data.records import Chat, Message, Rejected
from ropewalk.data.templates import CONTROLS, SOURCES
from ropewalk.data.tokenizer import Vocabulary

if TYPE_CHECKING:
    from ropewalk.data.sandbox import Sandbox

Reasoning = Literal["think", "inline", "drop"]
ROLES = ("system", "user", "assistant", "tool")
OWN = "own"
_MARK_TAGS = re.compile(r"\{%-?\s*(?:end)?(?:generation|other)\s*-?%\}")


@dataclass(frozen=True)
class Template:
    """A named chat template."""

    name: str
    source: str
    """Jinja with `generation` and `other` marks."""

    @property
    def jinja(self) -> str:
        """Without marks, as other programs read it."""
        return _MARK_TAGS.sub("", self.source)

    def controls(self) -> set[str]:
        """The control tokens that a tokenizer must have besides BOS and EOS."""
        return set(CONTROLS.get(self.name, ()))


TEMPLATES = {name: Template(name, source) for name, source in SOURCES.items()}


def own_template(vocabulary: Vocabulary) -> Template:
    """The tokenizer's own template; raises DataError when it has none."""
    found = vocabulary.names.get("chat_template") or ""
    if isinstance(found, list):  # several, by name
        named = {one["name"]: one["template"] for one in found}
        found = named.get("default") or next(iter(named.values()), "")
    file = vocabulary.folder / "chat_template.jinja"
    if not found and file.is_file():
        found = file.read_text(encoding="utf-8")
    if not found:
        remedy = f"name one of ropewalk's: {', '.join(sorted(TEMPLATES))}"
        raise DataError(f"{vocabulary.folder}: the tokenizer has no chat template", remedy=remedy)
    return Template(OWN, str(found))


def template_of(name: str, vocabulary: Vocabulary) -> Template:
    """A template by its name; `own` is the tokenizer's. Raises DataError when the tokenizer lacks what it needs."""
    template = own_template(vocabulary) if name == OWN else TEMPLATES[name]
    missing = template.controls() - set(vocabulary.controls)
    if missing:
        raise DataError(f"the tokenizer lacks {', '.join(sorted(missing))}", remedy=f"set `special: {name}` in the tokenizer stage")
    return template


@dataclass(frozen=True)
class Writer:
    """Writes conversations in a template for a tokenizer; compiled once, so keep it."""

    template: Template
    vocabulary: Vocabulary
    reasoning: Reasoning = "think"
    """What becomes of reasoning where the template does not know it: between <think> tags, before the answer, or left out."""

    @cached_property
    def _prepared(self) -> tuple[Sandbox, Any, frozenset[str]]:
        """(environment, compiled template, variables it looks at)."""
        from ropewalk.data.sandbox import Sandbox

        sandbox = Sandbox()
        return sandbox, *sandbox.prepare(self.template.source)

    @cached_property
    def _ends(self) -> tuple[str, str]:
        """BOS and EOS as the tokenizer names them, or nothing."""
        found = [self.vocabulary.names.get(f"{role}_token") or "" for role in ("bos", "eos")]
        bos, eos = (str(one["content"] if isinstance(one, dict) else one) for one in found)
        return bos, eos

    @cached_property
    def _cutter(self) -> Cutter:
        return Cutter(self.vocabulary.controls, self._ends[1])

    @cached_property
    def _knows_tools(self) -> bool:
        return "tools" in self._prepared[2]

    @cached_property
    def _marked(self) -> bool:
        return bool(_MARK_TAGS.search(self.template.source))

    def write(self, chat: Chat, train_on: TrainOn = "assistant") -> Rendering | Rejected:
        """The rendering, or why the template refuses it. Raises DataError for an unknown role and for spans that can't be told."""
        from ropewalk.data.sandbox import Refusal

        marks, messages, tools = self._ready(chat)
        try:
            if self._marked:
                whole = self._render(messages, tools, marks, prompt=False)
            else:
                whole = self._by_prefixes(messages, tools, marks, train_on)
        except Refusal as refusal:
            return Rejected("template_refuses", str(refusal))
        except DataError as error:
            remedy = error.remedy if error.remedy and self.template.name == OWN else f"name a template: {', '.join(sorted(TEMPLATES))}"
            raise DataError(f"chat {chat.id!r}: {error.message}", remedy=remedy) from None
        if lost := self._lost(chat, messages, whole, marks):
            return Rejected("template_drops_turn", lost)
        spoken = sum(message.role == "assistant" for message in chat.messages)
        found = self._cutter.cut(whole, marks, train_on, spoken)
        if found.turns != spoken:
            return Rejected("template_drops_turn", f"{found.turns} of {spoken} assistant turns")
        return replace(found, pieces=self._begun(found.pieces))

    @property
    def jinja(self) -> str:
        """The template for other programs; it writes BOS where the renderings here begin with it."""
        bos = self._ends[0]
        asked = Chat("", (Message("user", "a"),))
        marks, messages, _ = self._ready(asked)
        begun = not bos or self._render(messages, None, marks, prompt=True).startswith(bos)
        return self.template.jinja if begun else "{{ bos_token }}" + self.template.jinja

    def spelt_controls(self, chat: Chat) -> int:
        """How often the turns' texts spell a control token; they stay text."""
        return sum(len(self._cutter.controls.findall(turn.content)) for turn in chat.messages)

    def prompt(self, chat: Chat) -> Rendering:
        """The conversation so far and the head of the answer that is to come; nothing of it is trained."""
        marks, messages, tools = self._ready(chat)
        spoken = sum(message.role == "assistant" for message in chat.messages)
        found = self._cutter.cut(self._render(messages, tools, marks, prompt=True), marks, "assistant", spoken)
        return replace(found, pieces=[replace(piece, trained=False) for piece in self._begun(found.pieces)])

    def _begun(self, pieces: list[Piece]) -> list[Piece]:
        bos = self._ends[0]
        begun = bool(pieces) and pieces[0].control and pieces[0].text == bos
        rest = pieces[1:] if begun else pieces
        return [Piece(bos, False, control=True), *rest] if bos else pieces

    def _ready(self, chat: Chat) -> tuple[Marks, list[dict[str, Any]], list[Any] | None]:
        for index, message in enumerate(chat.messages):
            if message.role not in ROLES:
                raise DataError(f"chat {chat.id!r}: unknown role {message.role!r} in turn {index + 1} (one of: {', '.join(ROLES)})")
        knows_tools = self._knows_tools
        found = chat if knows_tools else with_tools_as_text(chat)
        knows_reasoning = "reasoning_content" in self.template.source and self.reasoning != "inline"
        messages = [self._message(message, knows_tools=knows_tools, knows_reasoning=knows_reasoning) for message in found.messages]
        tools = [wrapped(tool) for tool in found.tools] if found.tools and knows_tools else None
        marks = Marks.absent_from(_texts([messages, tools]))
        return marks, self._cutter.ward(messages, marks.ward), self._cutter.ward(tools, marks.ward)

    def _message(self, message: Message, *, knows_tools: bool, knows_reasoning: bool) -> dict[str, Any]:
        content, reasoning = message.content, message.reasoning if self.reasoning != "drop" else ""
        if reasoning and not knows_reasoning:
            content = f"<think>\n{reasoning}\n</think>\n\n{content}" if self.reasoning == "think" else f"{reasoning}\n{content}"
        calls = [{"type": "function", "function": {"name": call.name, "arguments": call.arguments}} for call in message.tool_calls]
        return {
            "role": message.role,
            "content": content if knows_tools else content_of(replace(message, content=content)),
            **({"tool_calls": calls} if calls and knows_tools else {}),
            **({"name": message.name} if message.name else {}),
            **({"reasoning_content": reasoning} if reasoning and knows_reasoning else {}),
        }

    def _render(self, messages: list[dict[str, Any]], tools: list[Any] | None, marks: Marks, *, prompt: bool) -> str:
        sandbox, compiled, _ = self._prepared
        sandbox.marks = {"generation": marks.generation, "other": marks.other}
        bos, eos = self._ends
        named = {"messages": messages, "tools": tools, "bos_token": bos, "eos_token": eos, "add_generation_prompt": prompt}
        return sandbox.write(compiled, named)

    def _by_prefixes(self, messages: list[dict[str, Any]], tools: list[Any] | None, marks: Marks, train_on: TrainOn) -> str:
        """The rendering of a template without marks, marked. With `all`, other turns are trained with their heads."""

        def render(number: int, prompt: bool) -> str:
            return self._render(messages[:number], tools, marks, prompt=prompt)

        wanted = ("assistant", "system", "user") if train_on == "all" else ("assistant",)
        spans = spans_by_prefixes(render, [message["role"] for message in messages], wanted)
        whole, result, place = render(len(messages), False), list[str](), 0
        for start, end, role in spans:
            stop = start + len(whole[start:end].rstrip())
            edges = marks.generation if role == "assistant" else marks.other
            result += [whole[place:start], edges[0], whole[start:stop], edges[1], whole[stop:end]]
            place = end
        return "".join([*result, whole[place:]])

    def _lost(self, chat: Chat, messages: list[dict[str, Any]], whole: str, marks: Marks) -> str:
        """Which turn's text is not in the rendering; empty when all are, in order."""
        edges = "".join((*marks.generation, *marks.other))
        plain, place = re.sub(f"[{edges}]", "", whole), 0
        for index, (turn, message) in enumerate(zip(chat.messages, messages[-len(chat.messages) :], strict=False)):
            wanted = [self._cutter.ward(turn.content, marks.ward).strip()]
            wanted += [self._cutter.ward(call.name, marks.ward) for call in turn.tool_calls]
            for text in wanted:
                found = plain.find(text, place)
                if found < 0:
                    return f"turn {index + 1} ({message['role']})"
                place = found + len(text)
        return ""


def content_of(message: Message) -> str:
    """The turn's text; tool calls follow it as JSON between tags, one a line (the Hermes form)."""
    calls = [
        "<tool_call>\n" + json.dumps({"name": call.name, "arguments": call.arguments}, ensure_ascii=False) + "\n</tool_call>"
        for call in message.tool_calls
    ]
    return "\n".join(part for part in (message.content, *calls) if part)


def wrapped(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """A function's schema in the envelope that templates expect."""
    return tool if "function" in tool else {"type": "function", "function": dict(tool)}


def with_tools_as_text(chat: Chat) -> Chat:
    """For templates that know no tools: their schemas stand in the system turn (the Hermes form)."""
    if not chat.tools:
        return chat
    schemas = "\n".join(json.dumps(wrapped(tool), ensure_ascii=False) for tool in chat.tools)
    text = (
        f"You may call these functions:\n<tools>\n{schemas}\n</tools>\n"
        'For each call, write <tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>'
    )
    first = chat.messages[:1]
    if first and first[0].role == "system":
        return replace(chat, messages=(replace(first[0], content=f"{first[0].content}\n\n{text}"), *chat.messages[1:]))
    return replace(chat, messages=(Message("system", text), *chat.messages))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts([*value.keys(), *value.values()])
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)
