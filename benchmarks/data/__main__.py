"""The one command: `python -m benchmarks.data` makes what is missing, measures, and writes docs/benchmarks/data.md."""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import json
import platform
import sys
from pathlib import Path

from benchmarks.data import corpus, groups, peers
from benchmarks.data.measure import Result, side_by_side
from benchmarks.data.page import page

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Exit code 1 when a job of ours failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "bench", help="corpora and results")
    parser.add_argument("--peers", type=Path, default=ROOT / "build" / "peers", help="the peers' environments")
    parser.add_argument("--only", nargs="*", default=[], metavar="WORD", help="only tables whose title has one of these words")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "benchmarks" / "data.md")
    parser.add_argument("--most-runs", type=int, default=9, help="1 to see that everything works")
    given = parser.parse_args()
    folder = given.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    corpus.build(folder, corpus.SIZES_MB)
    missing = {name: why for name in peers.PEERS if (why := peers.make(given.peers.absolute(), name))}
    work = folder / "work"
    work.mkdir(exist_ok=True)
    bench = groups.Bench(
        folder / "c40" / "corpus.jsonl",
        folder / "c150" / "corpus.jsonl",
        work,
        given.peers.absolute(),
        frozenset(peers.PEERS) - set(missing),
    )
    started = dt.datetime.now(dt.UTC)
    done: list[tuple[groups.Group, list[Result]]] = []
    for group in (*groups.cleaning(bench), *groups.duplicates(bench), *groups.tokens(bench)):
        if given.only and not any(word.lower() in group.title.lower() for word in given.only):
            continue
        print(group.title, flush=True)
        jobs = [dataclasses.replace(job, runs=min(job.runs, given.most_runs)) for job in group.jobs]
        done.append((group, side_by_side(jobs, lambda line: print(line, flush=True))))
        groups.after(group, bench)
    facts = {
        "quoted": [] if given.only else list(groups.quoted(bench)),
        "started": f"{started:%Y-%m-%d}",
        "minutes": f"{(dt.datetime.now(dt.UTC) - started).total_seconds() / 60:.0f}",
        "python": platform.python_version(),
        "versions": {name: peers.versions(given.peers.absolute(), name) for name in sorted(bench.ready)},
        "missing": missing,
        "corpora": {name: json.loads((folder / name / "manifest.json").read_text()) for name in corpus.SIZES_MB},
    }
    given.page.write_text(page(done, facts), encoding="utf-8")
    failed = [result.job for _, results in done for result in results if result.failed and result.job.command[0] == sys.executable]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
