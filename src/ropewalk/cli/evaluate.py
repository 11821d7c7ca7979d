"""`ropewalk evaluate`: any suite on any model, without a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ropewalk.cli.settings import SETTINGS, JsonOption, show


def command(
    model: Annotated[str, typer.Argument(help="A model's folder (ropewalk's or transformers'), or its key in the store.", metavar="MODEL")],
    suite: Annotated[
        list[str], typer.Option("--suite", "-s", help="A shipped task, a YAML file, or a suite as YAML; may be given several times.")
    ],
    rows: Annotated[Path | None, typer.Option("--rows", help="The folder with the tasks' rows.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="Only the first so many items of each task.")] = None,
    shots: Annotated[int | None, typer.Option("--shots", min=0, help="Solved examples before each item.")] = None,
    store: Annotated[Path | None, typer.Option("--store", help="Where artifacts stand.")] = None,
    json: JsonOption = False,
) -> None:
    """Measure a model with intervals; what was measured before is read from the store."""
    from ropewalk.core.log import LOGGER
    from ropewalk.evaluate.scores import Scores
    from ropewalk.pipeline.asking import evaluation_of

    run = evaluation_of(model, suite, rows, limit, shots, store).run(quiet=SETTINGS.quiet)
    scores = run["scores"]
    assert isinstance(scores, Scores)
    counts = scores.counts
    table = [
        {
            "metric": name,
            "value": metric.value if json else f"{metric.value:.4f}",
            "low": metric.low if json else f"{metric.low:.4f}",
            "high": metric.high if json else f"{metric.high:.4f}",
            "unit": metric.unit,
            "items": metric.items,
            **({"counts": counts[name.partition("/")[0]]} if json else {"not whole": _told(counts[name.partition("/")[0]])}),
        }
        for name, metric in scores.metrics.items()
    ]
    show(table, json, ("metric", "value", "low", "high", "unit", "items", "not whole"))
    LOGGER.info("scores: %s", scores.path)


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in counts.items() if number)
