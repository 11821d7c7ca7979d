"""A web server on this machine that can be slow, cut, busy or wrong; it remembers what it was asked."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Page = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers by the path's page, else with 404."""

    server: WebServer

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        page = self.server.pages.get(self.path.partition("?")[0])
        try:
            if page is None:
                self.send_error(404)
            else:
                page(self)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def give(self, body: bytes, status: int = 200, **headers: str) -> None:
        """A whole answer."""
        self.head(len(body), status, **headers)
        self.wfile.write(body)

    def head(self, length: int | None, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Says nothing."""


class WebServer(ThreadingHTTPServer):
    """With `pages`: path -> what answers there."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: dict[str, Page] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.stopping = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def serving() -> Iterator[WebServer]:
    with WebServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.stopping.set()
            server.shutdown()
            thread.join()


def resumable(data: bytes, cuts: list[int], tag: str = '"one"') -> Page:
    """A file that is cut after so many bytes of an answer, once for each entry, and can be asked for from any byte."""

    def page(handler: Handler) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        begin = int(wanted[1]) if wanted and handler.headers.get("If-Range") == tag else 0
        body = data[begin:]
        extra = {"Content_Range": f"bytes {begin}-{len(data) - 1}/{len(data)}"} if begin else {}
        handler.head(len(body), 206 if begin else 200, ETag=tag, **extra)
        handler.wfile.write(body[: cuts.pop(0)] if cuts else body)

    return page
