"""The command `ropewalk`: one file per verb; errors become messages and exit codes here."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from ropewalk import __version__
from ropewalk.cli import doctor, explain, init, list, plan, predict, preview, report, run, schema, validate, verify, verify_resume, why
from ropewalk.cli.settings import SETTINGS
from ropewalk.core.errors import Interrupted, RopewalkError, typed
from ropewalk.core.log import set_up_console

app = typer.Typer(
    name="ropewalk",
    help="From raw text to a gated model: one typed recipe, one command, one trainer.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verb in (run, plan, validate, init, schema, explain, list, preview, predict, why, report, verify, verify_resume, doctor):
    app.command(verb.__name__.rpartition(".")[2].replace("_", "-"))(verb.command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ropewalk {__version__}")
        raise typer.Exit


@app.callback()
def options(
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only warnings and errors, no progress.")] = False,
    no_plugins: Annotated[bool, typer.Option("--no-plugins", help="Refuse components from outside ropewalk.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Options before the verb hold for all of them."""
    if log_level.lower() not in ("debug", "info", "warning", "error"):
        raise typer.BadParameter("choose debug, info, warning or error", param_hint="--log-level")
    set_up_console(log_level, quiet=quiet)
    SETTINGS.quiet, SETTINGS.plugins = quiet, not no_plugins
    if no_plugins:
        from ropewalk.core import component

        component.entry_points_allowed = False


def _stopped(number: int, frame: FrameType | None) -> None:
    name = signal.Signals(number).name
    raise Interrupted(f"stopped by {name}; finished shards and checkpoints are kept, run again to go on", signal_number=number)


def main() -> None:
    """Runs the command line; never shows a traceback for a user's mistake."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stopped)
    try:
        app(standalone_mode=False)
    except SystemExit:
        raise
    except Interrupted as error:
        _leave(error.code, str(error))
    except RopewalkError as error:
        _leave(error.exit_code, str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        _fail(error)


def _fail(error: Exception) -> None:
    shown = getattr(error, "format_message", None)
    if shown is not None:  # the option parser's own errors
        if not shown():  # no arguments: the help is printed already
            sys.exit(2)
        _leave(2, f"{shown()} (see ropewalk --help)")
    if type(error).__name__ in ("Exit", "Abort"):
        sys.exit(getattr(error, "exit_code", 1))
    known = typed(error, "ropewalk")
    if known is not None:
        _leave(known.exit_code, str(known))
    with tempfile.NamedTemporaryFile("w", prefix="ropewalk-bug-", suffix=".log", delete=False, encoding="utf-8") as file:
        file.write("".join(traceback.format_exception(error)))
    _leave(1, f"a bug in ropewalk or a plugin: {type(error).__name__}: {error}\n  -> the traceback is in {Path(file.name)}")


def _leave(code: int, message: str) -> None:
    prefix = "ropewalk: " if code in (130, 143) else "error: "
    sys.stderr.write("\n".join((prefix if i == 0 else "") + line for i, line in enumerate(message.split("\n"))) + "\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
