"""The run's story in plain words, at the top of the page: how it ended, what went in, what came out, is it good, what it cost."""

from __future__ import annotations

import json
import time
from typing import Any

from ropewalk.core.units import show_bytes, show_seconds
from ropewalk.report.facts import RunFacts, StageFacts
from ropewalk.report.markup import count, number, text

NOTABLE = {
    "quarantined": "unreadable records set aside",
    "corrupt_files": "files that could be read in part only",
    "repeated_ids": "ids that occurred more than once",
    "cropped_tokens": "tokens cut off because a record was too long",
    "spelt_controls": "control tokens spelt out in the text, kept as text",
    "skipped_updates": "updates skipped because a gradient was not finite",
}


def banner(facts: RunFacts) -> str:
    """How the run ended, in a coloured line; for a failure with all that was said."""
    stages = facts.stages.values()
    failed = [stage for stage in stages if stage.status == "failed"]
    stopped = [stage.name for stage in stages if stage.status in ("stopped", "waiting")]
    behind = f"<p>Not made because of it: {', '.join(map(text, stopped))}.</p>" if stopped else ""
    if facts.gate_failed:
        lines = "".join(f"<li>{text(message, 500)}</li>" for message in gate_failures(facts))
        return _banner("bad", "A gate said no", f"<ul>{lines}</ul>{behind}")
    if failed:
        said = "".join(
            f"<pre>{text(stage.name)}: {text(facts.events.errors.get(stage.name, facts.status), 2000)}</pre>" for stage in failed
        )
        return _banner("bad", "The run failed", f"{said}{behind}<p>Run it again to go on from where it stopped.</p>")
    if facts.status == "running":
        return _banner(
            "open", "Not finished", "<p>The run is still going on, or it was killed. Run it again to go on from where it stopped.</p>"
        )
    if not facts.done:
        return _banner("bad", "The run ended early", f"<pre>{text(facts.status, 2000)}</pre>{behind}")
    if stages and all(stage.status == "cached" for stage in stages):
        return _banner(
            "good", "All done before", f"<p>Every one of the {len(facts.stages)} stages stood in the store: nothing was made again.</p>"
        )
    judged = any(passed_of(stage) for stage in facts.making("Verdict"))
    return _banner("good", "Done, and every gate passed" if judged else "Done", "")


def tiles(facts: RunFacts) -> str:
    """Four answers."""
    parts = (
        ("What went in", _inputs(facts)),
        ("What came out", _outputs(facts)),
        ("Is it good enough?", _good(facts)),
        ("What it cost", _cost(facts)),
    )
    return '<div class="tiles">' + "".join(f"<div><h3>{title}</h3>{body}</div>" for title, body in parts) + "</div>"


def remarkable(facts: RunFacts) -> str:
    """What one would be sorry to have overlooked, a line a stage; nothing when all was ordinary."""
    lines = []
    for stage in facts.stages.values():
        numbers = {**stage.counts, **stage.metrics}
        parts = [f"{numbers[name]:,} {words}" for name, words in NOTABLE.items() if isinstance(numbers.get(name), int) and numbers[name]]
        if parts:
            lines.append(f"<li><i>{text(stage.name)}</i>: {', '.join(parts)}</li>")
    return f'<div class="notes"><b>Worth knowing</b><ul>{"".join(lines)}</ul></div>' if lines else ""


def verdict_of(stage: StageFacts) -> dict[str, Any]:
    """verdict.json; empty when it can't be read, which the section on gates tells."""
    try:
        found = json.loads((stage.path / "verdict.json").read_bytes()) if stage.path else {}
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def passed_of(stage: StageFacts) -> bool:
    return bool(verdict_of(stage).get("passed"))


def gate_failures(facts: RunFacts) -> list[str]:
    """The messages of every check that failed, with its numbers."""
    verdicts = [verdict_of(stage) for stage in facts.making("Verdict") if stage.status == "gate failed"]
    found = [str(row.get("message", "")) for verdict in verdicts for row in verdict.get("findings", []) if not row.get("passed")]
    return found or [f"{stage.name}: its findings can't be read" for stage in facts.stages.values() if stage.status == "gate failed"]


def started(facts: RunFacts) -> str:
    """When the run was."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(facts.started))


def _banner(kind: str, title: str, body: str) -> str:
    return f'<div class="banner {kind}"><strong>{title}</strong>{body}</div>'


def _inputs(facts: RunFacts) -> str:
    lines = []
    for stage in facts.stages.values():
        if not stage.counts or any(other in facts.stages for other in facts.edges.get(stage.name, ())):
            continue
        size = stage.metrics.get("text_bytes")
        of = f" ({show_bytes(size)} of text)" if isinstance(size, int | float) else ""
        noun = "chat" if stage.makes == "Chats" else "document"
        lines.append(f"<p><b>{count(stage.counts.get('records_in', 0), noun)}</b>{of} from <i>{text(stage.name)}</i></p>")
    return "".join(lines) or "<p>Nothing was read yet.</p>"


def _outputs(facts: RunFacts) -> str:
    trained = [stage for stage in facts.making("Model") if "steps" in stage.metrics]
    standing = [stage for stage in facts.stages.values() if stage.path]
    lines = []
    if trained:
        lines.append(f"<p>A model of <b>{count(trained[-1].metrics.get('parameters', 0), 'parameter')}</b></p>")
    elif standing:
        lines.append(f"<p>No model; the last thing made is the {text(standing[-1].makes)} of <i>{text(standing[-1].name)}</i></p>")
    else:
        lines.append("<p>Nothing yet.</p>")
    for stage in trained:
        over = count(stage.metrics.get("tokens", 0), "token")
        lines.append(f"<p><i>{text(stage.name)}</i>: {count(stage.metrics['steps'], 'step')} over {over}</p>")
    exported = [stage for stage in facts.making("Model") if "judged" in stage.metrics]
    if exported:
        lines.append(f"<p>Exported as <i>{text(exported[-1].name)}</i></p>")
    elif any(stage.type == "export" for stage in facts.stages.values()):
        lines.append("<p>Not exported.</p>")
    return "".join(lines)


def _good(facts: RunFacts) -> str:
    gates = [stage for stage in facts.stages.values() if stage.makes == "Verdict"]
    findings = [row for stage in facts.making("Verdict") for row in verdict_of(stage).get("findings", [])]
    if findings:
        passed = sum(bool(row.get("passed")) for row in findings)
        answer = "Yes" if passed == len(findings) else "No"
        lines = f"<p><b>{answer}</b>: {passed} of {count(len(findings), 'check')} passed</p>"
    elif gates:
        lines = "<p><b>Not known</b>: the gate has not been reached.</p>"
    else:
        lines = "<p><b>Nobody asked</b>: the recipe has no gate.</p>"
    return lines + "".join(f"<p>{line}</p>" for line in _against_baselines(facts))


def _against_baselines(facts: RunFacts) -> list[str]:
    """For each metric with baselines: which of them the model beats."""
    lines = []
    for stage in facts.making("Scores"):
        for suite, metric in metrics_of(stage):
            rivals = metric.get("baselines") or {}
            if not rivals:
                continue
            sign = 1 if metric.get("higher_is_better") else -1
            better = [name for name, value in rivals.items() if sign * float(metric["value"]) > sign * float(value)]
            worse = [name for name in rivals if name not in better]
            parts = [
                f"{word} {' and '.join(map(text, names))}" for word, names in (("better than", better), ("not better than", worse)) if names
            ]
            lines.append(f"{text(suite)} {text(metric['name'])} {number(float(metric['value']))}: {', '.join(parts)}")
    return lines[:3]


def metrics_of(stage: StageFacts) -> list[tuple[str, dict[str, Any]]]:
    """(suite, metric) as scores.json holds them; empty when it can't be read, which the section on scores tells."""
    try:
        found = json.loads((stage.path / "scores.json").read_bytes()) if stage.path else {}
        return [(suite, metric) for suite, part in found.items() for metric in part["metrics"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def _cost(facts: RunFacts) -> str:
    made = [stage for stage in facts.stages.values() if stage.status != "cached" and stage.cost]
    cached = [stage for stage in facts.stages.values() if stage.status == "cached"]
    lines = []
    if facts.ended:
        lines.append(f"<p><b>{show_seconds(facts.ended - facts.started)}</b> on the clock</p>")
    if made:
        cpu = sum(stage.cost.get("cpu_seconds", 0.0) for stage in made)
        peak = max(stage.cost.get("peak_bytes", 0) for stage in made)
        lines.append(f"<p>{show_seconds(cpu)} of CPU time, {show_bytes(peak)} of memory at most</p>")
    if cached:
        spared = sum(stage.cost.get("seconds", 0.0) for stage in cached)
        lines.append(f"<p>{count(len(cached), 'stage')} from the store: {show_seconds(spared)} not spent again</p>")
    return "".join(lines) or "<p>Nothing yet.</p>"
