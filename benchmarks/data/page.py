"""The page: tables of what was measured, with versions, commands and the machine."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.data.groups import Group
from benchmarks.data.measure import Result

HEAD = """# The data line, beside others

Made on {started} by `python -m benchmarks.data` in {minutes} minutes: {machine}, Python {python}. Every number is per core: CPU-seconds
of the process and its children, imports and compilation left out, medians of the runs given; the jobs of a table ran in turns in one
process after the other, each with one thread. MB are millions of bytes of text. "times" is our speed over the line's.

The text is what Debian's documentation packages say, cut into documents, a quarter of them planted duplicates
(how: `benchmarks/data/`); recall and precision are over all pairs whose word 5-grams have a
Jaccard similarity of 0.8 or more, found by an exact join.

{corpora}
"""


def page(done: Sequence[tuple[Group, Sequence[Result]]], facts: Mapping[str, Any]) -> str:
    """The whole page as Markdown."""
    corpora = ["| corpus | documents | MB | sha256 of the file |", "|---|---|---|---|"]
    corpora += [f"| {name} | {one['docs']:,} | {one['text_mb']} | `{one['sha256'][:16]}` |" for name, one in facts["corpora"].items()]
    parts = [HEAD.format(**{**facts, "corpora": "\n".join(corpora)}, machine=machine())]
    parts += [table(group, results) for group, results in done]
    parts += [f"## {title}\n\n`{command}` says:\n\n```text\n{said}\n```" for title, command, said in facts["quoted"]]
    parts.append("## Versions\n\n" + "\n".join(f"- {name}: {_said(found)}" for name, found in facts["versions"].items()))
    if facts["missing"]:
        parts.append("Not installable here:\n\n" + "\n".join(f"- {name}: {why}" for name, why in facts["missing"].items()))
    commands = [f"- {result.job.who} ({group.title.lower()}): `{_command(result)}`" for group, results in done for result in results]
    parts.append("## Commands\n\n" + "\n".join(commands))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def table(group: Group, results: Sequence[Result]) -> str:
    """One group."""
    names = [name for name, _ in group.columns]
    lines = [f"| | {' | '.join(names)} | times | runs (spread) | |", f"|---|{'---|' * (len(names) + 3)}"]
    ours = results[0] if results and not results[0].failed else None
    failed = []
    for result in results:
        if result.failed:
            failed.append(f"{result.job.who} failed: {result.failed}")
            continue
        cells = [read(result) for _, read in group.columns]
        ratio = f"{_times(ours, result):.3g}" if ours and result is not ours else ""
        runs = f"{len(result.runs)}" + (f" ({100 * result.spread:.0f}%)" if len(result.runs) > 1 else "")
        lines.append(f"| {result.job.who} | {' | '.join(cells)} | {ratio} | {runs} | {result.job.note} |")
    return "\n\n".join([f"## {group.title}", group.about, "\n".join(lines), *failed])


def _times(ours: Result, other: Result) -> float:
    """By the rate where there is one, by MB a second where the amounts differ, else by the seconds."""
    if ours.last("mtok_per_s"):
        return ours.median("mtok_per_s") / other.median("mtok_per_s")
    return ours.speed / other.speed if ours.last("mb") else other.median("cpu_s") / ours.median("cpu_s")


def machine() -> str:
    """Processor, cores and memory, as the system says."""
    model, memory = "", 0
    cpu, meminfo = Path("/proc/cpuinfo"), Path("/proc/meminfo")
    for line in cpu.read_text().splitlines() if cpu.is_file() else ():
        model = model or (line.partition(":")[2].strip() if line.startswith("model name") else "")
    for line in meminfo.read_text().splitlines() if meminfo.is_file() else ():
        memory = memory or (int(line.split()[1]) // (1 << 20) if line.startswith("MemTotal") else 0)
    return f"{os.cpu_count()} cores of {model or 'an unnamed processor'}, {memory} GiB"


def _said(found: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in found.items())


def _command(result: Result) -> str:
    """The command with names in place of this machine's folders."""
    first, script, *rest = result.job.command
    environment = "python" if "peers" not in first else f"{Path(first).parents[1].name}/bin/python"
    said = [Path(part).name if part.startswith("/") else part for part in rest]
    return f"{environment} {Path(script).name} {shlex.join(said)}"
