"""Typed references: `input: Ref[Corpus]` names an earlier stage, or `path:`, `hf:` or `gguf:` something outside."""

from __future__ import annotations

from types import UnionType
from typing import Any, Generic, TypeVar, Union, get_args, get_origin

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from ropewalk.core.location import Located

A = TypeVar("A")
OUTSIDE = ("path", "hf", "gguf")
FILES = ("path", "gguf")  # what follows is a place relative to the recipe's file


class Ref(Generic[A]):
    """The name of what a field wants; `kinds` are the artifact classes that fit. Never changes."""

    __slots__ = ("kinds", "target")

    def __init__(self, target: str, kinds: tuple[type[Any], ...] = ()) -> None:
        self.target = target
        self.kinds = kinds

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ref) and other.target == self.target

    def __hash__(self) -> int:
        return hash(self.target)

    def __repr__(self) -> str:
        return f"Ref({self.target!r})"

    @property
    def scheme(self) -> str:
        """`path`, `hf`, `gguf`, or empty for a stage of the recipe."""
        head, colon, _ = self.target.partition(":")
        return head if colon and head in OUTSIDE else ""

    @property
    def location(self) -> str:
        """What follows the scheme."""
        return self.target.partition(":")[2] if self.scheme else self.target

    def wants(self) -> str:
        return " or ".join(kind.__name__ for kind in self.kinds) or "an artifact"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        inner = get_args(source)[0] if get_args(source) else Any
        kinds = get_args(inner) if get_origin(inner) in (Union, UnionType) else (inner,)
        kinds = tuple(kind for kind in kinds if isinstance(kind, type))

        def parse(value: Any) -> Ref[Any]:
            if isinstance(value, Ref):
                return Ref(value.target, kinds)
            if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in OUTSIDE:
                scheme, place = next(iter(value.items()))
                value = f"{scheme}:{place.resolved() if scheme in FILES and isinstance(place, Located) else place}"
            head = value.partition(":")[0] if isinstance(value, Located) else ""
            if isinstance(value, Located) and head in FILES:
                value = f"{head}:{Located(value.removeprefix(f'{head}:'), value.base).resolved()}"
            if not isinstance(value, str) or not value:
                raise PydanticCustomError("reference", "expected the name of a stage, or path:, hf: or gguf: and a place")
            return Ref(str(value), kinds)

        return core_schema.no_info_plain_validator_function(
            parse, serialization=core_schema.plain_serializer_function_ser_schema(lambda ref: ref.target)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "description": "a stage's name, or path:, hf: or gguf: and a place"}
