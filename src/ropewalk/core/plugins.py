"""Components of the user's own: Python files or folders named by a recipe's `plugins:`."""

from __future__ import annotations

import hashlib
import importlib
import sys
import traceback
import types
from dataclasses import dataclass
from pathlib import Path

from ropewalk.core.errors import ConfigError, Interrupted, Problem

PLUGIN = "ropewalk_plugin_"


@dataclass(frozen=True)
class LoadPlugins:
    """Picklable: imports the same plugins in a worker process."""

    paths: tuple[Path, ...]

    def __call__(self) -> None:
        for path in self.paths:
            load_plugin(path)


def load_plugin(path: Path) -> None:
    """Import a file, or every .py file of a folder; its folder acts as a package, so `from .words import LIST` works."""
    if path.is_dir():
        for file in sorted(path.glob("*.py")):
            load_plugin(file)
        return
    if not path.is_file():
        raise ConfigError([Problem("plugins", f"no such file or folder: {path}")])
    folder = path.resolve().parent
    package = PLUGIN + hashlib.sha256(str(folder).encode()).hexdigest()[:8]
    if package not in sys.modules:
        module = types.ModuleType(package)
        module.__path__ = [str(folder)]
        sys.modules[package] = module
    try:
        importlib.import_module(f"{package}.{path.stem}")
    except Interrupted:
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        line = next((f" (line {frame.lineno})" for frame in reversed(frames) if Path(frame.filename) == path.resolve()), "")
        raise ConfigError([Problem("plugins", f"{path} can't be imported: {type(error).__name__}: {error}{line}")]) from error
