"""A page of records as HTML, in the report's dress: for `ropewalk preview --html`."""

from __future__ import annotations

from pathlib import Path

from ropewalk.pipeline.preview import Page, Seen
from ropewalk.report.html import document
from ropewalk.report.markup import badge, block, number, section, table, text
from ropewalk.report.preview import KEY, coloured

TEXT_CHARACTERS = 2000


def records_page(page: Page, title: str) -> str:
    """The whole page."""
    reasons = table(("reason", "records"), [[text(name), f"{n:,}"] for name, n in page.reasons.items()], (1,)) if page.reasons else ""
    state = "" if page.finished else "<p>This stage is not finished: what its finished shards hold is shown.</p>"
    parts = [section("reasons", "Why records did not go on", reasons)]
    parts += [section(name, title_, _records(page, name)) for name, title_ in (("kept", "Kept"), ("dropped", "Dropped"))]
    if page.vocabulary:
        vocabulary = page.vocabulary
        shown = "".join(f"<h4><code>{text(one.id, 120)}</code></h4>{coloured(one, vocabulary)}" for one in page.tokens)
        parts.append(section("tokens", "Tokens", shown, KEY))
    head = f'<header><p class="kind">ropewalk preview · {text(page.type)}</p><h1>{text(title)} · {text(page.stage)}</h1>{state}</header>'
    return document(f"{text(title)} · {text(page.stage)}", head, f"<main>{''.join(parts)}</main>")


def write_records(page: Page, title: str, place: Path) -> Path:
    """Write the page to a file."""
    from ropewalk.core.artifact import write_durably

    write_durably(place, records_page(page, title).encode("utf-8", "replace"))
    return place


def _records(page: Page, state: str) -> str:
    return "".join(_record(one) for one in page.records if (one.state == "kept") == (state == "kept"))


def _record(one: Seen) -> str:
    why = f"{badge(one.state)} " if one.state != "kept" else ""
    if one.reason:
        score = f" <small>score {number(one.score)}</small>" if one.score is not None else ""
        because = f" <small>because of {text(one.witness, 160)}</small>" if one.witness else ""
        why += f"<code>{text(one.reason)}</code>{score}{because}"
    scores = ", ".join(f"{text(name)} {number(value)}" for name, value in one.scores.items())
    folded = f"<details><summary>{len(one.scores)} scores</summary><p><small>{scores}</small></p></details>" if scores else ""
    source = f" <small>{text(one.source, 80)}</small>" if one.source else ""
    return f"<h4><code>{text(one.id, 120)}</code>{source}</h4><p>{why}</p><pre>{block(one.text, TEXT_CHARACTERS)}</pre>{folded}"
