"""report.html: one self-contained page a run, made from what the run's folder and its artifacts' manifests say."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

from ropewalk.core.artifact import Manifest, write_durably
from ropewalk.core.errors import DataError

STYLE = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}table{border-collapse:collapse}td,th{padding:.2rem .8rem;text-align:left;border-bottom:1px solid #8884;vertical-align:top}"


def write_report(run: Path) -> Path:
    """Render the run's report beside its status; raises DataError when the folder holds no run."""
    try:
        status = json.loads((run / "run.json").read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{run / 'run.json'}: can't be read: {error}") from None
    rows, parts = [], []
    for name, facts in status["stages"].items():
        cost = facts.get("cost", {})
        rows.append(_row(name, facts["type"], facts["status"], f"{cost.get('seconds', 0):.1f} s"))
        manifest = _manifest(run / "stages" / name)
        if manifest:
            parts.append(f"<h2>{escape(name)}</h2>" + _facts({**manifest.counts, **manifest.metrics}))
    page = f"<!doctype html><meta charset=utf-8><title>{escape(status['name'])}</title><style>{STYLE}</style><h1>{escape(status['name'])}</h1><p>{escape(status['status'])}<table>{''.join(rows)}</table>{''.join(parts)}"
    place = run / "report.html"
    write_durably(place, page.encode())
    return place


def _manifest(folder: Path) -> Manifest | None:
    try:
        return Manifest.read(folder)
    except DataError:
        return None


def _row(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _facts(facts: dict[str, Any]) -> str:
    return "<table>" + "".join(_row(str(name), json.dumps(value, ensure_ascii=False)) for name, value in facts.items()) + "</table>"
