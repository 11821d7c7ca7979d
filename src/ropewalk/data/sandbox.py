"""Foreign chat templates: Jinja without a way out, within a second of computing and a mebibyte of text.

What transformers offers to templates is offered here too, but for the date: a rendering depends on the conversation alone.
"""

from __future__ import annotations

import functools
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jinja2 import TemplateError, meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from ropewalk.core.errors import DataError

MOST_SECONDS = 1.0
MOST_CHARACTERS = 1 << 20
_FILTERS = (
    "abs capitalize count d default dictsort first float groupby indent int items last length list lower map max min reject rejectattr"
    " reverse round safe select selectattr sort string title trim unique upper"
)
_METHODS = (
    "capitalize count endswith find index isalnum isalpha isdigit isspace join lower lstrip partition removeprefix removesuffix replace"
    " rfind rpartition rsplit rstrip split splitlines startswith strip title upper"
)
FILTERS = frozenset(_FILTERS.split())
TEXT_METHODS = frozenset(_METHODS.split())
WIDE = re.compile(r"[0-9]{4}|\*")


class Refusal(Exception):
    """The template itself says that it can't write this conversation (`raise_exception`)."""


class Marks(Extension):
    """`{% generation %}…{% endgeneration %}` around what the model says, `{% other %}…{% endother %}` around other turns' texts."""

    tags = {"generation", "other"}

    def parse(self, parser: Any) -> nodes.Node:
        tag = next(parser.stream)
        body = parser.parse_statements((f"name:end{tag.value}",), drop_needle=True)
        call = self.call_method("mark", [nodes.Const(tag.value)])
        return nodes.CallBlock(call, [], [], body).set_lineno(tag.lineno)

    def mark(self, tag: str, caller: Callable[[], str]) -> str:
        opening, closing = self.environment.marks.get(tag, ("", ""))  # type: ignore[attr-defined]
        return f"{opening}{caller()}{closing}"


class _Watched(NodeTransformer):
    """Puts a look at the clock into every loop, and at the size where values grow."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_call("tick", []), lineno=node.lineno))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _call("joined", [nodes.List(node.nodes)])

    def visit_List(self, node: nodes.List) -> nodes.Node:
        self.generic_visit(node)
        return _call("sized", [node])

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:
        self.generic_visit(node)
        return _call("sized", [node])

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
        self.generic_visit(node)
        return _call("sized", [node]) if node.ctx == "load" else node


def _call(name: str, arguments: list[Any]) -> nodes.Call:
    return nodes.Call(nodes.EnvironmentAttribute(name), arguments, [], None, None)


class Sandbox(ImmutableSandboxedEnvironment):
    """Compiles a template and renders it; what breaks out, takes too long or grows too large is refused with a DataError."""

    intercepted_binops = frozenset(("+", "*", "**", "%"))

    def __init__(self) -> None:
        extensions = [Marks, "jinja2.ext.loopcontrols"]
        super().__init__(trim_blocks=True, lstrip_blocks=True, optimized=False, extensions=extensions, finalize=self.written)
        self.marks: Mapping[str, tuple[str, str]] = {}
        self.deadline = 0.0
        self.globals = {name: self.globals[name] for name in ("range", "dict", "namespace")} | {"raise_exception": _refuse}
        known = {name: self._bounded(self.filters[name]) for name in FILTERS}
        self.filters = {**known, "tojson": self._to_json, "join": self._join, "replace": self._replace}

    def prepare(self, source: str) -> tuple[Any, frozenset[str]]:
        """(compiled template, the variables it looks at)."""
        if len(source) > MOST_CHARACTERS:
            raise DataError(f"the chat template has {len(source):,} characters; {MOST_CHARACTERS:,} are allowed")
        try:
            return self.from_string(source), frozenset(meta.find_undeclared_variables(self.parse(source)))
        except (TemplateError, RecursionError, SyntaxError, MemoryError) as error:
            raise _refused(error) from None

    def write(self, template: Any, variables: Mapping[str, Any]) -> str:
        """The rendering; raises Refusal where the template refuses the conversation."""
        self.deadline = time.thread_time() + MOST_SECONDS
        pieces, size = [], 0
        try:
            for piece in template.generate(**variables):
                size += len(piece)
                if size > MOST_CHARACTERS:
                    raise SecurityError(f"writes more than {MOST_CHARACTERS:,} characters")
                pieces.append(piece)
        except Refusal:
            raise
        except Exception as error:  # a template can raise anything
            raise _refused(error) from None
        return "".join(pieces)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        return _Watched().visit(super()._parse(source, name, filename))  # type: ignore[no-any-return]

    def tick(self) -> str:
        if time.thread_time() > self.deadline:
            raise SecurityError(f"takes longer than {MOST_SECONDS:g} s")
        return ""

    def sized(self, value: Any) -> Any:
        """The value, when it is not too large; shared parts count each time, as they do when they are written."""
        if type(value) is str and len(value) <= MOST_CHARACTERS:
            return value
        left, waiting = MOST_CHARACTERS, [value]
        while waiting:
            part = waiting.pop()
            left -= len(part) if isinstance(part, str | bytes) else 1
            if isinstance(part, dict):
                waiting += [*part.keys(), *part.values()]
            elif isinstance(part, list | tuple | set | frozenset):
                waiting += part
            if left < 0 or len(waiting) > MOST_CHARACTERS:
                raise SecurityError(f"makes a value of more than {MOST_CHARACTERS:,} characters")
        return value

    def written(self, value: Any) -> Any:
        return value if isinstance(value, str) else str(self.sized(value))

    def joined(self, parts: list[Any]) -> str:
        return "".join(str(part) for part in self.sized(parts))

    def call(self, context: Any, obj: Any, /, *args: Any, **named: Any) -> Any:
        """Every call of a template goes through here."""
        self.tick()
        owner, name = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
        if isinstance(owner, str) and name == "replace":
            return self._replace(owner, *args, **named)
        if isinstance(owner, str) and name == "join":
            return self._join(args[0], owner)
        result = super().call(context, obj, *args, **named)
        return result if owner is self else self.sized(result)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        sequences = [side for side in (left, right) if isinstance(side, str | list | tuple)]
        numbers = [side for side in (left, right) if isinstance(side, int)]
        if operator == "*" and sequences and numbers and len(sequences[0]) * max(numbers[0], 0) > MOST_CHARACTERS:
            raise SecurityError("repeats a text too often")
        if operator in ("*", "**") and len(numbers) == 2 and (abs(left) > 1 << 64 or abs(right) > (64 if operator == "**" else 1 << 64)):
            raise SecurityError("computes a number that is too large")
        if operator == "%" and isinstance(left, str) and WIDE.search(left):
            raise SecurityError("pads a text too far")
        if sequences:
            self.sized([left, right])
        return self.sized(super().call_binop(context, operator, left, right))

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        return super().is_safe_attribute(obj, attr, value) and (not isinstance(obj, str) or attr in TEXT_METHODS)

    def wrap_str_format(self, value: Any) -> None:
        """`format` can reach attributes and pad without end, so it is no safe attribute."""

    def _bounded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)  # also carries over what Jinja passes to it
        def bounded(*args: Any, **named: Any) -> Any:
            self.tick()
            for given in (*args, *named.values()):
                self.sized(given)
                if isinstance(given, int) and abs(given) > MOST_CHARACTERS:
                    raise SecurityError(f"uses the number {given}")
            return self.sized(function(*args, **named))

        return bounded

    def _to_json(
        self, value: Any, ensure_ascii: bool = False, indent: int | None = None, separators: Any = None, sort_keys: bool = False
    ) -> str:
        if indent is not None and indent > 16:
            raise SecurityError("indents too far")
        return json.dumps(self.sized(value), ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def _join(self, value: Any, d: str = "", attribute: str | None = None) -> str:
        items = [self.getitem(item, attribute) if attribute else item for item in self._counted(value)]
        self.sized([items, " " * min(len(d) * len(items), MOST_CHARACTERS + 1)])
        return d.join(str(item) for item in items)

    def _counted(self, value: Any) -> Iterator[Any]:
        for item in value:
            self.tick()
            yield item

    def _replace(self, text: Any, old: str, new: str, count: int = -1) -> str:
        text = self.written(text)
        if len(text) + (text.count(old) + 1) * len(new) > MOST_CHARACTERS:
            raise SecurityError("replaces by too much text")
        return str(text).replace(old, new, -1 if count is None else count)


def _refuse(message: str) -> None:
    raise Refusal(str(message)[:300])


def _refused(error: BaseException) -> DataError:
    what = str(error) or type(error).__name__
    return DataError(f"the chat template was refused: {what[:300]}", remedy="name a template of ropewalk's: `ropewalk explain render`")
