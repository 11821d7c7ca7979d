"""What each stage cost, what it ran on, and how to do it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from ropewalk.core.units import show_bytes, show_count, show_seconds
from ropewalk.report.facts import RunFacts, StageFacts
from ropewalk.report.markup import badge, bar, block, number, section, table, text

RECIPE_LIMIT = 200_000
_SHOWN = (str, int, float, bool)


def stages(facts: RunFacts) -> str:
    """A row a stage: state, clock, CPU, memory, disk; then its numbers in a fold."""
    longest = max((stage.cost.get("seconds", 0.0) for stage in facts.stages.values()), default=0.0)
    rows = [_row(stage, longest) for stage in facts.stages.values()]
    head = ("stage", "state", "time", "", "CPU", "memory", "on disk")
    body = table(head, rows, (2, 4, 5, 6), "costs") if rows else ""
    folds = "".join(_numbers(stage) for stage in facts.stages.values())
    details = f'<h3>All counts and metrics</h3><div class="folds">{folds}</div>' if folds else ""
    lead = "Memory is the whole process's peak while the stage ran. A stage from the store shows what it cost when it was made."
    return section("stages", "Stage by stage", body + details, lead)


def plan_and_actual(facts: RunFacts) -> str:
    """For each training: what was foreseen before its first step, and what it then took."""
    rows = [row for stage in facts.stages.values() if stage.expected and stage.status == "done" for row in _compared(stage)]
    lead = "Foreseen from the recipe and a short probe on this machine before the first step."
    return section("plan", "Plan and actual", table(("stage", "", "foreseen", "actual", "ratio"), rows, (2, 3, 4)) if rows else "", lead)


def _compared(stage: StageFacts) -> list[list[str]]:
    pairs = (
        ("parameters", stage.expected.get("parameters"), stage.metrics.get("parameters"), show_count),
        ("tokens", stage.expected.get("tokens"), stage.metrics.get("tokens"), show_count),
        ("a checkpoint", stage.expected.get("checkpoint_bytes"), stage.metrics.get("checkpoint_bytes"), show_bytes),
        ("peak memory", stage.expected.get("peak_bytes"), stage.cost.get("peak_bytes"), show_bytes),
        ("time", stage.expected.get("seconds"), stage.cost.get("seconds"), show_seconds),
    )
    return [
        [text(stage.name), what, shown(before), shown(after), f"{after / before:.2f}"]
        for what, before, after, shown in pairs
        if before and after
    ]


def reproduce(facts: RunFacts) -> str:
    """The command and the resolved recipe."""
    command = f"ropewalk run {shlex.quote(facts.where + '/recipe.yaml')}"
    said = "The resolved recipe has every default written out; the same recipe, data and versions make the same artifacts."
    body = f"<p>{said}</p><pre>{text(command)}</pre>"
    if facts.recipe:
        body += f"<details><summary>The resolved recipe</summary><pre>{block(facts.recipe, RECIPE_LIMIT)}</pre></details>"
    keys = [[text(stage.name), f"<code>{text(stage.makes)}/{text(stage.key)}</code>"] for stage in facts.stages.values()]
    if keys:
        body += f"<details><summary>The artifacts' keys</summary>{table(('stage', 'in the store'), keys)}</details>"
    return section("again", "How to do it again", body)


def environment(facts: RunFacts) -> str:
    """Machine and versions."""
    known = facts.environment
    rows = [(name, value) for name, value in known.items() if isinstance(value, _SHOWN) and value != ""]
    versions = known.get("versions")
    if isinstance(versions, Mapping):
        rows += versions.items()
    listed = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in rows)
    return section("environment", "Where it ran", f"<dl>{listed}</dl>" if rows else "")


def _row(stage: StageFacts, longest: float) -> list[str]:
    seconds, cpu, peak = (stage.cost.get(name) for name in ("seconds", "cpu_seconds", "peak_bytes"))
    size = sum(int(facts["bytes"]) for facts in stage.manifest.files.values()) if stage.manifest else None
    state = badge(stage.status) + (f"<br><small>{text(stage.damage)}</small>" if stage.damage else "")
    name = f'<span id="stage-{text(stage.name)}">{text(stage.name)}</span>'
    return [
        f'{name}<small class="type">{text(stage.type)} → {text(stage.makes)}</small>',
        state,
        _short(seconds),
        bar(seconds or 0.0, longest, "quiet" if stage.status == "cached" else ""),
        _short(cpu),
        "" if peak is None else show_bytes(peak),
        "" if size is None else show_bytes(size),
    ]


def _short(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return show_seconds(seconds) if seconds >= 0.05 else "&lt;0.1s"


def _numbers(stage: StageFacts) -> str:
    """Counts and metrics that are plain numbers or words."""
    rows = [[text(name), text(number(value))] for name, value in {**stage.counts, **stage.metrics}.items() if isinstance(value, _SHOWN)]
    return f"<details><summary>{text(stage.name)}</summary>{table(('', ''), rows, (1,), 'plain')}</details>" if rows else ""
