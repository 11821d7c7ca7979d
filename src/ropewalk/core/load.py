"""Reading a recipe: YAML with the place of every value, `extends`, environment, overrides; nothing is guessed.

Scalars follow YAML 1.2's core schema: only true/false are booleans, `2e-5` is a number, `no`, `010` and `12:30` stay text.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ropewalk.core.errors import ConfigError, Problem
from ropewalk.core.location import Located

Trail = tuple[str | int, ...]
MAX_NODES = 100_000
MAX_EXTENDS = 8
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?([0-9][0-9_]*\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_SECRET = re.compile(r"(?:^|_)(TOKEN|SECRET|PASSWORD|PASSWD|PAT|CREDENTIALS?|APIKEY|KEY)(?:_|$)", re.IGNORECASE)
MOST_DIGITS = 300


@dataclass
class Tree:
    """Plain data with the place each value came from: `places[("stages", "base", "lr")] == "recipe.yaml:7:15"`."""

    value: Any
    places: dict[Trail, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def place(self, trail: Trail) -> str:
        """The nearest known place at or above the trail."""
        while trail and trail not in self.places:
            trail = trail[:-1]
        return self.places.get(trail, "")


class _Reader:
    """Turns the nodes of one file into plain data; notes places and problems."""

    def __init__(self, path: Path, name: str, tree: Tree) -> None:
        self.path, self.name, self.tree, self.nodes = path, name, tree, 0

    def convert(self, node: yaml.Node, trail: Trail) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise ConfigError([Problem("", f"more than {MAX_NODES} values (aliases count each time)", self.name)])
        self.tree.places.setdefault(trail, self.at(node))
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, trail)
        if isinstance(node, yaml.SequenceNode):
            return [self.convert(item, (*trail, index)) for index, item in enumerate(node.value)]
        return self.scalar(node, trail)

    def at(self, node: yaml.Node) -> str:
        return f"{self.name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"

    def mapping(self, node: yaml.MappingNode, trail: Trail) -> dict[str, Any]:
        result: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key, value in node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
            line = key.start_mark.line + 1
            if not name or name == "<<":
                self.say((*trail, name), "keys are plain words; instead of merge keys use `extends`", key)
            elif name in first:
                self.say((*trail, name), f"this key is there twice, on lines {first[name]} and {line}", key)
            else:
                first[name] = line
                self.tree.places[(*trail, name)] = self.at(key)
                result[name] = self.convert(value, (*trail, name))
        return result

    def scalar(self, node: yaml.Node, trail: Trail) -> Any:
        text = str(node.value)
        if not node.tag.startswith("tag:yaml.org,2002:") or "python" in node.tag:
            self.say(trail, f"the tag {node.tag} is not read", node)
            return None
        if getattr(node, "style", None) in ("'", '"', "|", ">"):
            return self.expanded(text, trail, node)
        return plain(text) if "${" not in text and not isinstance(plain(text), str) else self.expanded(text, trail, node)

    def expanded(self, text: str, trail: Trail, node: yaml.Node) -> str:
        def replace(match: re.Match[str]) -> str:
            name, default = match[1], match[2]
            if _SECRET.search(name):
                self.say(trail, f"${{{name}}} looks like a secret: recipes are written to disk; components read secrets themselves", node)
                return ""
            value = os.environ.get(name) or default
            if value is None:
                self.say(trail, f"the environment variable {name} is not set", node, f"export {name}=… or write ${{{name}:-default}}")
                return ""
            return value

        result = _VARIABLE.sub(replace, text)
        return Located(result, Path.cwd() if text.startswith("${") else self.path.parent)

    def say(self, trail: Trail, message: str, node: yaml.Node, hint: str = "") -> None:
        self.tree.problems.append(Problem(short(trail), message, self.at(node), hint))


def plain(text: str) -> Any:
    """A bare YAML scalar as null, bool, int, float or text."""
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return text.lower() == "true"
    if len(text) > MOST_DIGITS:
        return text
    if _INTEGER.fullmatch(text):
        return int(text.replace("_", ""))
    if _FLOAT.fullmatch(text) and not re.fullmatch(r"[-+]?0[0-9]+", text):
        return float(text.replace("_", ""))
    return text


def short(trail: Sequence[str | int]) -> str:
    """`("stages", "base", "lr")` -> `base.lr`: the path as overrides write it."""
    parts = trail[1:] if len(trail) > 1 and trail[0] == "stages" else trail
    return ".".join(str(part) for part in parts)


def read_tree(path: Path, overrides: Sequence[str] = (), top_level: Sequence[str] = ()) -> Tree:
    """The recipe with its parents merged and overrides applied; syntax errors raise, the rest stands in `problems`."""
    tree = Tree({})
    tree.value = _read_file(path, tree, ())
    for override in overrides:
        _override(tree, override, top_level)
    return tree


def read_text(text: str, name: str, folder: Path) -> Tree:
    """A recipe from text, as if it were the file `folder/name`."""
    tree = Tree({})
    tree.value = _parse(text, folder / name, name, tree)
    return tree


def _parse(text: str, path: Path, name: str, tree: Tree) -> dict[str, Any]:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise ConfigError([Problem("", f"not YAML: {error.problem or error}", where)]) from None
    except yaml.YAMLError as error:
        raise ConfigError([Problem("", f"not YAML: {' '.join(str(error).split())}", name)]) from None
    except RecursionError:
        raise ConfigError([Problem("", "nested too deeply", name)]) from None
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError([Problem("", "a recipe is a mapping with `format`, `name` and `stages`", name)])
    try:
        return _Reader(path, name, tree).mapping(node, ())
    except RecursionError:
        raise ConfigError([Problem("", "an alias stands inside what it names", name)]) from None


def _read_file(path: Path, tree: Tree, above: tuple[Path, ...]) -> dict[str, Any]:
    name = _shown(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*.y*ml")], 1) if path.parent.is_dir() else []
        raise ConfigError([Problem("", "no such recipe", name, f"did you mean {path.parent / near[0]}?" if near else "")]) from None
    except IsADirectoryError:
        raise ConfigError([Problem("", "is a folder; name a recipe file in it", name)]) from None
    except (UnicodeDecodeError, OSError) as error:
        raise ConfigError([Problem("", f"can't be read: {error}", name)]) from None
    if path.resolve() in above or len(above) >= MAX_EXTENDS:
        raise ConfigError([Problem("extends", f"goes in a circle or deeper than {MAX_EXTENDS}", name)])
    own = Tree({})
    value = _parse(text, path, name, own)
    tree.problems += own.problems
    parent_name = value.pop("extends", None)
    if parent_name is None:
        tree.places.update(own.places)
        return value
    if not isinstance(parent_name, str):
        raise ConfigError([Problem("extends", "expected the path of another recipe", own.place(("extends",)))])
    parent_tree = Tree({})
    parent = _read_file(path.parent / parent_name, parent_tree, (*above, path.resolve()))
    tree.problems += parent_tree.problems
    tree.places.update({**parent_tree.places, **own.places})
    merged: dict[str, Any] = _merged(parent, value)
    return merged


def _merged(parent: Any, child: Any) -> Any:
    """Mappings merge key by key; a mapping of another `type` and everything else replaces."""
    if not isinstance(parent, dict) or not isinstance(child, dict):
        return child
    if child.get("type", parent.get("type")) != parent.get("type"):
        return child
    return {**parent, **{name: _merged(parent.get(name), value) for name, value in child.items()}}


def _override(tree: Tree, override: str, top_level: Sequence[str]) -> None:
    where = f"override {override!r}"
    name, equals, text = override.partition("=")
    if not equals or not name:
        tree.problems.append(Problem("", "an override is written path=value", where))
        return
    parts: list[str | int] = [int(part) if part.isascii() and part.isdecimal() else part for part in name.split(".")]
    if parts[0] not in top_level and parts[0] != "stages":
        parts.insert(0, "stages")
    value = _override_value(tree, text, where, tuple(parts))
    at = tree.value
    for index, part in enumerate(parts[:-1]):
        below = child(at, part)
        if isinstance(below, str):
            below = {"type": below}
        if not isinstance(below, dict | list):
            if isinstance(at, list) or (index == 1 and parts[0] == "stages"):
                known = list(at) if isinstance(at, dict) else []
                hint = nearest(str(part), [*known, *top_level])
                tree.problems.append(Problem(short(parts), f"there is no {short(parts[: index + 1])}", where, hint))
                return
            below = {}
            tree.places.setdefault(tuple(parts[: index + 1]), where)
        _set(at, part, below)
        at = below
    if isinstance(at, list) and not (isinstance(parts[-1], int) and parts[-1] < len(at)):
        tree.problems.append(Problem(short(parts), f"the list has {len(at)} items (0 to {len(at) - 1})", where))
        return
    _set(at, parts[-1], value)
    tree.places[tuple(parts)] = where


def _override_value(tree: Tree, text: str, where: str, trail: Trail) -> Any:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return Located(text, Path.cwd())
    if node is None:
        return None
    own = Tree({})
    value = _Reader(Path.cwd() / "override", where, own).convert(node, trail)
    tree.problems += own.problems
    return value


def child(at: Any, part: str | int) -> Any:
    """What stands below a mapping or list under a name or index; None where nothing does."""
    if isinstance(at, dict):
        return at.get(str(part))
    return at[part] if isinstance(at, list) and isinstance(part, int) and part < len(at) else None


def _set(at: Any, part: str | int, value: Any) -> None:
    at[part if isinstance(at, list) else str(part)] = value


def _shown(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def nearest(word: str, choices: Sequence[str]) -> str:
    """A hint for a misspelt word: `did you mean x?`, else the choices when they are few."""
    close = difflib.get_close_matches(word, choices, 1, 0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"one of: {', '.join(choices)}" if 0 < len(choices) <= 30 else ""
