"""The funnel: for each stage that takes records, how many came in, were dropped and why (with examples), and went on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ropewalk.core.units import show_bytes
from ropewalk.report.facts import RunFacts, StageFacts
from ropewalk.report.markup import bar, block, count, number, section, share, table, text

EXAMPLES = 5
Example = Mapping[str, Any]


def funnel(facts: RunFacts) -> str:
    """A row a stage, then what was dropped, a fold a reason."""
    stages = [stage for stage in facts.stages.values() if "records_in" in stage.counts]
    widest = max((stage.counts["records_in"] for stage in stages), default=0)
    rows = [_row(stage, widest) for stage in stages]
    body = table(("stage", "in", "", "kept", "dropped"), rows, (1, 3, 4), "funnel") if rows else ""
    drops = "".join(_drops(stage) + _changes(stage) for stage in stages)
    if stages and not any(stage.counts.get(kind) for stage in stages for kind in ("dropped", "quarantined")):
        drops = f"<p>No record was dropped.</p>{drops}"
    return section(
        "funnel", "What became of the data", body + drops, "Every record is accounted for: in = kept + dropped + set aside as unreadable."
    )


def _row(stage: StageFacts, widest: int) -> list[str]:
    counts, metrics = stage.counts, stage.metrics
    came, kept, dropped = counts["records_in"], counts.get("kept", 0), counts.get("dropped", 0)
    aside = counts.get("quarantined", 0)
    out = []
    if isinstance(metrics.get("tokens"), int):
        out.append(count(metrics["tokens"], "token"))
    if isinstance(metrics.get("text_bytes"), int):
        out.append(show_bytes(metrics["text_bytes"]) + " of text")
    lost = f"{dropped:,}" + (f" <small>{share(dropped, came)}</small>" if dropped else "")
    if aside:
        lost += f"<br>{aside:,} <small>unreadable</small>"
    name = f'<a href="#stage-{text(stage.name)}">{text(stage.name)}</a>' + (f"<br><small>{'<br>'.join(out)}</small>" if out else "")
    return [name, f"{came:,}", bar(kept, widest), f"{kept:,}", lost]


def _drops(stage: StageFacts) -> str:
    reasons = {name.partition("/")[2]: n for name, n in stage.counts.items() if name.startswith(("dropped/", "quarantined/")) and n}
    if not reasons:
        return ""
    shown = _examples(stage, list(reasons))
    parts = []
    for reason, n in sorted(reasons.items(), key=lambda item: -item[1]):
        examples = "".join(f"<li>{_example(one)}</li>" for one in shown.get(reason, [])[:EXAMPLES])
        of = f" <small>({share(n, stage.counts['records_in'])} of what came in)</small>"
        listed = f"<ol class=examples>{examples}</ol>" if examples else "<p>No example was kept.</p>"
        parts.append(f"<details><summary><code>{text(reason)}</code> {n:,}{of}</summary>{listed}</details>")
    return f"<h3>Dropped by {text(stage.name)}</h3>" + "".join(parts)


def _changes(stage: StageFacts) -> str:
    """What the steps of a cleaning changed, the first places of each."""
    shown = stage.metrics.get("changes")
    parts = []
    for label, rows in shown.items() if isinstance(shown, Mapping) else ():
        n = stage.metrics.get(f"{label}.changed", len(rows))
        places = "".join(
            f"<li><code>{text(one.get('id', ''), 120)}</code><pre><del>{block(one.get('before', ''), 200)}</del>\n"
            f"<ins>{block(one.get('after', ''), 200)}</ins></pre></li>"
            for one in rows[:EXAMPLES]
        )
        parts.append(f"<details><summary><code>{text(label)}</code> {n:,}</summary><ol class=examples>{places}</ol></details>")
    return f"<h3>Changed by {text(stage.name)}</h3>{''.join(parts)}" if parts else ""


def _example(one: Example) -> str:
    head = f"<code>{text(one.get('id', ''), 120)}</code>"
    if isinstance(one.get("score"), int | float):
        head += f" <small>score {number(float(one['score']))}</small>"
    if one.get("witness"):
        head += f" <small>because of {text(one['witness'], 160)}</small>"
    body = one.get("text")
    return head + (f"<pre>{block(body, 600)}</pre>" if body else "")


def _examples(stage: StageFacts, reasons: list[str]) -> dict[str, list[Example]]:
    """From the manifest, with the text; where it has none, from the ledger."""
    known = stage.metrics.get("examples")
    found = {reason: list(known[reason]) for reason in reasons if known.get(reason)} if isinstance(known, Mapping) else {}
    if stage.path and len(found) < len(reasons):
        import pyarrow.parquet as pq

        missing = {reason for reason in reasons if reason not in found}
        for path in sorted((stage.path / "ledger").glob("*.parquet")):
            for row in pq.read_table(path).to_pylist() if missing else ():
                if row["reason"] in missing:
                    found.setdefault(row["reason"], []).append(row)
            missing -= {reason for reason, rows in found.items() if len(rows) >= EXAMPLES}
    return found
