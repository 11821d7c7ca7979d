"""The OpenAI-compatible endpoint: by the real client over loopback, and by hand what that client would never send."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn

import ropewalk
from ropewalk.app.endpoint import LOOPBACK, make_app
from ropewalk.app.engine import Engine, Overloaded
from ropewalk.data.chat_prompt import prompt_ids
from ropewalk.models.sampling import Sampling
from ropewalk.pipeline.open_model import OpenModel, open_model
from writing_kit import make_model

MESSAGES = [{"role": "user", "content": "the cat sat"}]
CHAT = {"model": "tiny", "messages": MESSAGES, "temperature": 0, "max_tokens": 12}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("served") / "tiny", context=2048)


@contextmanager
def serving(model: OpenModel, token: str = "", waiting: int = 64, hosts: tuple[str, ...] = LOOPBACK) -> Iterator[str]:
    """The address of a server in a thread."""
    listener = socket.create_server(("127.0.0.1", 0))
    app = make_app(model, Engine(model.writer, waiting), token, hosts)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture(scope="module")
def model(folder: Path) -> OpenModel:
    return open_model(str(folder), "cpu", at_once=4)


@pytest.fixture(scope="module")
def address(model: OpenModel) -> Iterator[str]:
    with serving(model) as found:
        yield found


@dataclass
class Reply:
    status: int
    body: Any
    headers: Any

    @property
    def error(self) -> dict[str, Any]:
        return self.body["error"]  # type: ignore[no-any-return]


def ask(address: str, path: str = "/v1/chat/completions", body: Any = None, method: str | None = None, **headers: str) -> Reply:
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    sent = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    request = urllib.request.Request(address + path, data, sent, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as found:
            return Reply(found.status, json.loads(found.read()), found.headers)
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, json.loads(error.read()), error.headers)


def client_of(address: str, key: str = "none") -> Any:
    openai = pytest.importorskip("openai")
    return openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0)


def greedy(model: OpenModel, tokens: int = 12) -> str:
    """What the model says, asked without a server."""
    import torch

    from ropewalk.models.generate_module import generate

    torch.manual_seed(0)
    module = model.writer._rows.module
    return model.vocabulary.decode(generate(module, model.chat.ids(MESSAGES), tokens), controls=False)


def test_the_openai_client_chats_streams_and_completes(model: OpenModel, address: str) -> None:
    with client_of(address) as client:
        assert [entry.id for entry in client.models.list()] == ["tiny"] and client.models.retrieve("tiny").owned_by == "ropewalk"
        answer = client.chat.completions.create(model="tiny", messages=MESSAGES, temperature=0, max_tokens=12)
        (choice,) = answer.choices
        assert choice.message.content == greedy(model) and choice.message.role == "assistant" and choice.finish_reason == "length"
        assert answer.usage.completion_tokens == 12 and answer.usage.prompt_tokens == len(model.chat.ids(MESSAGES))
        parts = [{"type": "text", "text": "the cat"}, {"type": "text", "text": " sat"}]
        with client.chat.completions.create(
            **{**CHAT, "messages": [{"role": "user", "content": parts}]}, stream=True, stream_options={"include_usage": True}
        ) as stream:
            chunks = list(stream)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == greedy(model)
        assert chunks[-1].usage.total_tokens == answer.usage.total_tokens and chunks[-2].choices[0].finish_reason == "length"
        assert len(chunks) > 5 and len({chunk.id for chunk in chunks}) == 1
        ids = prompt_ids(model.vocabulary, "one two")
        texts = client.completions.create(model="tiny", prompt=["one two", "the"], temperature=0, max_tokens=9, n=2).choices
        assert [choice.index for choice in texts] == [0, 1, 2, 3]
        assert texts[0].text == texts[1].text != texts[2].text == texts[3].text
        assert client.completions.create(model="tiny", prompt=ids, temperature=0, max_tokens=9).choices[0].text == texts[0].text
        with client.completions.create(model="tiny", prompt="one two", temperature=0, max_tokens=9, stream=True) as stream:
            assert "".join(chunk.choices[0].text for chunk in stream) == texts[0].text


def test_the_openai_client_gets_its_own_errors(address: str) -> None:
    openai = pytest.importorskip("openai")
    with client_of(address) as client:
        with pytest.raises(openai.NotFoundError, match="'other' is not served"):
            client.chat.completions.create(model="other", messages=MESSAGES)
        with pytest.raises(openai.BadRequestError, match="tools") as caught:
            client.chat.completions.create(model="tiny", messages=MESSAGES, tools=[{"type": "function", "function": {"name": "f"}}])
        assert caught.value.param == "tools" and caught.value.code == "unsupported_parameter"


def test_seeds_and_stop_texts_are_kept(address: str) -> None:
    def text(**wishes: Any) -> tuple[str, str]:
        (choice,) = ask(address, body={**CHAT, "max_tokens": 40, **wishes}).body["choices"]
        return choice["message"]["content"], choice["finish_reason"]

    drawn = text(temperature=1.0, seed=3)
    assert drawn == text(temperature=1.0, seed=3) != text(temperature=1.0, seed=4)
    assert text(temperature=5.0, top_k=1, seed=1) == text()
    stop = drawn[0][10:13]
    assert text(temperature=1.0, seed=3, stop=stop) == (drawn[0][: drawn[0].index(stop)], "stop")


def test_many_clients_share_batches_and_get_what_they_would_get_alone(model: OpenModel, address: str) -> None:
    bodies = [
        {**CHAT, "messages": [{"role": "user", "content": f"{word} " * (1 + place)}]}
        for place, word in enumerate(["the", "one", "cat", "dog", "two", "six"])
    ]
    alone = [ask(address, body=body).body["choices"][0]["message"]["content"] for body in bodies]
    steps, step = [], model.writer.step

    def counted() -> Any:
        steps.append(len(model.writer._works))
        return step()

    model.writer.step = counted  # type: ignore[method-assign]
    together = [""] * len(bodies)

    def one(place: int) -> None:
        together[place] = ask(address, body=bodies[place]).body["choices"][0]["message"]["content"]

    threads = [threading.Thread(target=one, args=(place,)) for place in range(len(bodies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    del model.writer.step  # type: ignore[method-assign]
    assert together == alone and max(steps) > 1 and len(steps) < 12 * len(bodies)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"temprature": 1}, "temprature"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": [1]}, "stop"),
        ({"stop": ""}, "stop"),
        ({"n": 100}, "n"),
        ({"n": 0}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"messages": []}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        ({"messages": [{"role": "assistant", "content": "x", "tool_calls": [1]}]}, "messages[0].tool_calls"),
        ({"messages": [{"role": "user", "content": "cat " * 2100}]}, "prompt"),
        ({"model": None}, "model"),
    ],
)
def test_a_faulty_request_is_refused_by_the_name_of_its_field(address: str, change: dict[str, Any], param: str) -> None:
    reply = ask(address, body={**CHAT, **change})
    assert reply.status in (400, 404) and reply.error["param"] == param and reply.error["message"]
    assert set(reply.error) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("prompt", [[[1, 99999]], [{}], [None], [-1], [1.5]])
def test_faulty_prompts_are_refused(address: str, prompt: Any) -> None:
    reply = ask(address, "/v1/completions", {"model": "tiny", "prompt": prompt})
    assert reply.status == 400 and reply.error["param"] == "prompt"


def test_what_asks_for_nothing_is_taken(address: str) -> None:
    idle = {
        "tools": [],
        "logit_bias": {},
        "presence_penalty": 0,
        "user": "u",
        "response_format": {"type": "text"},
        "n": None,
        "logprobs": False,
    }
    assert ask(address, body={**CHAT, **idle}).status == 200


def test_every_refusal_is_the_apis_json(address: str) -> None:
    found = {
        "not_json": ask(address, body=b"{"),
        "no_object": ask(address, body=[1]),
        "deep": ask(address, body=b"[" * 100_000),
        "type": ask(address, body=CHAT, Content_Type="text/plain"),
        "large": ask(address, body=b'"' + b"x" * (5 << 20) + b'"'),
        "path": ask(address, "/v1/embeddings", CHAT),
        "method": ask(address, "/v1/chat/completions", method="GET"),
        "model": ask(address, "/v1/models/other"),
        "host": ask(address, "/v1/models", Host="evil.example"),
    }
    statuses = {
        "not_json": 400,
        "no_object": 400,
        "deep": 400,
        "type": 415,
        "large": 413,
        "path": 404,
        "method": 405,
        "model": 404,
        "host": 403,
    }
    assert {name: reply.status for name, reply in found.items()} == statuses
    assert all(reply.error["message"] and set(reply.error) == {"message", "type", "param", "code"} for reply in found.values())
    for name in ("localhost", "127.0.0.1:99", "[::1]:8000", "LOCALHOST:1"):
        assert ask(address, "/v1/models", Host=name).status == 200


def test_a_token_is_asked_for(folder: Path) -> None:
    with serving(open_model(str(folder), "cpu"), token="s" * 20, hosts=()) as address:
        assert ask(address, "/v1/models").status == 401
        assert ask(address, "/v1/models", Authorization="Bearer " + "s" * 19).error["code"] == "invalid_api_key"
        assert ask(address, "/v1/models", Authorization="Bearer " + "s" * 20, Host="box.example").status == 200
        with client_of(address, "s" * 20) as client:
            assert client.chat.completions.create(model="tiny", messages=MESSAGES, max_tokens=1).usage.completion_tokens == 1


def test_more_than_may_wait_is_refused_and_freed_again(folder: Path) -> None:
    with serving(open_model(str(folder), "cpu"), waiting=2) as address:
        reply = ask(address, body={**CHAT, "n": 3})
        assert reply.status == 429 and reply.error["type"] == "rate_limit_error" and reply.headers["Retry-After"] == "1"
        for _ in range(3):
            assert ask(address, body={**CHAT, "n": 2}).status == 200


def test_a_client_that_leaves_is_computed_for_no_longer(model: OpenModel, address: str) -> None:
    for stream in (True, False):
        host, port = address.removeprefix("http://").split(":")
        body = json.dumps({**CHAT, "max_tokens": 2000, "stream": stream}).encode()
        lines = ["POST /v1/chat/completions HTTP/1.1", "Host: localhost", "Content-Type: application/json", f"Content-Length: {len(body)}"]
        head = "\r\n".join([*lines, "", ""])
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(head.encode() + body)
            started = time.monotonic()
            while not model.writer._works and time.monotonic() - started < 20:
                time.sleep(0.005)
            assert model.writer._works
        while model.writer.busy and time.monotonic() - started < 20:
            time.sleep(0.01)
        assert not model.writer.busy


def test_a_failure_while_writing_is_told_and_the_next_request_is_served(folder: Path) -> None:
    opened = open_model(str(folder), "cpu")
    step, calls = opened.writer.step, []

    def failing() -> Any:
        calls.append(1)
        if len(calls) == 4:
            raise MemoryError("no room")
        return step()

    opened.writer.step = failing  # type: ignore[method-assign]
    with serving(opened) as address:
        reply = ask(address, body=CHAT)
        assert reply.status == 500 and reply.error["type"] == "server_error"
        assert ask(address, body=CHAT).status == 200


def test_stopping_ends_those_who_wait(folder: Path) -> None:
    engine = Engine(open_model(str(folder), "cpu").writer)

    async def waits() -> str:
        engine.start()
        pieces = engine.stream([([5, 6], Sampling(max_tokens=2000))])
        await anext(pieces)
        await asyncio.to_thread(engine.stop)
        with pytest.raises(Overloaded, match="stopping"):
            async for _ in pieces:
                pass
        with pytest.raises(Overloaded, match="stopping"):
            await anext(engine.stream([([5], Sampling())]))
        return "ended"

    assert asyncio.run(waits()) == "ended"


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(ropewalk.__file__).parents[1])}


def test_the_command_serves_and_ends_cleanly(folder: Path) -> None:
    command = [sys.executable, "-m", "ropewalk.cli.main", "serve", str(folder), "--port", "0", "--name", "mine", "--device", "cpu"]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            line = process.stderr.readline()
            address = next(word for word in line.split() if word.startswith("http")).removesuffix("/v1")
            reply = ask(address, body={**CHAT, "model": "mine"})
            process.send_signal(signal.SIGINT)
            rest = process.stderr.read()
            assert process.wait(30) == 0 and "Traceback" not in rest, rest
        finally:
            process.kill()
    assert reply.body["usage"]["completion_tokens"] == 12


@pytest.mark.parametrize("token", ["", "short"])
def test_another_address_needs_a_token(token: str, folder: Path) -> None:
    command = [sys.executable, "-m", "ropewalk.cli.main", "serve", str(folder), "--host", "0.0.0.0", "--port", "0"]
    done = subprocess.run(command, env={**environment(), "ROPEWALK_TOKEN": token}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "needs a token" in done.stderr
