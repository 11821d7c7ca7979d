"""A suite's result on its way: kept in the work folder, so that a kill loses no suite that was finished."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from ropewalk.core.artifact import write_durably
from ropewalk.evaluate.scores import Measure, SuiteResult

FILE = "result.json"


def write_result(folder: Path, result: SuiteResult) -> None:
    """Whole or not at all; every number comes back bit by bit."""
    folder.mkdir(parents=True, exist_ok=True)
    body = {**_shown(result), "measures": [_shown(measure) for measure in result.measures]}
    write_durably(folder / FILE, json.dumps(body, ensure_ascii=False).encode())


def read_result(folder: Path) -> SuiteResult | None:
    """None where there is none, or one that can't be read."""
    try:
        found = json.loads((folder / FILE).read_bytes())
        return SuiteResult(**{**found, "measures": [_measure(measure) for measure in found["measures"]]})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _measure(found: dict[str, Any]) -> Measure:
    numbers = {name: np.array(found[name], np.float64) for name in ("numerators", "denominators")}
    baselines = {name: np.array(values, np.float64) for name, values in found["baselines"].items()}
    return Measure(**{**found, **numbers, "baselines": baselines})


def _shown(value: SuiteResult | Measure) -> dict[str, Any]:
    return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return list(value) if isinstance(value, tuple) else value
