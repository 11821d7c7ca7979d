"""Tasks by name: small files that say how the rows of a public set are asked. The rows are not shipped."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic_core import PydanticCustomError

from ropewalk.core.location import Located


def task_names() -> list[str]:
    return sorted(entry.name.removesuffix(".yaml") for entry in files(__name__).iterdir() if entry.name.endswith(".yaml"))


def spelled_out(suites: Any) -> Any:
    """Each `{task: NAME, folder: FOLDER, …}` of a list as the suite that the task's file describes; what is said beside wins.

    NAME is a shipped task, whose rows lie in FOLDER, or a YAML file of one's own, whose paths are relative to it.
    """
    return [_suite(suite) for suite in suites] if isinstance(suites, list) else suites


def _suite(given: Any) -> Any:
    if not isinstance(given, dict) or "task" not in given or "type" in given:  # suites of a type may have a field of that name
        return given
    said = {name: value for name, value in given.items() if name not in ("task", "folder")}
    task, folder = _placed(given["task"]), _placed(given.get("folder"))
    own = Path(task)
    if task in task_names():
        found, base = yaml.safe_load((files(__name__) / f"{task}.yaml").read_text(encoding="utf-8")), folder
        if base is None and "path" not in said and "rows" not in said:
            raise PydanticCustomError(
                "folder", "task {task} needs folder: where its rows are ({file})", {"task": task, "file": found["path"]}
            )
    elif own.suffix in (".yaml", ".yml") and own.is_file():
        found, base = _read(own), folder or str(own.parent)
    else:
        context = {"family": "task", "tag": str(given["task"]), "choices": task_names()}
        raise PydanticCustomError("unknown_type", "unknown {family} {tag}: expected a shipped one or a YAML file", context)
    if "rows" in said:
        found.pop("path", None)
    for name in ("path", "shots_path"):
        if name in found and base is not None:
            found[name] = Path(base) / found[name]
    return {"name": own.stem, **found, **said}


def _placed(value: Any) -> Any:
    """The place that a recipe's path means: relative to the recipe."""
    shipped = isinstance(value, str) and str(value) in task_names()
    return str(value) if shipped else value.resolved() if isinstance(value, Located) else None if value is None else str(value)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError) as error:
        raise PydanticCustomError("task", "{path}: can't be read: {why}", {"path": str(path), "why": str(error).splitlines()[0]}) from None
    if not isinstance(found, dict) or "type" not in found:
        raise PydanticCustomError("task", "{path}: needs a mapping with type: and a suite's fields", {"path": str(path)})
    return found
