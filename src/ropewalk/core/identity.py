"""Identity: the key of an artifact is a hash of the resolved config, the input keys and the code that makes it.

Code means the source without docstrings and comments of the component's module and of what it imports inside the
parts of ropewalk that shape results, and the plugin's own folder. A component may pin `version = 3` instead.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ropewalk.core.artifact import digest
from ropewalk.core.component import RUNTIME, SAFE, Component, as_tree, is_marked, walk
from ropewalk.core.plugins import PLUGIN
from ropewalk.core.reference import Ref

SHAPING = ("ropewalk.data", "ropewalk.models", "ropewalk.optim", "ropewalk.tasks", "ropewalk.train.loop", "ropewalk.evaluate")


@dataclass(frozen=True)
class Identity:
    """What a key is made of, kept so that a change can be named."""

    config: Any
    inputs: Mapping[str, str]
    code: Mapping[str, str]
    outside: Mapping[str, Any]
    """Component path -> its fingerprint."""
    seed: int | None = None
    safe: Any = None
    """`config` without the fields that unfinished work may change."""

    @property
    def key(self) -> str:
        return digest([self.config, self.inputs, self.code, self.outside, self.seed])

    @property
    def safe_key(self) -> str:
        """Equal for two identities that differ in safe fields only."""
        return digest([self.safe, self.inputs, self.code, self.outside, self.seed])

    def parts(self) -> dict[str, Any]:
        """Plain data, for manifests and for `changes`."""
        mappings = {"inputs": dict(self.inputs), "code": dict(self.code), "outside": dict(self.outside)}
        return {"config": self.config, **mappings, "seed": self.seed}


def identify(component: Component, key_of: Callable[[Ref[Any]], str], seed: int | None = None) -> Identity:
    """The identity of a stage; `key_of` gives the key of the artifact behind each reference."""
    config = as_tree(component, keep=lambda field: not is_marked(field, RUNTIME), resolve=key_of)
    safe = as_tree(component, keep=lambda field: not is_marked(field, RUNTIME) and not is_marked(field, SAFE), resolve=key_of)
    inputs, code, outside = {}, {}, {}
    for path, item in walk(component):
        if isinstance(item, Ref):
            inputs[path] = key_of(item)
        elif isinstance(item, Component):
            code.update(code_of(type(item)))
            found = item.fingerprint()
            if found is not None:
                outside[path] = found
    return Identity(config, inputs, dict(sorted(code.items())), outside, seed, safe)


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two identities' `parts()`, a line each, in words."""
    lines = []
    for path, old, new in _differences(before.get("config"), now.get("config"), ""):
        if path not in now.get("inputs", {}):
            lines.append(f"{path}: {old} -> {new}")
    old_inputs, new_inputs = before.get("inputs", {}), now.get("inputs", {})
    lines += [f"input {path} changed" for path in new_inputs if old_inputs.get(path) != new_inputs[path]]
    old_code, new_code = before.get("code", {}), now.get("code", {})
    lines += [f"code of {name} changed" for name in sorted({*old_code, *new_code}) if old_code.get(name) != new_code.get(name)]
    for path, _, _ in _differences(before.get("outside"), now.get("outside"), ""):
        lines.append(f"{path}: what it reads changed (files or library versions)")
    if before.get("seed") != now.get("seed"):
        lines.append(f"seed: {before.get('seed')} -> {now.get('seed')}")
    return lines


def _differences(old: Any, new: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted({*old, *new}):
            yield from _differences(old.get(name), new.get(name), f"{path}.{name}" if path else name)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (left, right) in enumerate(zip(old, new, strict=True)):
            yield from _differences(left, right, f"{path}.{index}")
    elif old != new:
        yield path, old, new


def code_of(component: type[Component]) -> dict[str, str]:
    """Module -> hash of its code, for the component's module and the shaping modules it reaches."""
    if component.version is not None:
        return {f"version:{component.family}.{component.tag}": str(component.version)}
    return _reached(component.__module__)


@functools.cache
def _reached(start: str) -> dict[str, str]:
    found: dict[str, str] = {}
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if _named(name) in found:
            continue
        path = _source(name)
        if path is None:
            continue
        text, imports = _normal(path, name)
        found[_named(name)] = text
        waiting += [other for other in imports if _shapes(other, start)]
    return found


def _named(name: str) -> str:
    """A plugin's module without the part of its name that comes from its folder: keys are equal anywhere."""
    return f"plugin:{name.partition('.')[2]}" if name.startswith(PLUGIN) else name


def _shapes(name: str, start: str) -> bool:
    if any(name == part or name.startswith(part + ".") for part in SHAPING):
        return True
    return not start.startswith("ropewalk.") and name.split(".")[0] == start.split(".")[0]


def _source(name: str) -> Path | None:
    """The module's file, found without importing anything; None for a name that is no module."""
    top, *rest = name.split(".")
    roots, single = _roots(top)
    if not rest:
        return single
    for root in roots:
        base = root.joinpath(*rest)
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if path.is_file():
                return path
    return None


@functools.cache
def _roots(top: str) -> tuple[tuple[Path, ...], Path | None]:
    """(folders of a top-level package, its own file)."""
    module = sys.modules.get(top)
    spec = None if module is not None and hasattr(module, "__path__") else importlib.util.find_spec(top)
    folders = getattr(module, "__path__", None) or (spec.submodule_search_locations if spec else None) or ()
    file = getattr(module, "__file__", None) or (spec.origin if spec else None)
    return tuple(Path(folder) for folder in folders), Path(file) if file and file.endswith(".py") else None


@functools.cache
def _normal(path: Path, name: str) -> tuple[str, tuple[str, ...]]:
    """(hash of the code without docstrings, modules it imports anywhere in it)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    imports: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            imports += [module, *(f"{module}.{alias.name}" for alias in node.names)]
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [item for item in node.body if not _is_text(item)] or [ast.Pass()]
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:16], tuple(imports)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
