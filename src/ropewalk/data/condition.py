"""A condition on documents, such as `source == "books" and length(text) > 200`: Python's syntax from a short list, read by `ast`.

`Condition.parse` refuses what is not on the list; nothing is ever executed as Python. Evaluation is Arrow's, column by column; a value
that is missing makes a comparison unknown, and an unknown condition is not true.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ropewalk.core.load import nearest

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("id", "text", "source", "license")
FAMILIES = ("meta", "score")
MOST_CHARACTERS = 4000
MOST_DEPTH = 50
FUNCTIONS = {
    "length": "characters of a text",
    "bytes": "bytes of a text in UTF-8",
    "words": "runs between white space",
    "lines": "line ends, plus one",
    "lower": "the text in lower case",
    "number": "a text as a number; what is none is missing",
    "contains": "whether the first text holds the second",
    "starts_with": "whether it begins with it",
    "ends_with": "whether it ends with it",
    "matches": "whether the regular expression (RE2) is found in it",
}
_TWO = ("contains", "starts_with", "ends_with", "matches")
ARITHMETIC = {ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide"}


@dataclass(frozen=True)
class Condition:
    """A parsed condition; `columns` are the names it asks for, such as `source`, `meta.year` or `score.gopher.min_words`."""

    text: str
    tree: ast.expr

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Raises ValueError that names what is wrong, its column and what could stand there."""
        if len(text) > MOST_CHARACTERS:
            raise ValueError(f"a condition of {len(text)} characters is too long ({MOST_CHARACTERS} at most)")
        try:
            tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            place = f" at column {error.offset}" if isinstance(error, SyntaxError) and error.offset else ""
            raise ValueError(f"can't read the condition{place}: {getattr(error, 'msg', error)}") from None
        _check(tree, 0)
        if isinstance(tree, ast.Constant) or not list(names_in(tree)):
            raise ValueError("a condition must ask for a column, such as source, text, meta.NAME or score.NAME")
        return cls(text, tree)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(names_in(self.tree)))

    def scores(self) -> list[str]:
        """The names below `score.`."""
        return [name.partition(".")[2] for name in self.columns if name.startswith("score.")]

    def evaluate(self, column: Callable[[str], pa.Array]) -> pa.Array:
        """A Boolean array; null where a missing value leaves the condition unknown. DataError where types don't fit."""
        from ropewalk.data.condition_values import truth

        return truth(self.tree, self.text, column)


def _at(node: ast.AST) -> str:
    return f"column {getattr(node, 'col_offset', 0) + 1}"


def _check(node: ast.AST, depth: int) -> None:
    """Refuse whatever is not on the list."""
    if depth > MOST_DEPTH:
        raise ValueError(f"the condition is nested more than {MOST_DEPTH} deep")
    if isinstance(node, ast.Name | ast.Attribute | ast.Subscript):
        _check_name(node)
        return
    if isinstance(node, ast.Call):
        _check_call(node)
    elif isinstance(node, ast.Constant):
        if node.value is not None and not isinstance(node.value, str | int | float):
            raise ValueError(f"{node.value!r} at {_at(node)} can't be compared with a column")
    elif isinstance(node, ast.List | ast.Tuple | ast.Set):
        if not node.elts or not all(isinstance(item, ast.Constant) for item in node.elts):
            raise ValueError(f"the list at {_at(node)} may hold plain texts and numbers, and needs one")
    elif isinstance(node, ast.Compare):
        _check_compare(node)
    elif isinstance(node, ast.BinOp):
        if type(node.op) not in ARITHMETIC:
            raise ValueError(f"{type(node.op).__name__} at {_at(node)} is not known; arithmetic is + - * /")
    elif isinstance(node, ast.UnaryOp):
        if not isinstance(node.op, ast.Not | ast.USub):
            raise ValueError(f"{type(node.op).__name__} at {_at(node)} is not known; use not or -")
    elif not isinstance(node, ast.BoolOp):
        raise ValueError(f"{ast.unparse(node)!r} at {_at(node)} is not allowed: use columns, constants, comparisons, and, or, not, + - * /")
    for child in _parts(node):
        _check(child, depth + 1)


def _parts(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.Call):
        return node.args
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return []
    return [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]


def _check_name(node: ast.expr) -> None:
    name = dotted(node)
    head, dot, rest = name.partition(".")
    if not (name in COLUMNS or (head in FAMILIES and rest)):
        choices = [*COLUMNS, *(f"{family}.NAME" for family in FAMILIES)]
        whole = f"{head}.NAME" if head in FAMILIES and not dot else name
        hint = f"write {whole}" if head in FAMILIES else nearest(name, choices)
        raise ValueError(f"there is no column {name!r} at {_at(node)} ({hint})")


def _check_call(node: ast.Call) -> None:
    name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
    if name not in FUNCTIONS:
        hint = "did you mean 'length'?" if name == "len" else nearest(name, list(FUNCTIONS))
        raise ValueError(f"there is no function {name!r} at {_at(node)} ({hint})")
    wanted = 2 if name in _TWO else 1
    if len(node.args) != wanted or node.keywords:
        raise ValueError(f"{name} at {_at(node)} takes {wanted} {'value' if wanted == 1 else 'values'}")
    if name in _TWO and not _is_text(node.args[1]):
        raise ValueError(f"{name} at {_at(node)}: the second value must be a text in quotes")
    if name == "matches":
        _check_pattern(node.args[1])


def _check_pattern(node: ast.expr) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    assert isinstance(node, ast.Constant)
    try:
        pc.match_substring_regex(pa.array([""]), node.value)
    except pa.ArrowInvalid as error:
        raise ValueError(f"the pattern at {_at(node)}: {str(error).partition(': ')[2] or error}") from None


def _check_compare(node: ast.Compare) -> None:
    for place, operation in enumerate(node.ops):
        left, right = [node.left, *node.comparators][place : place + 2]
        if isinstance(operation, ast.In | ast.NotIn):
            if not (isinstance(right, ast.List | ast.Tuple | ast.Set) or _is_text(left)):
                raise ValueError(f'`in` at {_at(right)} needs a list such as ["a", "b"], or a text in quotes on its left')
        elif isinstance(operation, ast.Is | ast.IsNot):
            if not (isinstance(right, ast.Constant) and right.value is None):
                raise ValueError(f"`is` at {_at(right)} is for None only; use ==")
        elif isinstance(right, ast.List | ast.Tuple | ast.Set) or isinstance(left, ast.List | ast.Tuple | ast.Set):
            raise ValueError(f"a list at {_at(right)} goes with `in`")
        elif any(isinstance(side, ast.Constant) and side.value is None for side in (left, right)):
            raise ValueError(f"None at {_at(right)} goes with `is`: a missing value equals nothing")


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def dotted(node: ast.expr) -> str:
    """`score.gopher.min_words`, also of `score["gopher.min_words"]`."""
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
        return f"{dotted(node.value)}.{node.slice.value}"
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    if isinstance(node, ast.Name):
        return node.id
    raise ValueError(f"{ast.unparse(node)!r} at {_at(node)} is no column")


def names_in(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name | ast.Attribute | ast.Subscript):
        yield dotted(node)
    else:
        for child in _parts(node):
            yield from names_in(child)
