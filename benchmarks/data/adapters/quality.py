"""Quality rules and PII by the peers, in memory: `quality.py PEER --corpus FILE [--limit N]`. Runs in the peer's environment."""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable, Iterable
from typing import Any

EMAIL = r"\b[A-Za-z0-9.!#$%&*+/=?^_{|}~-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+\b"
IP = r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b"
PHONE = r"(?:\+?1[-. ]?)?\(?\b\d{3}\)?[-. ]\d{3}[-. ]\d{4}\b"
CARD = r"\b(?:\d{4}[- ]?){3}\d{4}\b"
KEY = r"\b(?:AKIA[0-9A-Z]{16}|ghp_[A-Za-z0-9]{36}|sk-[A-Za-z0-9]{20,})\b"
PATTERNS = {"<EMAIL>": EMAIL, "<IP>": IP, "<PHONE>": PHONE, "<CARD>": CARD, "<KEY>": KEY}


def timed(work: Callable[[Any], Any], items: Iterable[Any]) -> tuple[float, int]:
    """CPU-seconds over all items, and how many answers were true."""
    started = time.process_time()
    kept = sum(bool(work(item)) for item in items)
    return time.process_time() - started, kept


def datatrove_rules(texts: list[str]) -> dict[str, Any]:
    from datatrove.data import Document
    from datatrove.pipeline.filters import C4QualityFilter, FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter

    found: dict[str, Any] = {}
    for kind in (GopherQualityFilter, GopherRepetitionFilter, C4QualityFilter, FineWebQualityFilter):
        rule = kind()

        def keeps(document: Any, rule: Any = rule) -> bool:
            answer = rule.filter(document)
            return bool(answer[0] if isinstance(answer, tuple) else answer)

        keeps(Document(text="This one is for the word tokenizer, which is made when first used.\nIt ends here.", id="warm"))
        found[kind.__name__] = timed(keeps, [Document(text=text, id=str(number)) for number, text in enumerate(texts)])
    return found


def datatrove_pii(texts: list[str]) -> dict[str, Any]:
    from datatrove.pipeline.formatters import PIIFormatter

    return {"PIIFormatter (e-mail, IP)": timed(PIIFormatter().format, texts)}


def dolma(names: tuple[str, ...], texts: list[str]) -> dict[str, Any]:
    import dolma.taggers
    from dolma.core.data_types import Document
    from dolma.core.registry import TaggerRegistry

    assert dolma.taggers
    documents = [Document(source="b", version="0", id=str(number), text=text) for number, text in enumerate(texts)]
    return {name: timed(TaggerRegistry.get(name)().predict, documents) for name in names}


def python_re(texts: list[str]) -> dict[str, Any]:
    patterns = {tag: re.compile(pattern) for tag, pattern in PATTERNS.items()}

    def scrubbed(text: str) -> bool:
        before = text
        for tag, pattern in patterns.items():
            text = pattern.sub(tag, text)
        return text != before

    return {"five patterns": timed(scrubbed, texts)}


def polars(texts: list[str]) -> dict[str, Any]:
    import polars as pl

    frame = pl.Series("text", texts).to_frame()
    whole = pl.col("text")
    for tag, pattern in PATTERNS.items():
        whole = whole.str.replace_all(pattern, tag)
    started = time.process_time()
    after = frame.select(whole)["text"]
    seconds = time.process_time() - started
    return {"five replace_all": (seconds, int((after != frame["text"]).sum()))}


PEERS: dict[str, Callable[[list[str]], dict[str, Any]]] = {
    "datatrove": datatrove_rules,
    "dolma_gopher": lambda texts: dolma(("gopher_v2",), texts),
    "dolma_c4": lambda texts: dolma(("c4_v2",), texts),
    "datatrove_pii": datatrove_pii,
    "dolma_pii": lambda texts: dolma(("pii_regex_with_counts_fast_v2",), texts),
    "re": python_re,
    "polars": polars,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("peer", choices=sorted(PEERS))
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--limit", type=int, default=1 << 60)
    given = parser.parse_args()
    texts: list[str] = []
    with open(given.corpus, encoding="utf-8") as file:
        for line in file:
            if len(texts) == given.limit:
                break
            texts.append(json.loads(line)["text"])
    found = PEERS[given.peer](texts)
    parts = {name: {"cpu_s": round(seconds, 3), "true": true} for name, (seconds, true) in found.items()}
    total = sum(seconds for seconds, _ in found.values())
    print(json.dumps({"mb": sum(len(text.encode()) for text in texts) / 1e6, "documents": len(texts), "cpu_s": total, "parts": parts}))


if __name__ == "__main__":
    main()
