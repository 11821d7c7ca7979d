"""`ropewalk report`: render a run's report again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(run: Annotated[Path, typer.Argument(help="A run's folder, such as runs/quickstart.")]) -> None:
    """Write report.html for a run from what its folder holds."""
    from ropewalk.core.errors import DataError
    from ropewalk.report.html import write_report

    if not (run / "run.json").is_file():
        raise DataError(f"{run}: not a run's folder (no run.json)", remedy="name a folder below runs/, as `ropewalk run` printed it")
    typer.echo(str(write_report(run)))
