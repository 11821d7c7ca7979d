"""The house's rules as functions over a source tree; each returns faults as `file:line: what is wrong`, nothing when all is well.

`root` is the folder of a package, for us `src/ropewalk`; the tests also build small wrong trees to see each rule bite.
"""

from __future__ import annotations

import ast
import graphlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# The top floor first. Imports go down only, and two parts of one floor don't know each other.
FLOORS = (
    ("cli",),
    ("app", "report"),
    ("pipeline",),
    ("evaluate",),
    ("train",),
    ("tasks",),
    ("data", "models", "optim"),
    ("hardware",),
    ("core",),
)
CONSTRUCTS = "pipeline"
MOST_LINES = 300
REPEATED_LINES = 6
VAGUE = ("base", "common", "helper", "helpers", "manager", "misc", "util", "utils", "v2")


@dataclass(frozen=True)
class Import:
    """One module of the tree that another one imports; `late` when it is in a function or for the type checker only."""

    target: str
    line: int
    late: bool


@dataclass(frozen=True)
class Module:
    """A file of the tree, parsed."""

    name: str
    path: Path
    tree: ast.Module
    lines: int


def modules(root: Path) -> dict[str, Module]:
    """Every module below a package's folder, by dotted name."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text(encoding="utf-8")
        found[name] = Module(name, path, ast.parse(text, str(path)), text.count("\n"))
    return found


def imports(module: Module, known: Mapping[str, Module]) -> Iterator[Import]:
    """What a module imports from its own tree: absolute, relative, `from package import module`, `import_module("...")`."""
    top = module.name.split(".")[0]
    package = module.name if module.path.name == "__init__.py" else module.name.rpartition(".")[0]

    def visit(node: ast.AST, late: bool) -> Iterator[Import]:
        targets: list[str] = []
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: package.count(".") + 2 - node.level] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            # A name that is no module and comes from the package itself is written package:name.
            targets = [f"{source}.{a.name}" if f"{source}.{a.name}" in known else f"{source}:{a.name}" for a in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
            first = node.args[0]
            targets = [first.value] if isinstance(first, ast.Constant) and isinstance(first.value, str) else []
        for target in targets:
            if target.split(":")[0].split(".")[0] == top:
                yield Import(target if target.startswith(f"{top}:") else target.split(":")[0], getattr(node, "lineno", 0), late)
        inside = late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from (found for child in node.body for found in visit(child, True))
            yield from (found for child in node.orelse for found in visit(child, inside))
            return
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)

    return visit(module.tree, False)


def part(name: str) -> str:
    """`data` of `ropewalk.data.sources.text`; empty for the package itself."""
    return name.split(".")[1] if "." in name else ""


def floor_faults(root: Path) -> list[str]:
    """Imports that go up or sideways, late ones and those for the type checker included."""
    known = modules(root)
    height = {name: len(FLOORS) - index for index, floor in enumerate(FLOORS) for name in floor}
    faults = []
    for module in known.values():
        own = part(module.name)
        if not own:  # the package's front door names everything, and imports it when asked
            continue
        if own not in height:
            faults.append(f"{module.path}:1: {own} stands on no floor")
            continue
        for found in imports(module, known):
            other = part(found.target)
            if not other:
                public = found.target.partition(":")[2]
                if not public.startswith("__") and height[own] < height["cli"]:
                    faults.append(f"{module.path}:{found.line}: imports {public or found.target} through the front door")
            elif other != own and height.get(other, len(FLOORS)) >= height[own]:
                way = "sideways" if height.get(other) == height[own] else "up"
                faults.append(f"{module.path}:{found.line}: {own} imports {way}: {found.target}")
    return faults


def cycle_faults(root: Path) -> list[str]:
    """A ring of modules that import each other while they load, if there is one."""
    known = modules(root)
    graph = {name: {i.target for i in imports(module, known) if not i.late and i.target != name} for name, module in known.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return [f"{known[error.args[1][0]].path}:1: a ring of imports: {' <- '.join(error.args[1])}"]
    return []


def construction_faults(root: Path) -> list[str]:
    """Calls of `build` outside the pipeline, which constructs and hands down; a whole may build its parts in its own `build`."""

    def visit(node: ast.AST) -> Iterator[int]:
        if isinstance(node, ast.FunctionDef) and node.name == "build":
            return
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "build":
            yield node.lineno
        for child in ast.iter_child_nodes(node):
            yield from visit(child)

    below = [module for module in modules(root).values() if part(module.name) != CONSTRUCTS]
    return [f"{module.path}:{line}: builds; only {CONSTRUCTS} constructs" for module in below for line in visit(module.tree)]


def size_faults(root: Path, long: Mapping[str, str]) -> list[str]:
    """Files over 300 lines without a reason, and reasons that are needed no more; `long` is path below root -> reason."""
    lines = {module.path.relative_to(root).as_posix(): module.lines for module in modules(root).values()}
    faults = [f"{root / name}:1: {n} lines, more than {MOST_LINES}" for name, n in lines.items() if n > MOST_LINES and not long.get(name)]
    return faults + [f"{root / name}:1: is not over {MOST_LINES} lines" for name in long if lines.get(name, 0) <= MOST_LINES]


def name_faults(root: Path) -> list[str]:
    """Files and folders whose name says nothing."""
    return [f"{module.path}:1: a vague name" for name, module in modules(root).items() if name.rpartition(".")[2] in VAGUE]


def docstring_faults(root: Path) -> list[str]:
    """Modules with code that don't begin with a sentence on what they are."""
    return [f"{m.path}:1: no docstring" for m in modules(root).values() if m.tree.body and not ast.get_docstring(m.tree)]


class _LocalNames(ast.NodeTransformer):
    """Calls a function's own variables v0, v1, … in the order they turn up, so that a copy with other names is still one."""

    def __init__(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        own = (node.arg if isinstance(node, ast.arg) else node.id for node in ast.walk(function) if _is_local(node))
        self.names = {name: f"v{index}" for index, name in enumerate(dict.fromkeys(own))}

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self.names.get(node.id, node.id), node.ctx)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(self.names[node.arg])


def _is_local(node: ast.AST) -> bool:
    return isinstance(node, ast.arg) or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))


def normal_body(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """A function's body without docstring, comments, layout and the choice of its variables' names."""
    names = _LocalNames(function)
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    copy = ast.parse(ast.unparse(ast.Module(body, []))) if body else ast.Module([], [])
    return ast.unparse(names.visit(copy))


def repeat_faults(root: Path) -> list[str]:
    """Function bodies of six lines or more that stand in two places."""
    places: dict[str, list[str]] = defaultdict(list)
    for module in modules(root).values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = normal_body(node)
                if body.count("\n") + 1 >= REPEATED_LINES:
                    places[body].append(f"{module.path}:{node.lineno}: {node.name}")
    return [f"{where[0]} has the body of {', '.join(where[1:])}" for where in places.values() if len(where) > 1]
