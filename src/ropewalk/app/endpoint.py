"""The OpenAI-compatible endpoint: /v1/models, /v1/chat/completions, /v1/completions; every refusal is the API's JSON."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ropewalk.app.engine import Engine, Overloaded
from ropewalk.app.protocol import Answer, BadRequest, Kind, Wanted, understood
from ropewalk.core.errors import DataError, RopewalkError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from ropewalk.evaluate.writer import Piece
    from ropewalk.pipeline.open_model import OpenModel

MOST_BODY_BYTES = 4 << 20
LOOK_SECONDS = 0.25  # between two looks whether a client that waits for a whole answer is still there
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def make_app(model: OpenModel, engine: Engine, token: str = "", hosts: Collection[str] = LOOPBACK) -> Starlette:
    """The application; it starts and stops the engine. `hosts` are the names in a request's Host header that are answered; empty: all."""
    born = int(time.time())
    entry = {"id": model.name, "object": "model", "created": born, "owned_by": "ropewalk"}

    async def models(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [entry]})

    async def one_model(request: Request) -> Response:
        if request.path_params["name"] != model.name:
            raise BadRequest(f"the model {request.path_params['name']!r} is not served here", "model", status=404, code="model_not_found")
        return JSONResponse(entry)

    async def chat(request: Request) -> Response:
        return await _answered(request, "chat.completion", model, engine)

    async def complete(request: Request) -> Response:
        return await _answered(request, "text_completion", model, engine)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        engine.start()
        yield
        await asyncio.to_thread(engine.stop)

    routes = [
        Route("/v1/models", models),
        Route("/v1/models/{name:path}", one_model),
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/completions", complete, methods=["POST"]),
    ]
    handlers: dict[Any, Any] = {BadRequest: _refused, HTTPException: _not_here, Exception: _failed}
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)
    app.add_middleware(_Door, token=token, hosts=hosts)
    return app


class _Door:
    """Answers only requests that name an allowed host and carry the token: a page of another site must not get through."""

    def __init__(self, app: ASGIApp, token: str, hosts: Collection[str]) -> None:
        self.app, self.token, self.hosts = app, token.encode(), hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (refusal := self._refusal(dict(scope["headers"]))):
            await JSONResponse(refusal.body, refusal.status)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _refusal(self, headers: dict[bytes, bytes]) -> BadRequest | None:
        host = headers.get(b"host", b"").decode("latin-1").lower()
        name = host[: host.rfind("]") + 1] if host.startswith("[") else host.partition(":")[0]
        if self.hosts and name not in self.hosts:
            return BadRequest(f"requests for the host {name!r} are not answered here", status=403, code="host_not_allowed")
        if self.token and not hmac.compare_digest(headers.get(b"authorization", b""), b"Bearer " + self.token):
            return BadRequest("a valid token is needed: Authorization: Bearer TOKEN", status=401, code="invalid_api_key")
        return None


async def _body(request: Request) -> Any:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise BadRequest("send application/json", status=415)  # what a page of another site can't send without being asked first
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > MOST_BODY_BYTES:
            raise BadRequest(f"the body is longer than {MOST_BODY_BYTES} bytes", status=413)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON: {error}") from None


async def _answered(request: Request, kind: Kind, model: OpenModel, engine: Engine) -> Response:
    body = await _body(request)
    wanted = await asyncio.to_thread(understood, kind, body, model)
    answer = Answer(wanted, model.name)
    pieces = engine.stream(wanted.asked)
    try:
        first = await anext(pieces)
    except RopewalkError as error:
        raise _as_request(error) from None
    if wanted.stream:
        return StreamingResponse(_events(first, pieces, answer), media_type="text/event-stream", headers={"Cache-Control": "no-cache"})
    whole = asyncio.ensure_future(_collected(first, pieces, wanted))
    try:
        while not whole.done():
            await asyncio.wait([whole], timeout=LOOK_SECONDS)
            if not whole.done() and await request.is_disconnected():
                return Response(status_code=499)
        return JSONResponse(answer.whole(*whole.result()))
    except RopewalkError as error:
        raise _as_request(error) from None
    finally:
        whole.cancel()


async def _collected(first: Piece, pieces: AsyncIterator[Piece], wanted: Wanted) -> tuple[list[str], list[str], list[int]]:
    texts, finishes, tokens = ([""] * len(wanted.asked), [""] * len(wanted.asked), [0] * len(wanted.asked))
    async for piece in _with_first(first, pieces):
        texts[piece.number] += piece.text
        finishes[piece.number], tokens[piece.number] = piece.finish, piece.tokens
    return texts, finishes, tokens


async def _events(first: Piece, pieces: AsyncIterator[Piece], answer: Answer) -> AsyncIterator[str]:
    for chunk in answer.opening():
        yield _event(chunk)
    try:
        async for piece in _with_first(first, pieces):
            yield _event(answer.chunk(piece.number, piece.text, piece.finish, piece.tokens))
    except RopewalkError as error:  # the status line is gone: the stream itself says it
        yield _event(_as_request(error).body)
        return
    if answer.wanted.include_usage:
        yield _event(answer.usage_chunk())
    yield "data: [DONE]\n\n"


async def _with_first(first: Piece, pieces: AsyncIterator[Piece]) -> AsyncIterator[Piece]:
    """All pieces; the iterator is closed at the end, so that a client that left is computed for no longer."""
    try:
        yield first
        async for piece in pieces:
            yield piece
    finally:
        await pieces.aclose()  # type: ignore[attr-defined]


def _event(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"


def _as_request(error: RopewalkError) -> BadRequest:
    if isinstance(error, Overloaded):
        return BadRequest(error.message, status=429, code="rate_limit_exceeded", kind="rate_limit_error")
    if isinstance(error, DataError):
        return BadRequest(error.message)
    return BadRequest(error.message, status=500, kind="server_error")


async def _refused(request: Request, error: BadRequest) -> Response:
    headers = {"Retry-After": "1"} if error.status == 429 else {}
    return JSONResponse(error.body, error.status, headers)


async def _not_here(request: Request, error: HTTPException) -> Response:
    body = BadRequest(f"{request.method} {request.url.path}: {error.detail}", code="unknown_url").body
    return JSONResponse(body, error.status_code, error.headers)


async def _failed(request: Request, error: Exception) -> Response:
    return JSONResponse(BadRequest("the server failed; its log says why", kind="server_error").body, 500)
