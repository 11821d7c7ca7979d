"""`ropewalk predict`: what a model says of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    model: Annotated[Path, typer.Argument(help="A model's folder, such as runs/NAME/stages/model.")],
    file: Annotated[Path, typer.Argument(help="A file with the columns of the model's own data: CSV, Parquet or JSON lines.")],
    levels: Annotated[str, typer.Option(help="The quantiles of a forecast, with commas between them.")] = "0.1,0.5,0.9",
    symbol: Annotated[list[str] | None, typer.Option(help="Only this series; may be given several times.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write CSV here, or JSON lines where the name ends in .jsonl.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines in place of CSV.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Forecast from the end of each series in FILE."""
    import csv
    import io
    import json

    from ropewalk.core.artifact import write_durably
    from ropewalk.core.errors import ConfigError
    from ropewalk.pipeline.predict import predict

    try:
        wanted = [float(level) for level in levels.split(",")]
    except ValueError:
        raise ConfigError(f"--levels: {levels!r} are no numbers, such as 0.1,0.5,0.9") from None
    rows = list(predict(model, file, levels=wanted, symbols=symbol or (), device=device))
    if as_json or (out is not None and out.suffix == ".jsonl"):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    else:
        told = io.StringIO()
        writer = csv.DictWriter(told, list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        text = told.getvalue()
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_durably(out, text.encode())
        typer.echo(f"wrote {len(rows)} rows to {out}")
