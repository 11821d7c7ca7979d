"""Components: everything a recipe can name is a frozen pydantic class in a family, chosen by `type:`.

`class Optimizer(Component, family="optimizer", folders=("ropewalk.optim",))` opens a family;
`class Muon(Optimizer, type="muon")` joins it. Where a field is annotated with a family, YAML gives
`muon` or `{type: muon, lr: 0.02}`. This file is all the metaprogramming there is.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import InitErrorDetails, PydanticCustomError

from ropewalk.core.location import Located
from ropewalk.core.reference import Ref

_REGISTERS = re.compile(r"^class [^\n]*\n?[^\n]*\btype=\"", re.MULTILINE)
ENTRY_POINTS = "ropewalk.plugins"
entry_points_allowed = True


class _Marker:
    """A note on a field, given as `Annotated[int, RUNTIME]`."""

    def __init__(self, name: str) -> None:
        self.name = name


RUNTIME = _Marker("runtime")  # changes how a result is made, never the result: not in the key
SAFE = _Marker("safe")  # in the key, but unfinished work goes on when it changes (a longer budget)


class Component(BaseModel):
    """A config that is also the thing it configures."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        arbitrary_types_allowed=True,
        protected_namespaces=(),
    )

    family: ClassVar[str] = ""
    folders: ClassVar[tuple[str, ...]] = ()
    tag: ClassVar[str] = ""
    version: ClassVar[int | None] = None
    """Pins the identity of this component's code: bump it when results change."""
    members: ClassVar[dict[str, type[Component]]] = {}

    def __init_subclass__(cls, *, family: str = "", folders: tuple[str, ...] = (), type: str = "") -> None:  # noqa: A002
        super().__init_subclass__()

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        family, type = kwargs.get("family", ""), kwargs.get("type", "")  # noqa: A001
        if family:
            cls.family, cls.folders, cls.tag, cls.members = family, kwargs.get("folders", ()), "", {}
            FAMILIES[family] = cls
        if type:
            taken = cls.members.get(type)
            if taken is not None and (taken.__module__, taken.__qualname__) != (cls.__module__, cls.__qualname__):
                raise TypeError(f"{cls.family} type {type!r} is taken by {taken.__module__}.{taken.__qualname__}")
            cls.tag = type
            cls.members[type] = cls

    @model_validator(mode="wrap")
    @classmethod
    def _choose(cls, data: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        if isinstance(data, cls):
            return data
        if isinstance(data, str) and cls.family:
            data = {"type": data}
        if not isinstance(data, dict):
            name = _article(cls.family or cls.__name__)
            raise PydanticCustomError("component", "expected {family}: a type or a mapping", {"family": name})
        fields = {name: value for name, value in data.items() if name != "type"}
        if cls.tag:
            named = data.get("type", cls.tag)
            if named != cls.tag:
                raise PydanticCustomError("wrong_type", "is {tag}, not {named}", {"tag": cls.tag, "named": str(named)})
            return _strictly(cls, fields, handler)
        if not cls.family:
            return _strictly(cls, data, handler)
        if "type" not in data:
            raise PydanticCustomError("missing_type", "needs a type", {"choices": sorted(lookup(cls))})
        chosen = member(cls, str(data["type"]))
        if chosen is None:
            raise PydanticCustomError(
                "unknown_type",
                "unknown {family} {tag}",
                {"family": cls.family, "tag": str(data["type"]), "choices": sorted(lookup(cls))},
            )
        return chosen.model_validate(fields)

    def fingerprint(self) -> Any:
        """What shapes the result besides the fields: file hashes, library versions, what `auto` resolved to."""
        return None

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> Any:
        if cls.family and not cls.tag:
            return {"$ref": f"#/$defs/family.{cls.family}"}
        schema = handler(core_schema)
        target = handler.resolve_ref_schema(schema)
        if cls.tag:
            target["properties"] = {"type": {"const": cls.tag}, **target.get("properties", {})}
        return schema


def _strictly(cls: type[Component], data: dict[str, Any], handler: Callable[[Any], Any]) -> Any:
    """Unknown keys become errors that know the right ones; relative paths of a recipe are resolved."""
    names = {spoken: field for name, field in cls.model_fields.items() for spoken in {name, field.alias or name}}
    unknown = [name for name in data if name not in names]
    known = {name: with_default_type(_placed(value, names[name]), names[name]) for name, value in data.items() if name in names}
    if not unknown:
        return handler(known)
    choices = sorted(field.alias or name for name, field in cls.model_fields.items())
    details: list[InitErrorDetails] = [
        {
            "type": PydanticCustomError("unknown_key", "unknown key", {"choices": choices}),
            "loc": (name,),
            "input": data[name],
        }
        for name in unknown
    ]
    try:
        handler(known)
    except ValidationError as error:
        for found in error.errors():
            custom = PydanticCustomError(found["type"], found["msg"].replace("{", "("), found.get("ctx"))
            details.append({"type": custom, "loc": found["loc"], "input": found["input"]})
    raise ValidationError.from_exception_data(cls.__name__, details)


def with_default_type(value: Any, field: FieldInfo) -> Any:
    """`{lr: 1}` for a field whose default is `muon` means `{type: muon, lr: 1}`."""
    default = field.default
    tag = default if isinstance(default, str) else getattr(default, "tag", "")
    return {"type": tag, **value} if isinstance(value, dict) and "type" not in value and tag else value


def _placed(value: Any, field: FieldInfo) -> Any:
    if isinstance(value, list):
        return [_placed(item, field) for item in value]
    if isinstance(value, Located) and "Path" in str(field.annotation):
        return value.resolved()
    return value


FAMILIES: dict[str, type[Component]] = {}
_loaded: set[str] = set()


def _article(word: str) -> str:
    return f"{'an' if word[:1].lower() in 'aeiou' else 'a'} {word}"


def lookup(family: type[Component]) -> dict[str, type[Component]]:
    """Every member of a family; imports its folders (and installed plugins) the first time."""
    for folder in (*family.folders, ENTRY_POINTS):
        if folder in _loaded:
            continue
        _loaded.add(folder)
        if folder == ENTRY_POINTS:
            for point in metadata.entry_points(group=ENTRY_POINTS) if entry_points_allowed else ():
                point.load()
        else:
            _import_folder(folder)
    return family.members


def member(family: type[Component], tag: str) -> type[Component] | None:
    """One member; a file of its name is imported alone, since reading a recipe needs few of a family's."""
    for folder in family.folders if tag.isidentifier() else ():
        importlib.import_module(folder)
        found = importlib.util.find_spec(f"{folder}.{tag}")
        source = getattr(found.loader, "get_source", None) if found and found.name not in sys.modules else None
        if found and source and _REGISTERS.search(source(found.name) or ""):
            importlib.import_module(found.name)
    return family.members.get(tag) or lookup(family).get(tag)


def _import_folder(name: str) -> None:
    package = importlib.import_module(name)
    for module in pkgutil.iter_modules(package.__path__, name + "."):
        found = module.module_finder.find_spec(module.name, None)
        read = getattr(found.loader, "get_source", None) if found else None
        source = read(module.name) if read else None
        if source and _REGISTERS.search(source):
            importlib.import_module(module.name)


def is_marked(field: FieldInfo, marker: _Marker) -> bool:
    return any(note is marker for note in field.metadata)


def walk(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every component and reference in a tree with its dotted path, the root first."""
    if isinstance(value, BaseModel):
        yield path, value
        for name in type(value).model_fields:
            said = type(value).model_fields[name].alias or name
            yield from walk(getattr(value, name), f"{path}.{said}" if path else said)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from walk(item, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from walk(item, f"{path}.{index}" if path else str(index))
    elif isinstance(value, Ref):
        yield path, value


def references(value: Any) -> dict[str, Ref[Any]]:
    """Every reference in a component, by dotted path."""
    return {path: item for path, item in walk(value) if isinstance(item, Ref)}


def relocated(value: Any, move: Callable[[Ref[Any]], Ref[Any]]) -> Any:
    """A component with every reference in it replaced by what `move` makes of it; itself where there is none."""
    if isinstance(value, Ref):
        return move(value)
    if isinstance(value, BaseModel):
        moved = {name: relocated(item, move) for name, item in value}
        return value.model_copy(update=moved) if references(value) else value
    if isinstance(value, dict):
        return {name: relocated(item, move) for name, item in value.items()}
    return type(value)(relocated(item, move) for item in value) if isinstance(value, list | tuple) else value


def as_tree(
    value: Any,
    *,
    keep: Callable[[FieldInfo], bool] = lambda field: True,
    resolve: Callable[[Ref[Any]], Any] = lambda ref: ref.target,
) -> Any:
    """A component as plain dicts, lists and scalars: what a recipe would say, every default written out."""
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        kept = {field.alias or name: getattr(value, name) for name, field in fields.items() if keep(field)}
        tree = {name: as_tree(item, keep=keep, resolve=resolve) for name, item in kept.items()}
        tag = getattr(value, "tag", "")
        return {"type": tag, **tree} if tag else tree
    if isinstance(value, dict):
        return {str(name): as_tree(item, keep=keep, resolve=resolve) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_tree(item, keep=keep, resolve=resolve) for item in value]
    if isinstance(value, Ref):
        return resolve(value)
    if isinstance(value, Path):
        return str(value)
    return value
