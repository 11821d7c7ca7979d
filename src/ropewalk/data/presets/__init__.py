"""Presets: lists of cleaning steps in YAML that a recipe names in place of its own, `steps: full`."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import yaml
from pydantic_core import PydanticCustomError


def preset_names() -> list[str]:
    return sorted(entry.name.removesuffix(".yaml") for entry in files(__name__).iterdir() if entry.name.endswith(".yaml"))


def read_preset(name: str) -> list[Any]:
    """The preset's steps as YAML has them."""
    found: list[Any] = yaml.safe_load((files(__name__) / f"{name}.yaml").read_text(encoding="utf-8"))
    return found


def spelled_out(steps: Any) -> Any:
    """The steps of the preset, when a name is given in their place."""
    if not isinstance(steps, str):
        return steps
    if steps not in preset_names():
        context = {"family": "preset", "tag": steps, "choices": preset_names()}
        raise PydanticCustomError("unknown_type", "unknown {family} {tag}: expected a list of steps, or the name of a preset", context)
    return read_preset(steps)
