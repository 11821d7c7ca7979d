"""Plants duplicates of many kinds in a corpus. Nothing is assumed of how similar they are: truth.py measures every pair."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import Counter
from pathlib import Path

PLANTED_SHARE = 0.25
KINDS = {
    "exact": 0.22,  # byte for byte
    "folded": 0.08,  # other white space, half of them in capitals
    "edited_02": 0.10,  # that per cent of the words replaced, left out or put in
    "edited_05": 0.14,
    "edited_10": 0.14,
    "edited_20": 0.10,
    "edited_30": 0.06,
    "inside": 0.06,  # the middle 60%: high overlap, low Jaccard similarity
    "frame": 0.06,  # another body in a shared header and footer: no duplicate
    "chain": 0.04,  # four documents, each edited from the one before
}
LEAST_WORDS = 60


def plant(base: Path, folder: Path, total_bytes: int) -> None:
    """Write `corpus.jsonl` (id, text, source) and `manifest.json`: a sample of `base` with a quarter planted, shuffled."""
    draw = random.Random(4321)
    with base.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    draw.shuffle(rows)
    documents: list[tuple[str, str, str]] = []  # (text, source, kind)
    left = total_bytes * (1 - PLANTED_SHARE)
    while rows and left > 0:
        row = rows.pop()
        documents.append((row["text"], row["source"], "base"))
        left -= len(row["text"].encode())
    documents += _planted(documents, draw)
    draw.shuffle(documents)
    hashed, text_bytes = hashlib.sha256(), 0
    with (folder / "corpus.jsonl").open("wb") as out:
        for number, (text, source, _) in enumerate(documents):
            line = json.dumps({"id": f"d{number:07d}", "text": text, "source": source}, ensure_ascii=False).encode() + b"\n"
            out.write(line)
            hashed.update(line)
            text_bytes += len(text.encode())
    kinds = Counter(kind for _, _, kind in documents)
    facts = {
        "docs": len(documents),
        "text_mb": round(text_bytes / 1e6, 2),
        "kinds": dict(sorted(kinds.items())),
        "sha256": hashed.hexdigest(),
    }
    (folder / "manifest.json").write_text(json.dumps(facts, indent=1) + "\n")


def _planted(base: list[tuple[str, str, str]], draw: random.Random) -> list[tuple[str, str, str]]:
    vocabulary = sorted({word for text, _, _ in draw.sample(base, min(4000, len(base))) for word in text.split() if word.isalpha()})
    frames = [" ".join(draw.choice(vocabulary) for _ in range(draw.randint(40, 90))) for _ in range(12)]
    parents = [document for document in base if len(document[0].split()) >= LEAST_WORDS]
    number = len(base) * PLANTED_SHARE / (1 - PLANTED_SHARE)
    found = []
    for kind, share in KINDS.items():
        for _ in range(int(number * share)):
            text, source, _ = draw.choice(parents)
            if kind == "folded":
                text = "".join(word + draw.choice((" ", " ", "  ", "\n")) for word in text.split())
                text = text.upper() if draw.random() < 0.5 else text
            elif kind == "inside":
                words = text.split(" ")
                text = " ".join(words[len(words) // 5 : len(words) - len(words) // 5])
            elif kind == "frame":
                frame, half = draw.choice(frames), text[len(text) // 2 :]
                text = f"{frame}\n\n{half[: draw.randint(300, 3000)]}\n\n{frame}"
            elif kind == "chain":
                for _ in range(4):
                    text = edited(text, 0.08, vocabulary, draw)
                    found.append((text, source, kind))
                continue
            elif kind != "exact":
                text = edited(text, int(kind[-2:]) / 100, vocabulary, draw)
            found.append((text, source, kind))
    return found


def edited(text: str, rate: float, vocabulary: list[str], draw: random.Random) -> str:
    """Of the words at that rate, 60% replaced, 20% left out, behind 20% another put in."""
    parts = []
    for part in re.findall(r"\S+|\s+", text):
        if part.isspace() or draw.random() >= rate:
            parts.append(part)
            continue
        what = draw.random()
        if what < 0.6:
            parts.append(draw.choice(vocabulary))
        elif what < 0.8:
            parts.append(f"{part} {draw.choice(vocabulary)}")
    return "".join(parts)
