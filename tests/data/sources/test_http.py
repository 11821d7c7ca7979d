"""HTTP: files come whole or not at all, whatever the server does; nothing inside is asked unless told; secrets are not shown."""

from __future__ import annotations

import _socket
import gzip
import hashlib
import io
import json
import socket
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import ValidationError

from ropewalk.core.component import as_tree
from ropewalk.core.errors import DataError, NetworkError
from ropewalk.core.identity import identify
from ropewalk.data.sources.address import is_public, shown
from ropewalk.data.sources.http import Http
from web_server import Handler, WebServer, resumable, serving

ROWS = b"".join(b'{"id": "d%d", "text": "document %d"}\n' % (number, number) for number in range(1000))


@pytest.fixture
def server() -> Iterator[WebServer]:
    with serving() as running:
        yield running


def source(server: WebServer, *paths: str, **fields: Any) -> Http:
    urls = [server.address + path for path in paths]
    settings = {"allow_private": True, "backoff": 0.01, "timeout": 2, "retries": 3, **fields}
    return Http(url=urls[0] if len(urls) == 1 else urls, **settings)


def texts(http: Http, work: Path) -> list[str]:
    ready = http.ready(work).source
    return [item.text for shard in ready.shards() for item in ready.read(shard)]


def test_files_of_every_kind_are_fetched_and_read_in_the_order_of_their_names(server: WebServer, tmp_path: Path, read_all: Any) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        info = tarfile.TarInfo("in/side.jsonl")
        info.size = len(ROWS)
        archive.addfile(info, io.BytesIO(ROWS))
    server.pages = {
        "/a.jsonl.gz": lambda handler: handler.give(gzip.compress(ROWS)),
        "/b.csv": lambda handler: handler.give(b"id,text\nb,csv\n"),
        "/c.tar.gz": lambda handler: handler.give(packed.getvalue()),
        "/d": lambda handler: handler.give(b"plain text"),
    }
    http = source(server, *server.pages, license="MIT")
    ready = http.ready(tmp_path)
    documents, rejects = read_all(ready.source)
    assert len(documents) == 2002 and not rejects
    assert [(fact["url"], fact["bytes"]) for fact in ready.fetched][1] == (server.address + "/b.csv", 14)
    assert ready.fetched[3]["sha256"] == hashlib.sha256(b"plain text").hexdigest()
    assert {document.license for document in documents} == {"MIT"} and {document.source for document in documents} == {"a", "b", "in", "d"}


def test_a_cut_download_goes_on_where_it_was_cut(server: WebServer, tmp_path: Path) -> None:
    server.pages["/a.jsonl"] = resumable(ROWS, [10_000, 7_000])
    assert len(texts(source(server, "/a.jsonl"), tmp_path)) == 1000
    assert [headers.get("Range") for _, headers in server.asked] == [None, "bytes=10000-", "bytes=17000-"]
    assert {headers["If-Range"] for _, headers in server.asked[1:]} == {'"one"'}


def test_a_killed_fetch_goes_on_in_the_next_run_and_a_finished_one_is_not_asked_again(server: WebServer, tmp_path: Path) -> None:
    server.pages["/a.jsonl"] = resumable(ROWS, [10_000])
    with pytest.raises(NetworkError, match=r"after 1 tries") as caught:
        texts(source(server, "/a.jsonl", retries=0), tmp_path)
    assert caught.value.exit_code == 11
    assert len(texts(source(server, "/a.jsonl", retries=0), tmp_path)) == 1000
    assert server.asked[-1][1]["Range"] == "bytes=10000-"
    number = len(server.asked)
    assert len(texts(source(server, "/a.jsonl"), tmp_path)) == 1000 and len(server.asked) == number
    place = next((tmp_path / "00000" / "file").iterdir())
    place.write_bytes(place.read_bytes()[:-1])  # damaged since: fetched again
    assert len(texts(source(server, "/a.jsonl"), tmp_path)) == 1000 and len(server.asked) == number + 1


def test_a_file_that_changed_meanwhile_is_begun_anew_never_mixed(server: WebServer, tmp_path: Path) -> None:
    server.pages["/a.jsonl"] = resumable(ROWS, [10_000])
    with pytest.raises(NetworkError):
        texts(source(server, "/a.jsonl", retries=0), tmp_path)
    other = ROWS.replace(b"document", b"anything")
    server.pages["/a.jsonl"] = resumable(other, [], tag='"two"')
    found = texts(source(server, "/a.jsonl"), tmp_path)
    assert len(found) == 1000 and not any("document" in text for text in found)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again_and_told_waits_are_kept(server: WebServer, tmp_path: Path, status: int) -> None:
    busy = [0.2, 0.0]

    def page(handler: Handler) -> None:
        if busy:
            handler.give(b"", status, Retry_After="1" if busy.pop(0) else "later")
        else:
            handler.give(ROWS)

    server.pages["/a.jsonl"] = page
    begun = time.monotonic()
    assert len(texts(source(server, "/a.jsonl"), tmp_path)) == 1000
    assert len(server.asked) == 3 and time.monotonic() - begun >= 1


def test_what_does_not_get_better_is_not_tried_again(server: WebServer, tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="404"):
        texts(source(server, "/gone"), tmp_path)
    assert len(server.asked) == 1
    with pytest.raises(NetworkError, match="no connection"):
        texts(Http(url="http://127.0.0.1:1/a", allow_private=True, retries=0), tmp_path / "b")


def test_pins_are_checked_before_anything_is_read(server: WebServer, tmp_path: Path) -> None:
    server.pages["/a.jsonl"] = lambda handler: handler.give(ROWS)
    right = hashlib.sha256(ROWS).hexdigest()
    assert len(texts(source(server, "/a.jsonl", sha256=right.upper(), size=len(ROWS)), tmp_path / "good")) == 1000
    for pins, said in (({"sha256": "0" * 64}, "not the 0000"), ({"size": 7}, "not the 7 that were pinned")):
        with pytest.raises(DataError, match=said):
            texts(source(server, "/a.jsonl", **pins), tmp_path / said)
        assert not list((tmp_path / said / "00000" / "file").iterdir())
    address = server.address + "/a.jsonl"
    assert len(texts(source(server, "/a.jsonl", sha256={address: right}), tmp_path / "mapped")) == 1000


def test_pins_and_addresses_shape_the_key_and_how_it_is_fetched_does_not(server: WebServer) -> None:
    def key(http: Http) -> str:
        return identify(http, lambda ref: "").key

    first = key(source(server, "/a"))
    assert key(source(server, "/a", retries=9, parallel=1, timeout=5)) == first
    assert key(source(server, "/a", sha256="0" * 64)) != first != key(source(server, "/b"))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"url": ["http://a/x", "http://a/x"]}, "twice"),
        ({"url": "http://a/x", "sha256": {"http://a/y?token=s3cret": "0" * 64}}, "http://a/y.* not among"),
        ({"url": ["http://a/x", "http://a/y"], "sha256": "0" * 64}, "must be a mapping"),
        ({"url": "http://a/x", "sha256": "abc"}, "pattern"),
        ({"url": "http://a/x", "pages": {}, "size": 5}, "pins files"),
    ],
)
def test_wrong_settings_are_refused(fields: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Http(**fields)


def endless(handler: Handler) -> None:
    handler.head(None)
    while not handler.server.stopping.is_set():
        handler.wfile.write(bytes(100_000))


def trickle(before: bytes, each: bytes) -> Any:
    def page(handler: Handler) -> None:
        handler.wfile.write(before)
        while not handler.server.stopping.wait(0.05):
            handler.wfile.write(each)

    return page


def test_an_endless_body_stops_at_the_limit(server: WebServer, tmp_path: Path) -> None:
    server.pages["/a"] = endless
    with pytest.raises(DataError, match=r"larger than max_bytes \(3\.0 MiB\)"):
        texts(source(server, "/a", max_bytes="3MiB"), tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 5 << 20
    server.pages["/b"] = lambda handler: handler.head(10 << 30)
    with pytest.raises(DataError, match="larger than max_bytes"):
        texts(source(server, "/b", max_bytes="3MiB"), tmp_path / "b")


@pytest.mark.parametrize(
    ("before", "each"),
    [
        (b"", b""),
        (b"HTTP/1.1 200 OK\r\nX: ", b"a"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"a"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    ],
    ids=["silent", "head", "body", "chunks", "chunk-size"],
)
def test_a_server_that_trickles_is_given_up(server: WebServer, tmp_path: Path, before: bytes, each: bytes) -> None:
    server.pages["/a"] = trickle(before, each)
    begun = time.monotonic()
    with pytest.raises(NetworkError, match=r"slower than 1024 bytes in 0\.3 s \(after 2 tries\)"):
        texts(source(server, "/a", timeout=0.3, retries=1), tmp_path)
    assert time.monotonic() - begun < 5


def test_the_time_for_one_address_is_limited(server: WebServer, tmp_path: Path) -> None:
    server.pages["/a"] = trickle(b"HTTP/1.1 200 OK\r\n\r\n", bytes(2000))
    with pytest.raises(NetworkError, match="max_seconds"):
        texts(source(server, "/a", timeout=0.5, max_seconds=0.4), tmp_path)


INSIDE = [
    "127.0.0.1",
    "0.0.0.0",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::10.0.0.1]",
    "[2002:7f00:1::]",
    "169.254.169.254",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "[fd00::1]",
    "[fe80::1]",
    "224.0.0.1",
    "2130706433",
    "0177.0.0.1",
    "0x7f.1",
    "localhost",
]


@pytest.mark.parametrize("host", INSIDE)
def test_addresses_inside_are_refused_before_a_connection(host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _numbers_only)
    monkeypatch.setattr(socket.socket, "connect", lambda *arguments: pytest.fail("connected"))
    with pytest.raises(DataError, match="private network or of this machine") as caught:
        Http(url=f"http://{host}/latest/meta-data").ready(tmp_path)
    assert "allow_private" in caught.value.remedy


def _numbers_only(host: str, port: int, **named: Any) -> Any:
    """As the system reads numbers in all their spellings; no name is looked up."""
    flags = 0 if host == "localhost" else socket.AI_NUMERICHOST
    return _socket.getaddrinfo(host, port, 0, named.get("type", 0), 0, flags)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:4700:4700::1111", "8.8.8.8"])
def test_addresses_of_the_open_internet_are_let_pass(address: str) -> None:
    assert is_public(address)


def answers(*addresses: str) -> Any:
    return lambda host, port, **named: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]


def test_one_private_address_among_several_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answers("93.184.215.14", "10.0.0.1"))
    with pytest.raises(DataError, match=r"two\.example: 10\.0\.0\.1"):
        Http(url="http://two.example/a").ready(tmp_path)


def test_the_checked_address_is_the_one_that_is_connected_to(server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []
    reached: list[Any] = []

    def rebinding(host: str, port: int, **named: Any) -> Any:  # public when checked, inside ever after
        names.append(host)
        return answers("93.184.215.14" if len(names) == 1 else "127.0.0.1")(host, port)

    def connect(self: Any, address: Any) -> None:
        reached.append(address)
        raise OSError("not in a test")

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(NetworkError, match="not in a test"):
        Http(url="http://rebind.example:8080/a", retries=0).ready(tmp_path)
    assert names == ["rebind.example"] and reached == [("93.184.215.14", 8080)]


def redirect(target: str) -> Any:
    return lambda handler: handler.give(b"", 302, Location=target)


def test_redirects_are_checked_like_first_addresses(server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket.connect
    port = server.server_address[1]
    known = {"out.example": "93.184.215.14"}
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, **named: answers(known.get(host, host))(host, port))
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: real(self, ("127.0.0.1", address[1])))
    for number, (target, said) in enumerate(
        [
            ("http://169.254.169.254/x", "private network"),
            (f"http://127.0.0.1:{port}/b", "private network"),
            ("file:///etc/passwd", "only http and https"),
            ("ftp://out.example/x", "only http and https"),
            ("http://me:s3cret@out.example/x", "name or password"),
        ]
    ):
        server.pages["/a"] = redirect(target)
        with pytest.raises(DataError, match=said) as caught:
            Http(url=f"http://out.example:{port}/a", retries=0).ready(tmp_path / str(number))
        assert "s3cret" not in str(caught.value)


def test_three_redirects_are_followed_and_no_more(server: WebServer, tmp_path: Path) -> None:
    for number in range(4):
        server.pages[f"/{number}"] = redirect(f"/{number + 1}")
    server.pages["/4"] = lambda handler: handler.give(ROWS)
    assert len(texts(source(server, "/1"), tmp_path / "three")) == 1000
    with pytest.raises(NetworkError, match="more than 3 redirects"):
        texts(source(server, "/0"), tmp_path / "four")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("file:///etc/passwd", "only http and https"),
        ("ftp://example.org/a", "only http and https"),
        ("/etc/passwd", "only http and https"),
        ("http://user:s3cret@example.org/a?key=s3cret", "holds a name or password"),
        ("http://user@example.org/a", "holds a name or password"),
        ("http:///a", "names no host"),
        ("http://example.org:99999/a", "not an address"),
        ("http://example.org/a\r\nX: y", "control character|not an address|holds a space"),
    ],
)
def test_other_addresses_are_refused_before_any_work_and_secrets_not_shown(url: str, said: str) -> None:
    for verb in (Http.check, Http.fingerprint):
        with pytest.raises(DataError, match=said) as caught:
            getattr(Http(url=url), verb.__name__)()
        assert "s3cret" not in str(caught.value)


def test_an_address_is_shown_without_its_secrets() -> None:
    assert shown("https://u:p@example.org:8/a/b?token=x#y") == "https://example.org:8/a/b?…"


def test_a_token_goes_to_its_own_host_only(server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "s3cret")
    with serving() as other:
        other.pages["/b"] = lambda handler: handler.give(ROWS)
        server.pages["/a"] = redirect(f"{other.address}/b")
        http = source(server, "/a", token_variable="MY_TOKEN")
        assert len(texts(http, tmp_path)) == 1000
        assert server.asked[0][1]["Authorization"] == "Bearer s3cret" and "Authorization" not in other.asked[0][1]
    assert "s3cret" not in str(as_tree(http)) and not any(b"s3cret" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    monkeypatch.delenv("MY_TOKEN")
    with pytest.raises(DataError, match="MY_TOKEN holds no token"):
        texts(http, tmp_path / "b")


PAGED = [{"id": f"p{number}", "text": f"page text {number}"} for number in range(25)]


def paged(kind: str) -> Any:
    def page(handler: Handler) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(handler.path).query).items()}
        assert query.pop("q") == "x y"
        begin = (
            (int(query.get("page", "1")) - 1) * 10
            if kind == "page"
            else int(query.get("offset", query.get("cursor", query.get("at", "0"))))
        )
        rows, end = PAGED[begin : begin + 10], begin + 10
        more = end < len(PAGED)
        body: Any = {"data": {"items": rows}}
        headers = {}
        if kind == "next":
            body["links"] = {"next": f"/api?q=x+y&at={end}" if more else None}
        if kind == "cursor":
            body["meta"] = {"next": str(end)} if more else {}
        if kind == "link" and more:
            headers["Link"] = f'</other>; rel="prev", </api?q=x+y&at={end}>; rel="next"'
        handler.give(json.dumps(body).encode(), **headers)

    return page


STYLES: dict[str, dict[str, Any]] = {
    "next": {"by": "next", "at": "links.next"},
    "link": {"by": "next"},
    "page": {"by": "page"},
    "offset": {"by": "offset"},
    "cursor": {"by": "cursor", "at": "meta.next"},
}


@pytest.mark.parametrize("kind", STYLES)
def test_pages_are_followed_to_their_end_and_go_on_behind_the_last_that_stands(server: WebServer, tmp_path: Path, kind: str) -> None:
    server.pages["/api"] = paged(kind)
    http = source(server, "/api?q=x+y", pages={"rows": "data.items", **STYLES[kind]})
    assert texts(http, tmp_path) == [row["text"] for row in PAGED]
    number = len(server.asked)
    assert number == (4 if kind in ("page", "offset") else 3)
    for page in sorted(tmp_path.rglob("page-*.next"))[1:]:
        page.unlink()  # as if killed between the second page and its mark
    assert texts(http, tmp_path) == [row["text"] for row in PAGED] and len(server.asked) == 2 * number - 1


def test_pages_in_a_ring_or_without_end_stop(server: WebServer, tmp_path: Path) -> None:
    server.pages["/ring"] = lambda handler: handler.give(b'{"rows": [{"text": "a"}], "next": "/ring"}')
    with pytest.raises(DataError, match="go in a ring"):
        texts(source(server, "/ring", pages={"rows": "rows", "at": "next"}), tmp_path / "ring")
    server.pages["/on"] = lambda handler: handler.give(b'[{"text": "a"}]')
    with pytest.raises(DataError, match="more than 5 pages"):
        texts(source(server, "/on", pages={"by": "page", "max_pages": 5}), tmp_path / "on")
    with pytest.raises(DataError, match="holds no list at nothing"):
        texts(source(server, "/on", pages={"by": "page", "rows": "nothing"}), tmp_path / "no")
    with pytest.raises(DataError, match="larger than max_bytes together"):
        texts(source(server, "/on", pages={"by": "page"}, max_bytes=100), tmp_path / "large")


def test_an_unfetched_source_says_so(tmp_path: Path) -> None:
    http = Http(url="https://example.org/a")
    with pytest.raises(DataError, match="nothing is fetched yet"):
        list(http.read(http.shards()[0]))
