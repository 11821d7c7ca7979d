"""The `pii` step's speed beside plain `re` and peers, its spans against the reference's, and precision and recall on labelled sets.

    python benchmarks/data/pii.py --corpus corpus.jsonl [--peers PYTHON …] [--page docs/benchmarks/pii.md]

A corpus is JSON lines with a `text`; without one the text below `DATA_DIR/pretrain` is taken. Labelled sets are looked for in
`DATA_DIR/pii`. `--peers` names interpreters of environments that have datatrove or polars; what is nowhere is not measured.
Times are CPU-seconds of one process; the best of three runs.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]
FIRST = 4000
"""Documents that the slow ones get."""
EVERYDAY = ("email", "ip", "phone", "card", "api_key")
LABELS = {
    "EMAIL_ADDRESS": "email", "IP_ADDRESS": "ip", "PHONE_NUMBER": "phone", "CREDIT_CARD": "card",
    "IBAN_CODE": "iban", "US_SSN": "national_id",
}  # fmt: skip
"""The labels of presidio-research's synthetic set that are a kind of ours."""
INCOMPARABLE = {
    "PERSON": "a name: presidio's work, not measured without it", "GPE": "a place: presidio's work",
    "STREET_ADDRESS": "no kind", "ORGANIZATION": "not personal", "DATE_TIME": "no kind", "TITLE": "no kind",
    "AGE": "no kind", "NRP": "no kind",
    "ZIP_CODE": "no kind", "DOMAIN_NAME": "not personal", "US_DRIVER_LICENSE": "has no check digit",
}  # fmt: skip
PATTERNS = {  # five as one finds them in cleaning scripts
    "<EMAIL>": r"\b[A-Za-z0-9.!#$%&*+/=?^_{|}~-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+\b",
    "<IP>": r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b",
    "<PHONE>": r"(?:\+?1[-. ]?)?\(?\b\d{3}\)?[-. ]\d{3}[-. ]\d{4}\b",
    "<SSN>": r"\b\d{3}-\d{2}-\d{4}\b",
    "<CARD>": r"\b(?:\d{4}[- ]?){3}\d{4}\b",
}


def read(corpus: Path | None) -> list[str]:
    """The texts of a file of JSON lines, or of all such files below DATA_DIR/pretrain."""
    files = [corpus] if corpus else sorted(Path(os.environ["DATA_DIR"], "pretrain").rglob("*.jsonl.gz"))
    texts = []
    for file in files:
        with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as lines:
            texts += [json.loads(line)["text"] for line in lines]
    return texts


def megabytes(texts: list[str]) -> float:
    return sum(len(text.encode()) for text in texts) / 1e6


def best(work: Callable[[], object], runs: int = 3) -> float:
    """CPU-seconds of the quickest run."""
    times = []
    for _ in range(runs):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return min(times)


def measured_peers(texts: list[str]) -> Iterator[tuple[str, str, float]]:
    """(name, what, MB a CPU-second) of each peer that this interpreter has."""
    few = texts[:FIRST]
    patterns = [(put, re.compile(pattern)) for put, pattern in PATTERNS.items()]

    def scrub() -> None:
        for text in few:
            for put, pattern in patterns:
                text = pattern.sub(put, text)

    yield "Python re", "five usual patterns, replaced", megabytes(few) / best(scrub, 1)
    try:
        polars = importlib.import_module("polars")
        column = polars.Series("text", few)
        expression = polars.col("text")
        for put, pattern in PATTERNS.items():
            expression = expression.str.replace_all(pattern, put)
        version = metadata.version("polars")
        yield f"polars {version}", "the same five, Rust's regex", megabytes(few) / best(lambda: column.to_frame().select(expression), 1)
    except ImportError:
        print("polars is not here", file=sys.stderr)
    try:
        formatter = importlib.import_module("datatrove.pipeline.formatters").PIIFormatter()
        rate = megabytes(few) / best(lambda: [formatter.format(text) for text in few], 1)
        yield f"datatrove {metadata.version('datatrove')}", "PIIFormatter: e-mail and IP", rate
    except ImportError:
        print("datatrove is not here", file=sys.stderr)


def ours(texts: list[str]) -> tuple[list[tuple[str, str, float]], list[str]]:
    """Rates of ours and of the reference, and what differs between their spans."""
    import pyarrow as pa

    from ropewalk.data.dedup.hash import Texts
    from ropewalk.data.pii.find import Finder
    from ropewalk.data.pii.pii import Pii
    from ropewalk.data.steps import Batch

    sys.path.insert(0, str(ROOT / "tests"))
    reference = importlib.import_module("pii_reference")
    table = pa.table({"id": [str(row) for row in range(len(texts))], "text": pa.array(texts, pa.large_string())})
    column = Texts.of(table["text"].chunk(0))
    size = megabytes(texts)
    finder = Finder(frozenset(EVERYDAY), ("US", "GB"))
    finder.spans(column)
    everyday = Pii(kinds=list(EVERYDAY))
    every = Pii(kinds=[*Pii().kinds, "phone"])
    rates = [
        ("ropewalk", "find e-mail, IP, phone, card, keys", size / best(lambda: finder.spans(column))),
        ("ropewalk", "the same, found and replaced", size / best(lambda: everyday.apply(Batch(table)))),
        ("ropewalk", "all ten kinds without names, found and replaced", size / best(lambda: every.apply(Batch(table)))),
    ]
    found = {
        (span.row, span.start - int(column.offsets[span.row]), span.stop - int(column.offsets[span.row]), span.kind)
        for span in finder.spans(column)
    }
    begun = time.process_time()
    expected = {(row, *span) for row, text in enumerate(texts) for span in reference.spans(text)}
    rates.append(("Python re", "the reference, find only", size / (time.process_time() - begun)))
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in sorted(Counter(span[3] for span in expected).items()))
    only_ours, only_theirs = len(found - expected), len(expected - found)
    told = (
        f"The reference (`tests/pii_reference.py`: plain `re`, `ipaddress` and `phonenumbers` over whole strings) finds "
        f"{len(expected):,} spans: {kinds}. ropewalk finds {len(found):,}; {only_ours:,} only ropewalk, {only_theirs:,} only the reference."
    )
    return rates, [told]


def labelled(file: Path) -> Iterator[tuple[str, list[tuple[int, int, str]]]]:
    """Text and (start, stop, label) in bytes of each record of presidio-research's set."""
    with gzip.open(file, "rt", encoding="utf-8") as stream:
        for record in json.load(stream):
            text = record["full_text"]
            yield (
                text,
                [
                    (len(text[: span["start_position"]].encode()), len(text[: span["end_position"]].encode()), span["entity_type"])
                    for span in record["spans"]
                ],
            )


def quality(file: Path) -> list[str]:
    """A table of precision and recall per kind, and a line for each label that can't be compared."""
    import pyarrow as pa

    from ropewalk.data.dedup.hash import Texts
    from ropewalk.data.pii.find import Finder
    from ropewalk.data.pii.national import COUNTRIES

    records = list(labelled(file))
    column = Texts.of(pa.array([text for text, _ in records], pa.large_string()))
    spans = Finder(frozenset({*LABELS.values(), "api_key", "private_key", "url_credentials", "crypto"}), ("US", "GB"), COUNTRIES).spans(
        column
    )
    lines = ["| kind | labelled | found | right | exactly | precision | recall |", "|---|---|---|---|---|---|---|"]
    for kind in dict.fromkeys(LABELS.values()):
        wanted = {(row, start, stop) for row, (_, marks) in enumerate(records) for start, stop, label in marks if LABELS.get(label) == kind}
        found = {
            (span.row, span.start - int(column.offsets[span.row]), span.stop - int(column.offsets[span.row]))
            for span in spans
            if span.kind == kind
        }
        right = sum(any(_touch(span, other) for other in wanted) for span in found)
        met = sum(any(_touch(span, other) for other in found) for span in wanted)
        lines.append(
            f"| {kind} | {len(wanted)} | {len(found)} | {right} | {len(wanted & found)} | "
            f"{right / max(len(found), 1):.3f} | {met / max(len(wanted), 1):.3f} |"
        )
    others = Counter(span.kind for span in spans if span.kind not in LABELS.values())
    lines += ["", f"Kinds that the set has no label for: {sum(others.values())} found in its {len(records)} texts.", ""]
    counts = Counter(label for _, marks in records for _, _, label in marks)
    return lines + [f"- `{label}` ({counts[label]}): {why}" for label, why in INCOMPARABLE.items() if counts[label]]


def _touch(one: tuple[int, int, int], other: tuple[int, int, int]) -> bool:
    return one[0] == other[0] and one[1] < other[2] and other[1] < one[2]


def passages(file: Path) -> str:
    """Of passages labelled as holding business secrets or not: how many have anything that we look for."""
    import pyarrow as pa

    from ropewalk.data.dedup.hash import Texts
    from ropewalk.data.pii.find import Finder
    from ropewalk.data.pii.national import COUNTRIES

    with gzip.open(file, "rt", encoding="utf-8") as stream:
        records = [json.loads(line) for line in stream]
    column = Texts.of(pa.array([record["query"] for record in records], pa.large_string()))
    rows = {span.row for span in Finder(frozenset({*LABELS.values(), "api_key", "url_credentials"}), ("US", "GB"), COUNTRIES).spans(column)}
    hit, total = Counter(records[row]["gold"] for row in rows), Counter(record["gold"] for record in records)
    return (
        f"EnterprisePII labels passages, not spans, and means what a business keeps to itself (plans, salaries, reviews), "
        f"so it measures something else: {hit[1]} of {total[1]:,} passages labelled sensitive "
        f"and {hit[0]} of {total[0]:,} others hold anything of these kinds."
    )


def page(rates: list[tuple[str, str, float]], equality: list[str], sets: list[str], texts: list[str], command: str) -> str:
    """docs/benchmarks/pii.md."""
    table = ["| what | work | MB a CPU-second |", "|---|---|---|", *(f"| {name} | {work} | {rate:,.1f} |" for name, work, rate in rates)]
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("numba", "numpy", "pyarrow", "phonenumbers"))
    how = (
        f"Written by `{command}` on {time.strftime('%Y-%m-%d')}: {len(texts):,} documents, {megabytes(texts):.1f} MB of text; "
        f"Python {platform.python_version()}, {versions}. One process, one core; CPU-seconds, the best of three runs, "
        f"of peers one run over the first {FIRST:,} documents."
    )
    title = "# Personal data: speed, precision and recall"
    return "\n".join([title, "", how, "", *table, "", "## Equal spans", "", *equality, "", *sets, ""])


def main() -> int:
    """Exit code 1 where spans differ from the reference's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, help="JSON lines with a text")
    parser.add_argument("--peers", type=Path, nargs="*", default=[], help="interpreters of environments with datatrove or polars")
    parser.add_argument("--page", type=Path, help="the page to write")
    parser.add_argument("--only-peers", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.corpus is None and "DATA_DIR" not in os.environ:
        parser.error("needs --corpus, or DATA_DIR for the text below DATA_DIR/pretrain")
    texts = read(given.corpus)
    if given.only_peers:
        print(json.dumps(list(measured_peers(texts))))
        return 0
    rates, equality = ours(texts)
    for interpreter in (sys.executable, *given.peers):
        inner = [str(interpreter), __file__, "--only-peers", *(["--corpus", str(given.corpus)] if given.corpus else [])]
        known = {name for name, _, _ in rates[4:]}
        answer = json.loads(subprocess.run(inner, check=True, capture_output=True, text=True).stdout)
        rates += [(name, what, rate) for name, what, rate in answer if name not in known]
    sets: list[str] = []
    folder = Path(os.environ.get("DATA_DIR", ""), "pii")
    synthetic, enterprise = (
        folder / "presidio_synth_v2" / "synth_dataset_v2.json.gz",
        folder / "enterprise_pii" / "enterprise_pii_classification.jsonl.gz",
    )
    if synthetic.exists():
        sets += [
            "## Precision and recall",
            "",
            "presidio-research's synthetic set; a span is right when it overlaps one of its kind.",
            "",
            *quality(synthetic),
        ]
    if enterprise.exists():
        sets += ["", passages(enterprise)]
    command = "python benchmarks/data/pii.py --corpus c40/corpus.jsonl" if given.corpus else "python benchmarks/data/pii.py"
    written = page(rates, equality, sets, texts, command)
    print(written)
    if given.page:
        given.page.write_text(written, encoding="utf-8")
    return 0 if "; 0 only ropewalk, 0 only the reference" in equality[0] else 1


if __name__ == "__main__":
    sys.exit(main())
