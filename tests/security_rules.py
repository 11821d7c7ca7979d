"""Calls that open doors, found in the syntax tree whatever name they were imported under; faults as `file:line: what is called`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PICKLERS = ("pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "pandas")
FORBIDDEN = {
    *(f"{module}.{verb}" for module in PICKLERS for verb in ("load", "loads", "dump", "open", "Unpickler", "Pickler", "read_pickle")),
    "torch.load",
    "torch.save",
    "torch.jit.load",
    "torch.hub.load",
    *(f"yaml.{verb}" for verb in ("load", "load_all", "full_load", "full_load_all", "unsafe_load", "unsafe_load_all")),
    *(f"os.{verb}" for verb in ("system", "popen")),
    *(f"subprocess.{verb}" for verb in ("getoutput", "getstatusoutput")),
    *(f"{place}{verb}" for place in ("", "builtins.") for verb in ("eval", "exec")),
    "shutil.unpack_archive",
    "ssl._create_unverified_context",
}
METHODS = ("extractall",)
# Keyword -> the literal that opens the door. Of the first three a variable may open it too, so only the other literal passes.
KEYWORDS = {"shell": True, "allow_pickle": True, "trust_remote_code": True, "verify": False, "weights_only": False}
LITERAL_ONLY = ("shell", "allow_pickle", "trust_remote_code")


def door_faults(folder: Path, allowed: dict[tuple[str, str], str] | None = None) -> list[str]:
    """Every forbidden call below a folder; `allowed` is (path below it, call) -> reason, and an unused one is a fault too."""
    allowed = allowed or {}
    faults, used = [], set()
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder).as_posix()
        for line, call in doors(ast.parse(path.read_text(encoding="utf-8"), str(path))):
            if allowed.get((name, call)):
                used.add((name, call))
            else:
                faults.append(f"{path}:{line}: {call}")
    return faults + [f"{folder / name}:1: no longer calls {call}" for name, call in allowed if (name, call) not in used]


def doors(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, call) of each forbidden call, keyword or method in a module."""
    names = _imported(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = _dotted(node.func, names)
            if called in FORBIDDEN:
                yield node.lineno, called
            if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
                yield node.lineno, node.func.attr
            for keyword in node.keywords:
                if keyword.arg in KEYWORDS and _opens(keyword.arg, keyword.value):
                    yield node.lineno, f"{keyword.arg}={ast.unparse(keyword.value)}"
        elif isinstance(node, ast.Dict):  # options on their way to a call: {"trust_remote_code": True}
            for key, value in zip(node.keys, node.values, strict=True):
                word = key.value if isinstance(key, ast.Constant) else None
                if word in KEYWORDS and _is(value, KEYWORDS[word]):
                    yield node.lineno, f"{word}={ast.unparse(value)}"
        elif isinstance(node, ast.Name | ast.Attribute) and not isinstance(node.ctx, ast.Store):
            mentioned = _dotted(node, names)  # handed on instead of called: map(eval, lines)
            if mentioned in FORBIDDEN and not _is_called(tree, node):
                yield node.lineno, mentioned


def _opens(keyword: str, value: ast.expr) -> bool:
    if keyword in LITERAL_ONLY:
        return not _is(value, not KEYWORDS[keyword])
    return _is(value, KEYWORDS[keyword])


def _is(node: ast.expr, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _is_called(tree: ast.Module, node: ast.AST) -> bool:
    return any(isinstance(other, ast.Call) and other.func is node for other in ast.walk(tree))


def _imported(tree: ast.Module) -> dict[str, str]:
    """Local name -> what it stands for, for every import anywhere in a module."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {
                alias.asname or alias.name.split(".")[0]: alias.name if alias.asname else alias.name.split(".")[0] for alias in node.names
            }
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _dotted(node: ast.expr, names: dict[str, str]) -> str:
    """`pickle.loads` for `loads`, `p.loads` or `pickle.loads`, as the module's imports have it; empty when it is no name."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value, names)
        return f"{before}.{node.attr}" if before else ""
    return ""
