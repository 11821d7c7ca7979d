"""Tiny preferences for tests: questions about knots, each with a polite answer that is wanted and a rude one that isn't."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ropewalk.core.artifact import Manifest
from ropewalk.data.pack import plan
from ropewalk.data.tokens import TokenFacts, Tokens
from training_kit import VOCAB

KNOTS = ("bowline", "reef knot", "clove hitch", "figure eight", "sheet bend", "anchor hitch")


def questions(count: int) -> list[dict[str, Any]]:
    """{id, prompt, chosen, rejected}."""
    return [
        {
            "id": f"q{number}",
            "prompt": f"How do I tie rope {number} in a {KNOTS[number % 6]}?",
            "chosen": f"Please take the end of rope {number} and go round twice.",
            "rejected": f"No idea, ask about {KNOTS[number % 5]} somebody else." + " Go." * (number % 3),
        }
        for number in range(count)
    ]


def write_lines(path: Path, rows: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_inputs(folder: Path, count: int = 64) -> None:
    """text.jsonl, chats.jsonl and pairs.jsonl, as preference.yaml wants them."""
    rows = questions(count)
    write_lines(
        folder / "text.jsonl", [{"id": row["id"], "text": " ".join(row[name] for name in ("prompt", "chosen", "rejected"))} for row in rows]
    )
    chats = [
        {"id": f"{row['id']}-{side}", "messages": [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row[side]}]}
        for row in rows
        for side in ("chosen", "rejected")
    ]
    write_lines(folder / "chats.jsonl", chats)
    write_lines(folder / "pairs.jsonl", rows)


def make_answers(folder: Path, sizes: Sequence[tuple[int, ...]], length: int = 24, holdout: int = 0) -> Tokens:
    """Random groups of answers: (prompt's tokens, scored tokens of each answer, 0 for one that isn't there)."""
    generator = np.random.default_rng(len(sizes))
    folder.mkdir(parents=True)
    ids, mask, lengths = [], [], []
    for prompt, *answers in sizes:
        asked = generator.integers(2, VOCAB, prompt)
        for answer in answers:
            ids.append(np.concatenate([asked, generator.integers(2, VOCAB, answer)]) if answer else np.zeros(0, np.int64))
            mask.append(np.arange(prompt + answer) >= prompt if answer else np.zeros(0, bool))
            lengths.append(len(ids[-1]))
    np.concatenate(ids).astype(np.uint16).tofile(folder / "tokens.bin")
    np.concatenate(mask).astype(np.uint8).tofile(folder / "mask.bin")
    size = len(sizes[0]) - 1
    grouping: Any = {2: "pairs", 3: "judged"}[size]
    offsets, border = np.cumsum(lengths) - lengths, (len(sizes) - holdout) * size
    for split, part in (("train", slice(0, border)), ("holdout", slice(border, None))):
        (folder / split).mkdir()
        plan(offsets[part], np.maximum(np.array(lengths[part]) - 1, 0), length, grouping, None).write(folder / split)
    TokenFacts("uint16", VOCAB, length, 0, 1, 1, "xxh3:none", grouping, "document").write(folder)
    return Tokens(folder, Manifest("Tokens"))
