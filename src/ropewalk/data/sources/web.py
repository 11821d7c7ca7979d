"""One GET over HTTP: connects to the address that was checked, follows three redirects at most, and never waits for ever."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin

from ropewalk.core.errors import DataError
from ropewalk.data.sources.address import PORTS, checked, resolved, shown

MAX_REDIRECTS = 3
REDIRECTS = (301, 302, 303, 307, 308)
AGAIN = (408, 425, 429, 500, 502, 503, 504)
MIN_BYTES = 1024  # in the time of one time-out: slower is not waited for
BLOCK_BYTES = 256 << 10
PLAIN = {"Accept-Encoding": "identity", "Connection": "close"}


class TryAgain(Exception):
    """What may be better next time: a time-out, a cut, a server that is busy; `seconds` is how long it asked to wait."""

    def __init__(self, message: str, seconds: float = 0.0) -> None:
        super().__init__(message)
        self.seconds = seconds


class Refused(Exception):
    """An answer that won't change, such as 404."""


@dataclass(frozen=True)
class Access:
    """How the web is asked."""

    timeout: float
    allow_private: bool = False
    token_variable: str = ""


class Answer:
    """A response whose body is read in blocks."""

    def __init__(self, response: http.client.HTTPResponse, url: str, watch: _Watch) -> None:
        self.response, self.url, self.watch = response, url, watch
        self.status = response.status

    def header(self, name: str) -> str:
        return self.response.headers.get(name, "") or ""

    @property
    def length(self) -> int | None:
        """Bytes that are to come, where the server says."""
        return self.response.length

    def blocks(self) -> Iterator[bytes]:
        """The body; raises TryAgain when it is cut or comes too slowly."""
        expected, got = self.length, 0
        while True:
            try:
                block = self.response.read1(BLOCK_BYTES)
            except (OSError, http.client.HTTPException) as error:
                raise TryAgain(self.watch.why(error)) from None
            if not block:
                break
            got += len(block)
            self.watch.seen(len(block))
            yield block
        if self.watch.fired or (expected is not None and got < expected):
            raise TryAgain(self.watch.why(f"cut after {got:,} bytes of {expected or 'an unknown number'}"))


@contextmanager
def asked(url: str, headers: Mapping[str, str], access: Access) -> Iterator[Answer]:
    """The answer behind all redirects. Raises TryAgain, Refused, DataError (an address that may not be asked) or NetworkError."""
    origin = checked(url)
    for _ in range(MAX_REDIRECTS + 1):
        parts = checked(url)
        own = dict(headers)
        if access.token_variable and (parts.scheme, parts.netloc) == (origin.scheme, origin.netloc):
            own["Authorization"] = f"Bearer {_token(access.token_variable)}"
        with _answered(parts, url, own, access) as answer:
            if answer.status not in REDIRECTS:
                _judge(answer)
                yield answer
                return
            target = urljoin(url, answer.header("Location"))
        if parts.scheme == "https" and not target.startswith("https:"):
            raise Refused(f"leads from https to {shown(target)}")
        url = target
    raise Refused(f"more than {MAX_REDIRECTS} redirects")


def _judge(answer: Answer) -> None:
    if answer.status in AGAIN:
        wait = answer.header("Retry-After")
        raise TryAgain(f"the server says {answer.status} {answer.response.reason}", float(wait) if wait.isdecimal() else 0.0)
    if answer.status not in (200, 206, 416):
        raise Refused(f"the server says {answer.status} {answer.response.reason}")


def _token(variable: str) -> str:
    token = os.environ.get(variable, "")
    if not token or any(ord(character) < 33 for character in token):
        raise DataError(f"the environment variable {variable} holds no token", remedy=f"set {variable}, or leave out token_variable")
    return token


@contextmanager
def _answered(parts: SplitResult, url: str, headers: Mapping[str, str], access: Access) -> Iterator[Answer]:
    with ExitStack() as stack:
        plain = stack.enter_context(_connected(parts, access))
        watch = _Watch(plain, access.timeout)
        stack.callback(watch.stop)
        connection = _Given(parts.hostname or "", parts.port or PORTS[parts.scheme], timeout=access.timeout)
        stack.callback(connection.close)
        try:
            connection.sock = _wrapped(plain, parts) if parts.scheme == "https" else plain
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("GET", target, headers={"Host": parts.netloc, "User-Agent": "ropewalk", **PLAIN, **headers})
            response = stack.enter_context(connection.getresponse())
        except (OSError, http.client.HTTPException) as error:
            raise TryAgain(watch.why(error)) from None
        yield Answer(response, url, watch)


class _Given(http.client.HTTPConnection):
    """A connection that was made already, and is never made again behind our back."""

    auto_open = 0


def _connected(parts: SplitResult, access: Access) -> socket.socket:
    why: OSError | None = None
    for family, address in resolved(parts, allow_private=access.allow_private):
        connection = socket.socket(family, socket.SOCK_STREAM)
        connection.settimeout(access.timeout)
        try:
            connection.connect((address, parts.port or PORTS[parts.scheme]))
        except OSError as error:
            connection.close()
            why = error
        else:
            return connection
    raise TryAgain(f"no connection: {why}")


def _wrapped(plain: socket.socket, parts: SplitResult) -> ssl.SSLSocket:
    try:
        return ssl.create_default_context().wrap_socket(plain, server_hostname=parts.hostname)
    except ssl.SSLCertVerificationError as error:
        raise Refused(f"its certificate can't be trusted: {error.verify_message}") from None


class _Watch:
    """Cuts a connection on which too little comes: each time-out's span must bring 1 KiB, the first its answer's head."""

    def __init__(self, connection: socket.socket, timeout: float) -> None:
        self.connection, self.timeout = os.dup(connection.fileno()), timeout
        self.bytes = self.before = 0
        self.fired = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def seen(self, size: int) -> None:
        self.bytes += size

    def why(self, error: object) -> str:
        return f"slower than {MIN_BYTES} bytes in {self.timeout:g} s" if self.fired or isinstance(error, TimeoutError) else str(error)

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        os.close(self.connection)

    def _run(self) -> None:
        begun = time.monotonic()
        while not self._stopped.wait(max(0.0, begun + self.timeout - time.monotonic())):
            if self.bytes - self.before < MIN_BYTES:
                self.fired = True
                with suppress(OSError), socket.socket(fileno=os.dup(self.connection)) as copy:  # it may be closed meanwhile
                    copy.shutdown(socket.SHUT_RDWR)
                return
            self.before, begun = self.bytes, time.monotonic()
