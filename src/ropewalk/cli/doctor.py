"""`ropewalk doctor`: what this machine can do, what `auto` picks, what is missing and how to get it."""

from __future__ import annotations

from ropewalk.cli.settings import JsonOption, show


def command(json: JsonOption = False) -> None:
    """Show devices, precisions, kernels and optional packages."""
    from ropewalk.pipeline.doctor import extra_rows, machine_rows

    show([*machine_rows(), *extra_rows()], json, ("what", "found", "note"))
