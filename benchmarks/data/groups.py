"""What is measured: groups of jobs that do the same work, each a table of the page."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.data.measure import ONE_THREAD, Job, Result
from benchmarks.data.peers import python_of
from benchmarks.data.truth import score

ADAPTERS = Path(__file__).parent / "adapters"
FIRST_RULES, FIRST_PII, FIRST_PIPELINE = 1200, 4000, 3000
"""Documents that the slow peers get; a rate doesn't depend on how many."""
SLOW = 1


@dataclass(frozen=True)
class Bench:
    """Where things are."""

    c40: Path
    c150: Path
    work: Path
    peers: Path
    ready: frozenset[str]
    """The peers' environments that could be made."""

    def ours(self, what: str, corpus: Path, runs: int = 3, who: str = "ropewalk", note: str = "") -> Job:
        out = self.work / f"ours_{what}_{corpus.parent.name}.npy"
        parts = (str(ADAPTERS / "ours.py"), what, "--corpus", str(corpus), "--work", str(self.work / what), "--out", str(out))
        return Job(who, (sys.executable, *parts), runs, note)

    def peer(self, environment: str, script: str, *arguments: str, who: str, runs: int = 3, note: str = "") -> list[Job]:
        """No job where the environment is missing."""
        if environment not in self.ready:
            return []
        return [Job(who, (str(python_of(self.peers, environment)), str(ADAPTERS / script), *arguments), runs, note)]


@dataclass(frozen=True)
class Group:
    """Jobs that run side by side, and how their table reads."""

    title: str
    about: str
    jobs: list[Job]
    columns: tuple[tuple[str, Callable[[Result], str]], ...]


def seconds(result: Result) -> str:
    return f"{result.median('cpu_s'):.3g}"


def speed(result: Result) -> str:
    return f"{result.speed:.3g}"


def memory(result: Result) -> str:
    return f"{result.median('peak_mb'):.0f}"


def fact(name: str) -> Callable[[Result], str]:
    """A fact of the last run, as it is."""
    return lambda result: _said(result.last(name))


def _said(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


USUAL = (("CPU s", seconds), ("MB/s", speed), ("peak MB", memory))


def scored(truth: Path, labels: Callable[[Result], Path]) -> tuple[tuple[str, Callable[[Result], str]], ...]:
    """Columns that compare a job's labels with the truth."""
    import numpy as np

    def column(name: str) -> Callable[[Result], str]:
        return lambda result: str(score(np.load(labels(result)), truth, kept=kept(result))[name])

    def kept(result: Result) -> Any:
        place = labels(result).with_suffix(".kept.npy")
        return np.load(place) if place.is_file() else None

    return (
        ("pair recall", column("pair_recall")),
        ("pairs resolved", column("resolved")),
        ("document precision", column("document_precision")),
        ("removed", column("removed")),
    )


def labels_of(result: Result) -> Path:
    """The file behind `--out`."""
    return Path(result.job.command[result.job.command.index("--out") + 1])


def cleaning(bench: Bench) -> list[Group]:
    """Rules, PII, reading."""
    corpus = str(bench.c40)
    few = ("--corpus", corpus, "--limit", str(FIRST_RULES))
    some = ("--corpus", corpus, "--limit", str(FIRST_PII))
    rules = [
        bench.ours("rules", bench.c40, 5, note="in memory, as the peers"),
        bench.ours("rules_stage", bench.c40, who="ropewalk, the stage", note="with reading, scores, ledger, writing"),
        *bench.peer("datatrove", "quality.py", "datatrove", *few, who="datatrove", runs=SLOW, note=f"first {FIRST_RULES:,} documents"),
        *bench.peer(
            "dolma", "quality.py", "dolma_gopher", *few, who="dolma gopher_v2", note=f"first {FIRST_RULES:,} documents, Gopher only"
        ),
        *bench.peer("dolma", "quality.py", "dolma_c4", *few, who="dolma c4_v2", note=f"first {FIRST_RULES:,} documents, C4 only"),
    ]
    pii = [
        bench.ours("pii", bench.c40, 5, note="in memory, as the peers"),
        bench.ours("pii_stage", bench.c40, who="ropewalk, the stage", note="with reading, scores, ledger, writing"),
        *bench.peer("libraries", "quality.py", "polars", *some, who="polars, 5 replace_all", note=f"first {FIRST_PII:,} documents"),
        *bench.peer("libraries", "quality.py", "re", *some, who="Python re, 5 patterns", note=f"first {FIRST_PII:,} documents"),
        *bench.peer(
            "datatrove", "quality.py", "datatrove_pii", *some, who="datatrove", note=f"first {FIRST_PII:,} documents, e-mail and IP"
        ),
        *bench.peer("dolma", "quality.py", "dolma_pii", *some, who="dolma", note=f"first {FIRST_PII:,} documents"),
    ]
    read = [
        bench.ours("read", bench.c40, 5, note="checked records, ids, Parquet, ledger, hashes"),
        *bench.peer("libraries", "duplicates.py", "polars_read", "--corpus", corpus, who="polars read_ndjson, write_parquet", runs=5),
    ]
    return [
        Group("Quality rules", "All Gopher, repetition, C4 and FineWeb rules, each document judged by each.", rules, USUAL),
        Group("PII", "E-mail, IP address, phone, payment card, keys, replaced in the text.", pii, (*USUAL, ("replaced", fact("changed")))),
        Group("Reading", "JSON lines to a Corpus.", read, USUAL),
    ]


def duplicates(bench: Bench) -> list[Group]:
    """Near and exact duplicates, and the whole line."""

    def library(name: str, corpus: Path, runs: int, limit: int = 0) -> list[Job]:
        out = bench.work / f"{name}_{corpus.parent.name}.npy"
        return bench.peer("libraries", "duplicates.py", name, "--corpus", str(corpus), "--out", str(out), who=name, runs=runs)

    def pipeline(environment: str, limit: int, note: str) -> list[Job]:
        out, work = bench.work / f"{environment}_c40.npy", bench.work / environment
        more = ("--limit", str(limit)) if limit else ()
        arguments = (environment, "--corpus", str(bench.c40), "--out", str(out), "--work", str(work), *more)
        return bench.peer(environment, "pipelines.py", *arguments, who=environment, runs=SLOW, note=note)

    near = [
        bench.ours("keep_list", bench.c40, 3, who="ropewalk", note="the function, in memory, as the libraries below"),
        bench.ours("near", bench.c40, 3, who="ropewalk, stages", note="load and dedup stages: Corpus, ledger with witnesses"),
        bench.ours("near_measured", bench.c40, 3, who="ropewalk, as it comes", note="with its own recall and precision on a sample"),
        *library("rensa", bench.c40, 3),
        *library("gaoya", bench.c40, 3),
        *library("datasketch", bench.c40, SLOW),
        *pipeline("textdedup", 0, ""),
        *pipeline("datatrove", FIRST_PIPELINE, f"first {FIRST_PIPELINE:,} documents"),
    ]
    large = [
        bench.ours("keep_list", bench.c150, 3, who="ropewalk", note="the function, in memory"),
        bench.ours("near", bench.c150, 3, who="ropewalk, stages", note="load and dedup stages"),
        *library("rensa", bench.c150, SLOW),
    ]
    exact = [
        bench.ours("exact_list", bench.c40, 5, who="ropewalk", note="the function, in memory"),
        bench.ours("exact", bench.c40, 5, who="ropewalk, stages", note="load and dedup stages"),
    ]
    exact += [job for name in ("xxh3", "sha1", "polars", "duckdb") for job in library(name, bench.c40, 3)]
    found = [
        Group(
            "Near-duplicates",
            "JSON lines to what is kept, J >= 0.8, word 5-grams, 128 values.",
            near,
            (*USUAL, *scored(bench.c40.parent / "truth.npz", labels_of)),
        ),
        Group("Near-duplicates, the large corpus", "The same.", large, (*USUAL, *scored(bench.c150.parent / "truth.npz", labels_of))),
        Group(
            "Signatures alone",
            "128 values from a column in memory; rensa's number is the sketch column of the table above.",
            [bench.ours("signatures", bench.c40, 5)],
            USUAL,
        ),
        Group("Exact duplicates", "Equal but for case and white space, from JSON lines.", exact, (*USUAL, ("left", fact("left")))),
        Group(
            "Clean and deduplicate",
            "JSON lines through all cleaning and dedup to a Corpus.",
            [bench.ours("whole", bench.c40, 3)],
            (*USUAL, ("steps", fact("steps"))),
        ),
    ]
    if "DATA_DIR" in os.environ:
        columns = (*USUAL, *((name, fact(name)) for name in ("scan_s", "items", "matches")))
        about = "A Corpus against the evaluation files of DATA_DIR, word 13-grams; `scan_s` is the look-up alone, in memory."
        found.append(Group("Decontamination", about, [bench.ours("decontaminate", bench.c40, 3)], columns))
    two = (
        ("one, s", lambda result: f"{result.median('one_s'):.3g}"),
        ("two, s", lambda result: f"{result.median('two_s'):.3g}"),
        ("speed-up", lambda result: f"{result.median('one_s') / result.median('two_s'):.2f}"),
    )
    about = "Wall time of the clean stage with all rules over 16 files, less that of a run on 50 documents: the start-up of the processes."
    found.append(Group("Two processes", about, [bench.ours("two_processes", bench.c150, 3)], two))
    return found


def tokens(bench: Bench) -> list[Group]:
    """Tokenizer, encoding, packing, batches. The first group makes what the others read."""
    model, corpus = bench.work / "model", str(bench.c40)
    lengths = bench.work / "ours_encode_c40.npy"

    def tokenizer(work: str, name: str, runs: int, *more: str, note: str = "") -> list[Job]:
        where = ("--corpus", corpus, "--model", str(model), *more)
        return bench.peer("tokens", "tokens.py", work, name, *where, who=name, runs=runs, note=note)

    train = [bench.ours("train", bench.c40, 3, note="the stage: with reading, checks, writing")]
    train += [
        job
        for name, runs in (("tokenizers", SLOW), ("bpeasy", SLOW), ("rustbpe", 3), ("gigatoken", 3), ("gigabpe", 3))
        for job in tokenizer("train", name, runs)
    ]
    encode = [bench.ours("encode", bench.c40, 3, note="the stage: reading, encoding, best-fit plan, writing")]
    encode += tokenizer("encode", "tokenizers", SLOW, "--limit-mb", "8", note="first 8 MB")
    encode += [job for name in ("tiktoken", "riptoken", "fastokens", "gigatoken") for job in tokenizer("encode", name, 3)]
    pack = [bench.ours("fit", bench.work / "pieces.npy", 5, note="the plan as indices into the store")]
    for what in ("bfd", "wrapped"):
        pack += bench.peer(
            "trl",
            "packing.py",
            what,
            "--lengths",
            str(bench.work / "pieces.npy"),
            who=f"TRL {what}",
            runs=SLOW,
            note="with the rewrite of the tokens",
        )
    batches = [bench.ours("batches", bench.c40, 3, note="CPU time")]
    batches += bench.peer("trl", "packing.py", "loader", "--lengths", str(lengths), who="DataLoader, no workers", note="CPU time")
    batches += bench.peer(
        "trl", "packing.py", "loader_workers", "--lengths", str(lengths), who="DataLoader, 2 workers", runs=2, note="wall time"
    )
    rate = (("Mtok/s", lambda result: f"{result.median('mtok_per_s'):.3g}"),)
    return [
        Group("Train a tokenizer", "Byte-level BPE, 32,768 ids.", train, USUAL),
        Group(
            "Encode", "To 16-bit ids on disk; the hash is of the ids.", encode, (*USUAL, ("tokens", fact("tokens")), ("hash", fact("hash")))
        ),
        Group(
            "Best-fit plan",
            "130,026 pieces into sequences of 2,048.",
            pack,
            (("CPU s", seconds), ("fill", fact("fill")), ("tokens kept", fact("kept")), ("sequences", fact("rows"))),
        ),
        Group("Batches", "8 windows of 256 tokens from a memory map.", batches, rate),
    ]


def after(group: Group, bench: Bench) -> None:
    """Make what later groups read: pieces resampled from the corpus's own document lengths, 130,026 as in the bar."""
    lengths = bench.work / "ours_encode_c40.npy"
    if group.title == "Encode" and lengths.is_file():
        import numpy as np

        full, rest = np.divmod(np.load(lengths).astype(np.int64), 2048)  # longer documents are cut before: TRL would drop their ends
        pieces = np.concatenate([np.full(int(full.sum()), 2048), rest[rest > 0]])
        np.save(bench.work / "pieces.npy", np.random.default_rng(3).choice(pieces, 130_026))


def quoted(bench: Bench) -> Iterator[tuple[str, str, str]]:
    """(title, command, what it printed) of the benchmarks that stand by themselves and whose words the page repeats."""
    here = Path(__file__).parent
    wanted = [("Known near-duplicates", [str(here / "neardup.py")], "DATA_DIR" in os.environ)]
    peer = str(python_of(bench.peers, "datatrove"))
    agreement = [str(here / "agreement.py"), "--corpus", str(bench.c40), "--peer", peer, "--limit", "2000"]
    wanted.append(("Agreement with datatrove's rules, given the same words", agreement, "datatrove" in bench.ready))
    for title, command, possible in wanted:
        if possible and Path(command[0]).is_file():
            ran = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False, env={**os.environ, **ONE_THREAD})
            said = [Path(part).name if part.startswith("/") else part for part in command]
            yield title, f"python {shlex.join(said)}", ran.stdout.strip() or ran.stderr.strip()[-500:]
