"""Reads the running Python's documentation from its source files with `ast`: nothing of it is imported or run."""

from __future__ import annotations

import ast
import os
import platform
import re
import sysconfig
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Literal

from ropewalk.core.artifact import digest

MIN_CHARACTERS = 80  # shorter docstrings say little more than the name
LEFT_OUT = ("test", "tests", "idle_test", "site-packages", "dist-packages", "pydoc_data", "__pycache__")
PUBLIC = {
    "posixpath": "os.path",
    "_collections_abc": "collections.abc",
    "_pydatetime": "datetime",
    "_pydecimal": "decimal",
    "_pyio": "io",
}
"""Modules that are known under another name than their file's."""

_HEADING = re.compile(r"^(\S.*)\n([*=\-~^\"+])\2{2,}$", re.MULTILINE)

Kind = Literal["topic", "module", "class", "function", "property"]
Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Entry:
    """One documented thing; `doc` is its documentation alone, `text` that below a heading with its name and signature."""

    id: str
    kind: Kind
    signature: str
    doc: str
    inside: Literal["", "module", "class"] = ""
    """Whether it is a module's or a class's own."""

    @property
    def text(self) -> str:
        return f"{self.signature}\n\n{self.doc}" if self.signature else self.doc


def library_root() -> Path:
    """The folder of the standard library, also from within a virtual environment."""
    return Path(sysconfig.get_path("stdlib"))


def library_files(root: Path) -> list[tuple[str, Path]]:
    """(public module name, file) of each module, sorted, private ones last; tests and what is installed besides are left out."""
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name.isidentifier() and name not in LEFT_OUT]
        for name in files:
            path = Path(folder, name)
            if path.suffix == ".py" and path.stem.isidentifier():
                parts = path.relative_to(root).with_suffix("").parts
                module = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
                found.append((PUBLIC.get(module, module), path))
    return sorted(found, key=lambda item: (item[0].startswith("_"), item))


@cache
def library_fingerprint() -> dict[str, str]:
    """What tells one documentation from another without reading it: version, and names and sizes of the files."""
    root = library_root()
    sizes = [[module, path.stat().st_size] for module, path in library_files(root)]
    topics = topics_file(root)
    sizes.append(["topics", topics.stat().st_size if topics.is_file() else 0])
    return {"python": platform.python_version(), "library": digest(sizes)}


@cache
def collected_docs(limit: int | None = None) -> tuple[Entry, ...]:
    """Topics and docstrings over 80 characters, each once, or the first `limit` of them; all take 2 s of CPU the first time."""
    root = library_root()
    seen: set[str] = set()
    ids: set[str] = set()
    found: list[Entry] = []
    for entry in chain(topics(topics_file(root)), _docstrings(root)):
        if len(found) == limit:
            break
        if entry.doc not in seen and entry.id not in ids:
            seen.add(entry.doc)
            ids.add(entry.id)
            found.append(entry)
    return tuple(found)


def topics_file(root: Path) -> Path:
    """The file with the texts of `help("if")`, `help("TYPES")` and so on."""
    return root / "pydoc_data" / "topics.py"


def topics(path: Path) -> Iterator[Entry]:
    """The sections of the language reference that `help()` shows; none where the file is missing.

    Long topics hold short ones whole (`help.compound` has all of `help.while`), so the shortest come first and keep what they share.
    """
    tree = _parsed(path) if path.is_file() else None
    for node in tree.body if tree else ():
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
            texts: dict[str, str] = ast.literal_eval(node.value)
            for name, text in sorted(texts.items(), key=lambda item: (len(item[1]), item[0] not in item[1][:40], item)):
                parts = [(title, body) for title, body in _sections(text.strip()) if len(body) > MIN_CHARACTERS]
                for number, (title, body) in enumerate(parts):
                    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
                    yield Entry(f"help.{name}.{slug}" if number else f"help.{name}", "topic", title, body)


def _sections(text: str) -> Iterator[tuple[str, str]]:
    """(heading, text below it) of each section; a heading is a line that is underlined."""
    title, begun = "", 0
    for heading in _HEADING.finditer(text):
        yield title, text[begun : heading.start()].strip()
        title, begun = heading[1], heading.end()
    yield title, text[begun:].strip()


def _docstrings(root: Path) -> Iterator[Entry]:
    for module, path in library_files(root):
        tree = _parsed(path)
        if tree is not None:
            yield from documented(tree, module)


def _parsed(path: Path) -> ast.Module | None:
    """A file's syntax tree; None for one that does not parse (some are shipped broken, on purpose)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the library's own code: invalid escapes in old strings
        try:
            return ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            return None


def _doc(node: ast.Module | Definition) -> str:
    """A docstring worth a document, or nothing; half surrogate pairs, which no file can hold, become `?`."""
    doc = (ast.get_docstring(node) or "").strip()
    return doc.encode("utf-8", "replace").decode() if len(doc) > MIN_CHARACTERS else ""


def documented(tree: ast.Module, module: str) -> Iterator[Entry]:
    """A module's documented things, itself first, in the order of the file; not what is defined inside functions."""
    doc = _doc(tree)
    if doc:
        yield Entry(module, "module", f"module {module}", doc)
    for name, node, inside in _definitions(tree, module, "module"):
        doc = _doc(node)
        if doc:
            yield _entry(name, node, doc, inside)


def _definitions(
    tree: ast.AST, above: str, inside: Literal["module", "class"]
) -> Iterator[tuple[str, Definition, Literal["module", "class"]]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Definition):
            yield f"{above}.{node.name}", node, inside
            if isinstance(node, ast.ClassDef):
                yield from _definitions(node, f"{above}.{node.name}", "class")
        elif isinstance(node, ast.stmt | ast.ExceptHandler):  # below `if` and `try`
            yield from _definitions(node, above, inside)


def _entry(name: str, node: Definition, doc: str, inside: Literal["module", "class"]) -> Entry:
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(ast.unparse(base) for base in (*node.bases, *node.keywords))
        return Entry(name, "class", f"class {name}({bases})" if bases else f"class {name}", doc, inside)
    marks = {ast.unparse(mark).split("(")[0].rpartition(".")[2] for mark in node.decorator_list}
    if marks & {"property", "cached_property", "setter", "getter", "deleter"}:
        return Entry(name, "property", f"property {name}", doc, inside)
    arguments = node.args
    if inside == "class" and "staticmethod" not in marks:
        arguments = _without_first(arguments)
    prefix = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return Entry(name, "function", f"{prefix}{name}({ast.unparse(arguments)}){returns}", doc, inside)


def _without_first(arguments: ast.arguments) -> ast.arguments:
    """The parameters without `self` or `cls`, as one writes a call."""
    positional_only = arguments.posonlyargs[1:]
    positional = arguments.args if arguments.posonlyargs else arguments.args[1:]
    number = len(positional_only) + len(positional)
    defaults = arguments.defaults[-number:] if number else []
    return ast.arguments(
        positional_only, positional, arguments.vararg, arguments.kwonlyargs, arguments.kw_defaults, arguments.kwarg, defaults
    )
