"""report.html: one self-contained page a run, made from what the run's folder and its artifacts say. No script, no network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ropewalk.core.artifact import write_durably
from ropewalk.core.errors import DataError
from ropewalk.core.units import show_seconds
from ropewalk.report.contamination import contamination
from ropewalk.report.costs import environment, plan_and_actual, reproduce, stages
from ropewalk.report.distributions import score_histograms, token_lengths
from ropewalk.report.duplicates import duplicates
from ropewalk.report.evaluation import evaluation, gates
from ropewalk.report.facts import RunFacts, gather
from ropewalk.report.forecasts import forecasts
from ropewalk.report.funnel import funnel
from ropewalk.report.graph import stage_graph
from ropewalk.report.markup import section, text, visible
from ropewalk.report.preview import previews
from ropewalk.report.story import banner, remarkable, started, tiles
from ropewalk.report.training import training

SECTIONS: tuple[tuple[str, str, Callable[[RunFacts], str]], ...] = (
    ("gates", "Gates", gates),
    ("graph", "Stages", lambda facts: _graph(facts)),
    ("funnel", "Data", funnel),
    ("duplicates", "Duplicates", duplicates),
    ("scores", "Filters", score_histograms),
    ("contamination", "Contamination", contamination),
    ("lengths", "Lengths", token_lengths),
    ("mask", "Mask", previews),
    ("training", "Training", training),
    ("evaluation", "Evaluation", evaluation),
    ("forecasts", "Forecasts", forecasts),
    ("stages", "Costs", stages),
    ("plan", "Plan", plan_and_actual),
    ("environment", "Environment", environment),
    ("again", "Reproduce", reproduce),
)


def write_report(run: Path) -> Path:
    """Render the run's report beside its status; raises DataError when the folder holds no run."""
    place = run / "report.html"
    write_durably(place, page(gather(run)).encode("utf-8", "replace"))
    return place


def page(facts: RunFacts) -> str:
    """The whole page."""
    parts = [(anchor, title, _guarded(anchor, title, part, facts)) for anchor, title, part in SECTIONS]
    links = "".join(f'<a href="#{anchor}">{title}</a>' for anchor, title, body in parts if body)
    name = text(facts.name)
    told = (("ended", banner), ("story", lambda known: tiles(known) + remarkable(known)))
    opening = "".join(_guarded(anchor, "The run", part, facts) for anchor, part in told)
    head = f'<header><p class="kind">ropewalk report · {started(facts)}</p><h1>{name}</h1>{opening}</header>'
    main = f"<main>{''.join(body for _, _, body in parts)}</main><footer>Made by ropewalk from {text(facts.where)}.</footer>"
    return document(name, f"{head}<nav>{links}</nav>", main)


def document(title: str, head: str, body: str) -> str:
    """Finished HTML parts as a file of its own: no script, nothing from the network."""
    style = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><meta name="color-scheme" content="light dark">'
        f"<title>{title} · ropewalk</title><style>{style}</style></head><body>{head}{body}</body></html>\n"
    )


def _guarded(anchor: str, title: str, part: Callable[[RunFacts], str], facts: RunFacts) -> str:
    """A section whose files are damaged says so, and the page goes on."""
    try:
        return part(facts)
    except (DataError, OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
        return section(anchor, title, f'<p class="damaged">This part could not be read: {text(error, 400)}</p>')


def _graph(facts: RunFacts) -> str:
    if not facts.stages:
        return ""
    shown = {name: visible(name) for name in facts.stages}
    edges = {shown[name]: [shown[other] for other in others] for name, others in facts.edges.items()}
    states = {shown[name]: stage.status for name, stage in facts.stages.items()}
    notes = {
        shown[name]: visible(
            f"{stage.status}, {show_seconds(stage.cost['seconds'])}" if stage.status == "done" and stage.cost else stage.status
        )
        for name, stage in facts.stages.items()
    }
    return section("graph", "The stages", f'<div class="wide">{stage_graph(edges, states, notes)}</div>', "Each box leads to its numbers.")
