"""Tiny preferences for tests: questions about knots, each with a polite answer that is wanted and a rude one that isn't."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
