"""Loading over HTTP in a whole run: a failed or killed download goes on in the next run, and what was fetched stands in the manifest."""

from __future__ import annotations

import gzip
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ropewalk.core.errors import NetworkError
from ropewalk.pipeline.recipe import Recipe
from ropewalk.pipeline.stages.load import Load
from web_server import Handler, WebServer, resumable, serving

ROWS = b"".join(b'{"id": "d%d", "text": "document %d"}\n' % (number, number) for number in range(5000))


@pytest.fixture
def server() -> Iterator[WebServer]:
    with serving() as running:
        yield running


def recipe(tmp_path: Path, **source: Any) -> Recipe:
    stage = Load.model_validate({"source": {"type": "http", "allow_private": True, "backoff": 0.01, "timeout": 5, **source}})
    return Recipe(name="fetch", store=tmp_path / "store", runs=tmp_path / "runs", stages={"raw": stage})


def test_the_next_run_fetches_only_what_is_missing(server: WebServer, tmp_path: Path) -> None:
    server.pages["/a.jsonl"] = resumable(ROWS, [100_000])
    server.pages["/b.jsonl.gz"] = lambda handler: handler.give(gzip.compress(ROWS.replace(b'"d', b'"e')))
    wanted = recipe(tmp_path, url=[server.address + "/b.jsonl.gz", server.address + "/a.jsonl"], retries=0)
    with pytest.raises(NetworkError) as caught:
        wanted.run(quiet=True)
    assert caught.value.exit_code == 11
    run = wanted.run(quiet=True)
    asked = [(path, headers.get("Range")) for path, headers in server.asked]
    assert sorted(asked, key=str) == sorted([("/a.jsonl", None), ("/b.jsonl.gz", None), ("/a.jsonl", "bytes=100000-")], key=str)
    manifest = run["raw"].manifest
    assert manifest.counts["kept"] == 10_000
    fetched = {fact["url"]: fact["sha256"] for fact in manifest.metrics["fetched"]}
    assert fetched[server.address + "/a.jsonl"] == hashlib.sha256(ROWS).hexdigest() and len(fetched) == 2
    number = len(server.asked)
    assert wanted.run(quiet=True).made == [] and len(server.asked) == number
    assert not list((tmp_path / "runs" / "fetch" / "work").glob("raw/*"))


RUN = """
import sys
from pathlib import Path
from ropewalk.pipeline.recipe import Recipe
from ropewalk.pipeline.stages.load import Load

source = {"type": "http", "url": sys.argv[1], "allow_private": True, "timeout": 30}
stage = Load.model_validate({"source": source})
root = Path(sys.argv[2])
run = Recipe(name="fetch", store=root / "store", runs=root / "runs", stages={"raw": stage}).run(quiet=True)
print(run["raw"].manifest.counts["kept"])
"""


def test_a_killed_download_goes_on_in_the_next_run(server: WebServer, tmp_path: Path) -> None:
    whole = resumable(ROWS, [])

    def first(handler: Handler) -> None:
        handler.head(len(ROWS), ETag='"one"')
        handler.wfile.write(ROWS[:100_000])
        handler.server.stopping.wait(60)

    server.pages["/a.jsonl"] = first
    command = [sys.executable, "-c", RUN, server.address + "/a.jsonl", str(tmp_path)]
    with subprocess.Popen(command) as process:
        deadline = time.monotonic() + 60
        while sum(path.stat().st_size for path in (tmp_path / "runs").rglob("part")) < 100_000:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
    server.pages["/a.jsonl"] = whole
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "5000"
    assert [headers.get("Range") for _, headers in server.asked] == [None, "bytes=100000-"]
