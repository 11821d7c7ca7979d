"""The recipe: a name, a seed and stages whose references are the graph; checked whole before a file is touched."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ropewalk.core import component as components
from ropewalk.core.artifact import Artifact
from ropewalk.core.component import as_tree, lookup, references, with_default_type
from ropewalk.core.errors import ConfigError, DataError, Problem
from ropewalk.core.load import Tree, nearest, read_text, read_tree
from ropewalk.core.location import Located
from ropewalk.core.plugins import load_plugin
from ropewalk.core.problems import problems_of
from ropewalk.core.reference import Ref
from ropewalk.core.store import open_reference
from ropewalk.pipeline.executors.executor import Executor
from ropewalk.pipeline.stage import Stage

if TYPE_CHECKING:
    from ropewalk.pipeline.plan import Plan
    from ropewalk.pipeline.runner import Run

TOP_LEVEL = ("name", "seed", "format", "plugins", "stages", "store", "executor", "runs")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class Recipe(BaseModel):
    """What to make and from what; the same object whether it came from YAML or Python."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, arbitrary_types_allowed=True)

    format: Literal[1] = 1
    """The recipe format; a newer release upgrades older ones."""
    name: str = "run"
    """Names the run's folder."""
    seed: int = Field(default=0, ge=0)
    """All random draws derive from it."""
    plugins: list[Path] = []
    """Python files or folders with components of your own."""
    store: Path | None = None
    """Where artifacts stand; default `$ROPEWALK_STORE` or `.ropewalk/store`."""
    runs: Path | None = None
    """Where runs stand; default `$CHECKPOINT_DIR` or `runs`."""
    executor: Executor = Field(default="local", validate_default=True)
    """Where data stages run."""
    stages: dict[str, Stage] = {}
    """The stages by name."""

    def order(self) -> list[str]:
        """Stage names so that each comes after what it refers to; assumes that `problems` found none."""
        done: list[str] = []

        def visit(name: str) -> None:
            if name not in done:
                for ref in references(self.stages[name]).values():
                    if not ref.scheme:
                        visit(ref.target)
                done.append(name)

        for name in self.stages:
            visit(name)
        return done

    def behind(self, name: str) -> set[str]:
        """The stages that `name` needs, directly or not, and itself."""
        found = {name}
        for ref in references(self.stages[name]).values():
            if not ref.scheme:
                found |= self.behind(ref.target)
        return found

    def problems(self, tree: Tree | None = None) -> list[Problem]:
        """Everything wrong with names, references and across stages; `tree` gives places."""
        tree = tree or Tree({})
        found: list[Problem] = []

        def say(path: str, message: str, hint: str = "") -> None:
            head = path.split(".")[0]
            trail = tuple(int(part) if part.isdigit() else part for part in path.split("."))
            found.append(Problem(path, message, tree.place(("stages", *trail) if head in self.stages else trail), hint))

        if not _NAME.fullmatch(self.name):
            say("name", f"{self.name!r} can't name a folder", "use letters, digits, - _ and .")
        if not self.stages:
            say("stages", "a recipe needs at least one stage")
        sound: dict[str, dict[str, Stage | Artifact]] = {}
        for name, stage in self.stages.items():
            if name in TOP_LEVEL or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", name):
                say(name, "can't name a stage", "letters, digits, - and _; not " + ", ".join(TOP_LEVEL))
            upstream: dict[str, Stage | Artifact] = {}
            for path, ref in references(stage).items():
                self._check(name, path, ref, upstream, say)
            sound[name] = upstream
        for name in self._circle():
            say(name, "refers to itself, directly or through others")
        if not found:
            for name, stage in self.settled().stages.items():
                for path, message in stage.problems(sound[name]):
                    say(f"{name}.{path}" if path else name, message)
        return found

    def settled(self) -> Recipe:
        """The recipe with every stage's `settled`: what is planned, keyed and kept as resolved."""
        return self.model_copy(update={"stages": {name: stage.settled(self.stages) for name, stage in self.stages.items()}})

    def _check(self, name: str, path: str, ref: Ref[Any], upstream: dict[str, Stage | Artifact], say: Any) -> None:
        fitting = [other for other, made in self.stages.items() if other != name and issubclass(made.makes, ref.kinds)]
        if ref.scheme:
            try:
                upstream[path] = open_reference(ref)
            except DataError as error:
                say(f"{name}.{path}", str(error))
        elif ref.target not in self.stages:
            hint = nearest(ref.target, fitting) or nearest(ref.target, list(self.stages))
            say(f"{name}.{path}", f"there is no stage {ref.target!r}", hint)
        elif not issubclass(self.stages[ref.target].makes, ref.kinds):
            makers = sorted(tag for tag, stage in lookup(Stage).items() if issubclass(stage, Stage) and issubclass(stage.makes, ref.kinds))
            hint = f"one of: {', '.join(fitting)}" if fitting else f"a stage of type {' or '.join(makers)} makes it" if makers else ""
            made = _article(self.stages[ref.target].makes.__name__)
            say(f"{name}.{path}", f"needs {ref.wants()}, but {ref.target!r} makes {made}", hint)
        else:
            upstream[path] = self.stages[ref.target]

    def _circle(self) -> list[str]:
        edges = {name: {ref.target for ref in references(stage).values()} & set(self.stages) for name, stage in self.stages.items()}
        while free := [name for name, targets in edges.items() if not targets & set(edges)]:
            for name in free:
                del edges[name]
        return list(edges)

    def tree(self) -> dict[str, Any]:
        """The recipe with every default written out, as YAML would say it."""
        own = {name: as_tree(getattr(self, name)) for name in ("format", "name", "seed", "plugins", "store", "runs", "executor")}
        return {**own, "stages": {name: as_tree(stage) for name, stage in self.stages.items()}}

    def run(self, *stages: str, **options: Any) -> Run:
        """Make the named stages (all by default) and what they need; see `runner.run_recipe` for options."""
        from ropewalk.pipeline.runner import run_recipe

        return run_recipe(self, stages, **options)

    def plan(self, *stages: str) -> Plan:
        """What `run` would do, without doing it."""
        from ropewalk.pipeline.plan import make_plan

        return make_plan(self, stages)


def _article(word: str) -> str:
    return f"{'an' if word[:1] in 'AEIOU' else 'a'} {word}"


def load(path: str | Path, overrides: Sequence[str] = (), *, plugins: bool = True) -> Recipe:
    """Read a recipe file; raises ConfigError with every problem found. `plugins=False` refuses foreign code."""
    return from_tree(read_tree(Path(path), overrides, TOP_LEVEL), plugins=plugins)


def loads(text: str, name: str = "recipe.yaml", folder: Path | None = None) -> Recipe:
    """A recipe from YAML text; relative paths are below `folder` (default: the working folder)."""
    return from_tree(read_text(text, name, folder or Path.cwd()))


def from_tree(tree: Tree, *, plugins: bool = True) -> Recipe:
    """Validate a whole tree: syntax problems, every stage's fields, then references, all in one error."""
    problems = list(tree.problems)
    value: Mapping[str, Any] = tree.value
    components.entry_points_allowed = plugins
    _import_plugins(value.get("plugins"), tree, problems, plugins)
    stages: dict[str, Stage] = {}
    raw = value.get("stages")
    if raw is not None and not isinstance(raw, dict):
        problems.append(Problem("stages", "expected a mapping of stage names", tree.place(("stages",))))
    for name, node in raw.items() if isinstance(raw, dict) else ():
        try:
            stages[name] = Stage.model_validate(node)
        except ValidationError as error:
            problems += problems_of(error, tree, ("stages", name))
    own = {name: _resolved(item, name) for name, item in value.items() if name != "stages"}
    if "executor" in own:
        own["executor"] = with_default_type(own["executor"], Recipe.model_fields["executor"])
    unknown = [name for name in own if name not in TOP_LEVEL]
    for name in unknown:
        problems.append(Problem(name, "unknown key", tree.place((name,)), nearest(name, TOP_LEVEL)))
    try:
        recipe = Recipe(**{name: item for name, item in own.items() if name not in unknown})
    except ValidationError as error:
        raise ConfigError(_sorted(problems + problems_of(error, tree))) from None
    whole = recipe.model_copy(update={"stages": stages})
    if len(stages) == len(raw if isinstance(raw, dict) else ()):
        problems += whole.problems(tree)
    if problems:
        raise ConfigError(_sorted(problems))
    return whole


def _sorted(problems: list[Problem]) -> list[Problem]:
    """In the order of the file, each once."""

    def place(problem: Problem) -> tuple[str, tuple[int, ...], str]:
        file, _, rest = problem.where.partition(":")
        return file, tuple(int(part) for part in rest.split(":") if part.isdigit()), problem.path

    return sorted(set(problems), key=place)


def _resolved(item: Any, name: str) -> Any:
    if name in ("store", "runs") and isinstance(item, Located):
        return item.resolved()
    if name == "plugins" and isinstance(item, list):
        return [entry.resolved() if isinstance(entry, Located) else entry for entry in item]
    return item


def _import_plugins(paths: Any, tree: Tree, problems: list[Problem], allowed: bool) -> None:
    for index, entry in enumerate(paths if isinstance(paths, list) else ()):
        where = tree.place(("plugins", index))
        if not allowed:
            problems.append(Problem(f"plugins.{index}", "plugins are refused by --no-plugins", where))
        elif isinstance(entry, Located):
            path, base = Path(entry.resolved()), entry.base
            if not path.resolve().is_relative_to(base.resolve()):
                problems.append(Problem(f"plugins.{index}", f"{path} is outside the recipe's folder", where, "plugins are files in it"))
                continue
            try:
                load_plugin(path)
            except ConfigError as error:
                problems += [Problem(f"plugins.{index}", found.message, where) for found in error.problems]


def schema() -> dict[str, Any]:
    """The JSON schema of recipes with every component that is installed: for editors."""
    from pydantic.json_schema import models_json_schema

    from ropewalk.core.component import FAMILIES

    lookup(Stage)
    for family in list(FAMILIES.values()):
        lookup(family)
    members = [member for family in FAMILIES.values() for member in family.members.values()]
    names, definitions = models_json_schema([(member, "validation") for member in members] + [(Recipe, "validation")])
    result = definitions["$defs"]
    for name, family in FAMILIES.items():
        references = [names[(member, "validation")] for _, member in sorted(family.members.items())]
        result[f"family.{name}"] = {"anyOf": [{"enum": sorted(family.members)}, *references]}
    top = result.pop("Recipe")
    top["properties"]["extends"] = {"type": "string", "description": "another recipe that this one changes"}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **top, "title": "ropewalk recipe", "$defs": result}
