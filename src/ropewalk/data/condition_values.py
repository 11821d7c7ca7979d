"""What a condition's tree is worth on columns: Arrow arrays in, a Boolean array out."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ropewalk.core.errors import DataError
from ropewalk.data.condition import ARITHMETIC, dotted
from ropewalk.data.sources.fields import value_at

if TYPE_CHECKING:
    import pyarrow as pa

_COMPARE = {ast.Eq: "equal", ast.NotEq: "not_equal", ast.Lt: "less", ast.LtE: "less_equal", ast.Gt: "greater", ast.GtE: "greater_equal"}
_NEEDLE = {"contains": "match_substring", "starts_with": "starts_with", "ends_with": "ends_with", "matches": "match_substring_regex"}
_NUMBER = r"^\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*$"


def truth(tree: ast.expr, text: str, column: Callable[[str], pa.Array]) -> pa.Array:
    """A Boolean array; null where a missing value leaves the condition unknown. DataError where types don't fit."""
    import pyarrow as pa

    found = _value(tree, column)
    if not isinstance(found, pa.Array | pa.ChunkedArray) or not (pa.types.is_boolean(found.type) or pa.types.is_null(found.type)):
        raise DataError(f"the condition {text!r} is no yes or no", remedy="compare it with something, such as length(text) > 200")
    return (found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found).cast(pa.bool_())


def meta_column(metas: Sequence[str], path: str) -> pa.Array:
    """What stands at a dotted path of each document's meta (JSON text); null where nothing does."""
    import pyarrow as pa

    found = []
    for text in metas:
        value = value_at(json.loads(text or "{}"), path)
        found.append(value if isinstance(value, str | int | float) else None)
    try:
        return pa.array(found)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        kinds = sorted({type(value).__name__ for value in found if value is not None})
        raise DataError(f"meta.{path} is {' and '.join(kinds)} in one shard, which can't be compared") from None


def _value(node: ast.expr, column: Callable[[str], pa.Array]) -> Any:
    """An Arrow array, or a Python constant."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name | ast.Attribute | ast.Subscript):
        return column(dotted(node))
    if isinstance(node, ast.Compare):
        return _compared(node, column)
    try:
        if isinstance(node, ast.BoolOp):
            parts = [_value(part, column) for part in node.values]
            whole = parts[0]
            for part in parts[1:]:
                whole = (pc.and_kleene if isinstance(node.op, ast.And) else pc.or_kleene)(whole, part)
            return whole
        if isinstance(node, ast.UnaryOp):
            inner = _value(node.operand, column)
            return pc.invert(inner) if isinstance(node.op, ast.Not) else -inner if isinstance(inner, int | float) else pc.negate(inner)
        if isinstance(node, ast.BinOp):
            left, right = (_as_float(_value(side, column)) for side in (node.left, node.right))
            return pc.call_function(ARITHMETIC[type(node.op)], [left, right])
        assert isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        return _called(node.func.id, [_value(argument, column) for argument in node.args])
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, TypeError) as error:
        raise DataError(f"{ast.unparse(node)!r} can't be computed: {str(error).splitlines()[0]}") from None


def _as_float(value: Any) -> Any:
    """Division of whole numbers must not cut, and by zero gives infinity, not an error."""
    import pyarrow as pa

    return pa.scalar(float(value)) if isinstance(value, int | float) else value.cast(pa.float64())


def _called(name: str, values: list[Any]) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    text = values[0] if not isinstance(values[0], str) else pa.array([values[0]])
    if name in _NEEDLE:
        return pc.call_function(_NEEDLE[name], [text], pc.MatchSubstringOptions(values[1]))
    if name == "words":
        trimmed = pc.utf8_trim_whitespace(text)
        parts = pc.list_value_length(pc.utf8_split_whitespace(trimmed)).cast(pa.int64())
        return pc.if_else(pc.equal(pc.binary_length(trimmed), 0), pa.scalar(0, pa.int64()), parts)  # nothing splits into one empty part
    if name == "lines":
        return pc.add(pc.count_substring(text, "\n"), 1)
    if name == "number":
        plain = pc.if_else(pc.match_substring_regex(text, _NUMBER), pc.utf8_trim_whitespace(text), None)
        return pc.cast(plain, pa.float64())
    return {"length": pc.utf8_length, "bytes": pc.binary_length, "lower": pc.utf8_lower}[name](text)


def _compared(node: ast.Compare, column: Callable[[str], pa.Array]) -> Any:
    """Each neighbouring pair, all of which must hold."""
    import pyarrow as pa
    import pyarrow.compute as pc

    sides = [node.left, *node.comparators]
    whole: Any = None
    for left, operation, right in zip(sides, node.ops, sides[1:], strict=False):
        try:
            found = _pair(left, operation, right, column)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, TypeError) as error:
            said = re.sub(r"large_|\s*\(.*", "", str(error).splitlines()[0])
            raise DataError(
                f"{ast.unparse(node)!r} can't be computed: {said}", remedy="compare texts with texts, numbers with numbers"
            ) from None
        whole = found if whole is None else pc.and_kleene(whole, found)
    return whole


def _pair(left: ast.expr, operation: ast.cmpop, right: ast.expr, column: Callable[[str], pa.Array]) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    negated = isinstance(operation, ast.NotIn | ast.IsNot)
    if isinstance(operation, ast.Is | ast.IsNot):
        found = pc.is_null(_value(left, column))
        return pc.invert(found) if negated else found
    if isinstance(operation, ast.In | ast.NotIn):
        if isinstance(right, ast.List | ast.Tuple | ast.Set):
            values = _value(left, column)
            choices = [item.value for item in right.elts if isinstance(item, ast.Constant)]
            found = pc.is_in(values, value_set=pa.array(choices).cast(values.type) if not pa.types.is_null(values.type) else pa.nulls(1))
            found = pc.if_else(pc.is_null(values), pa.scalar(None, pa.bool_()), found)
        else:
            assert isinstance(left, ast.Constant)
            found = pc.match_substring(_value(right, column), left.value)
        return pc.invert(found) if negated else found
    sides = [_value(side, column) for side in (left, right)]
    return pc.call_function(_COMPARE[type(operation)], [pa.scalar(side) if isinstance(side, str | int | float) else side for side in sides])
