"""The OpenAI API's requests and answers: what is known is checked, what is not done is refused by name, never ignored."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ropewalk.core.errors import DataError
from ropewalk.data.chat_prompt import prompt_ids
from ropewalk.models.sampling import Sampling

if TYPE_CHECKING:
    from ropewalk.pipeline.open_model import OpenModel

Kind = Literal["chat.completion", "text_completion"]
MOST_ANSWERS = 64
_NOT_DONE: dict[str, tuple[Any, ...]] = {
    "best_of": (None, 1),
    "echo": (None, False),
    "frequency_penalty": (None, 0),
    "function_call": (None, "none"),
    "functions": (None, []),
    "logit_bias": (None, {}),
    "logprobs": (None, False),
    "modalities": (None, ["text"]),
    "parallel_tool_calls": (None, True, False),
    "presence_penalty": (None, 0),
    "response_format": (None, {"type": "text"}),
    "suffix": (None, ""),
    "tool_choice": (None, "none", "auto"),
    "tools": (None, []),
    "top_logprobs": (None, 0),
}
"""Field -> the values that ask for nothing."""
_IGNORED = ("metadata", "prompt_cache_key", "safety_identifier", "service_tier", "store", "user")


class BadRequest(Exception):
    """A request that can't be served; becomes the API's error object."""

    def __init__(
        self, message: str, param: str | None = None, *, status: int = 400, code: str | None = None, kind: str = "invalid_request_error"
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}


@dataclass(frozen=True)
class Wanted:
    """A request that was understood."""

    kind: Kind
    asked: list[tuple[list[int], Sampling]]
    """A prompt for each choice of the answer."""
    prompt_tokens: int
    """Of each prompt once, however many answers it gets."""
    stream: bool
    include_usage: bool


def understood(kind: Kind, body: Any, model: OpenModel) -> Wanted:
    """Raises BadRequest, which names the field."""
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object")
    rest = dict(body)
    named = rest.pop("model", None)
    if named != model.name:
        raise BadRequest(f"the model {named!r} is not served here; {model.name!r} is", "model", status=404, code="model_not_found")
    stream, options = _take(rest, "stream", bool, False), _take(rest, "stream_options", dict, {})
    number = _take(rest, "n", int, 1)
    sampling = _sampling(rest, kind, model)
    prompts = _chat(rest, model) if kind == "chat.completion" else _texts(rest, model)
    if not 1 <= number * len(prompts) <= MOST_ANSWERS:
        raise BadRequest(f"asks for {number * len(prompts)} answers; 1 to {MOST_ANSWERS} can be given at once", "n")
    for name, idle in _NOT_DONE.items():
        if (value := rest.pop(name, None)) not in idle:
            raise BadRequest(f"{name}: {value!r} is not supported here", name, code="unsupported_parameter")
    for name in _IGNORED:
        rest.pop(name, None)
    if rest:
        raise BadRequest(f"unknown parameter: {min(rest)}", min(rest), code="unknown_parameter")
    repeated = [ids for ids in prompts for _ in range(number)]
    asked = [(ids, replace(sampling, seed=sampling.seed + place)) for place, ids in enumerate(repeated)]
    for ids, wish in asked:
        _check(ids, wish, model)
    usage = bool(options.get("include_usage"))
    return Wanted(kind, asked, sum(map(len, prompts)), stream, usage)


def _take(rest: dict[str, Any], name: str, kind: type | tuple[type, ...], default: Any) -> Any:
    value = rest.pop(name, None)
    if value is None:
        return default
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise BadRequest(f"{name}: expected {' or '.join(k.__name__ for k in kinds)}, not {value!r}", name)
    return value


def _sampling(rest: dict[str, Any], kind: Kind, model: OpenModel) -> Sampling:
    longest = model.writer.context if kind == "chat.completion" else 16  # the API's own defaults
    most = _take(rest, "max_tokens", int, longest)
    most = _take(rest, "max_completion_tokens", int, most) if kind == "chat.completion" else most
    stop = _take(rest, "stop", (str, list), [])
    stop = [stop] if isinstance(stop, str) else stop
    if any(not isinstance(text, str) for text in stop) or len(stop) > 16:
        raise BadRequest("stop: expected a text or up to 16 of them", "stop")
    found = Sampling(
        max_tokens=most,
        temperature=float(_take(rest, "temperature", (int, float), 1.0)),
        top_p=float(_take(rest, "top_p", (int, float), 1.0)),
        top_k=_take(rest, "top_k", int, 0),
        seed=_take(rest, "seed", int, secrets.randbits(48)),
        stop=tuple(stop),
    )
    for name, what in found.faults():
        raise BadRequest(f"{name} {what}", name)
    return found


def _chat(rest: dict[str, Any], model: OpenModel) -> list[list[int]]:
    given = _take(rest, "messages", list, [])
    if not given:
        raise BadRequest("messages: at least one is needed", "messages")
    messages = []
    for place, turn in enumerate(given):
        where = f"messages[{place}]"
        if not isinstance(turn, dict) or not isinstance(turn.get("role"), str):
            raise BadRequest(f"{where}: expected an object with role and content", where)
        extra = sorted(set(turn) - {"role", "content", "name"})
        if extra and turn[extra[0]] not in (None, []):
            raise BadRequest(f"{where}.{extra[0]}: not supported here", f"{where}.{extra[0]}", code="unsupported_parameter")
        role = "system" if turn["role"] == "developer" else turn["role"]
        messages.append({"role": role, "content": _content(turn.get("content"), where)})
    try:
        return [model.chat.ids(messages)]
    except DataError as error:
        raise BadRequest(error.message, "messages") from None


def _content(content: Any, where: str) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [content]
    if any(not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str) for part in parts):
        raise BadRequest(f"{where}.content: expected text, alone or in parts of type text", f"{where}.content")
    return "".join(part["text"] for part in parts)


def _texts(rest: dict[str, Any], model: OpenModel) -> list[list[int]]:
    given = _take(rest, "prompt", (str, list), "")
    many: Sequence[Any] = [given] if isinstance(given, str) or (given and all(isinstance(item, int) for item in given)) else given
    found = []
    for prompt in many:
        if isinstance(prompt, str):
            found.append(prompt_ids(model.vocabulary, prompt))
        elif isinstance(prompt, list) and all(isinstance(id_, int) and 0 <= id_ < model.vocabulary.size for id_ in prompt):
            found.append(prompt)
        else:
            raise BadRequest("prompt: expected a text, token ids of the model's vocabulary, or a list of either", "prompt")
    return found


def _check(ids: Sequence[int], sampling: Sampling, model: OpenModel) -> None:
    if not ids:
        raise BadRequest("prompt: is empty, and the tokenizer has no token that begins a text", "prompt")
    if len(ids) >= model.writer.context:
        message = f"the prompt has {len(ids)} tokens, and the model's context is {model.writer.context}"
        raise BadRequest(message, "prompt", code="context_length_exceeded")


class Answer:
    """Builds the API's objects for one request."""

    def __init__(self, wanted: Wanted, model: str) -> None:
        self.wanted = wanted
        self.tokens = [0] * len(wanted.asked)
        self._chat = wanted.kind == "chat.completion"
        self._head = {"id": f"{'chatcmpl' if self._chat else 'cmpl'}-{secrets.token_hex(12)}", "created": int(time.time()), "model": model}

    def opening(self) -> list[dict[str, Any]]:
        """The first chunks: of a chat, who speaks."""
        if not self._chat:
            return []
        return [self._chunk([_choice(place, {"delta": {"role": "assistant", "content": ""}}, "")]) for place in range(len(self.tokens))]

    def chunk(self, place: int, text: str, finish: str, tokens: int) -> dict[str, Any]:
        """What a piece looks like in a stream."""
        self.tokens[place] = tokens
        said = {"delta": {"content": text} if text else {}} if self._chat else {"text": text}
        return self._chunk([_choice(place, said, finish)])

    def usage_chunk(self) -> dict[str, Any]:
        return {**self._chunk([]), "usage": self._usage()}

    def whole(self, texts: Sequence[str], finishes: Sequence[str], tokens: Sequence[int]) -> dict[str, Any]:
        """The answer that is not streamed."""
        self.tokens = list(tokens)
        said: list[Mapping[str, Any]] = [
            {"message": {"role": "assistant", "content": text, "refusal": None}} if self._chat else {"text": text} for text in texts
        ]
        choices = [_choice(place, body, finish) for place, (body, finish) in enumerate(zip(said, finishes, strict=True))]
        return {**self._head, "object": self.wanted.kind, "choices": choices, "usage": self._usage()}

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        kind = "chat.completion.chunk" if self._chat else "text_completion"
        usage = {"usage": None} if self.wanted.include_usage else {}
        return {**self._head, "object": kind, "choices": choices, **usage}

    def _usage(self) -> dict[str, int]:
        written = sum(self.tokens)
        total = self.wanted.prompt_tokens + written
        return {"prompt_tokens": self.wanted.prompt_tokens, "completion_tokens": written, "total_tokens": total}


def _choice(place: int, said: Mapping[str, Any], finish: str) -> dict[str, Any]:
    return {"index": place, **said, "logprobs": None, "finish_reason": finish or None}
