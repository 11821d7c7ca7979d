"""JSON read strictly: half surrogate pairs, NaN, doubled keys and bad bytes are told, and whole numbers stay exact."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from ropewalk.data.sources.fields import BadRecord

_HALF_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class JsonReader:
    """Reads one JSON value; raises BadRecord for what is not quite JSON."""

    bad_characters: Literal["reject", "replace"] = "reject"
    """Bytes that are not UTF-8 and half surrogate pairs: the record is bad, or U+FFFD stands in their place."""
    not_finite: Literal["reject", "null"] = "reject"
    """NaN and Infinity: the record is bad, or null stands in their place."""

    def decode(self, line: bytes | bytearray) -> str:
        """Bytes as text."""
        try:
            return line.decode() if self.bad_characters == "reject" else line.decode("utf-8", "replace")
        except UnicodeDecodeError as error:
            raise BadRecord("bad_utf8", f"byte 0x{line[error.start]:02x} at {error.start}") from None

    def parse(self, text: str) -> Any:
        """Text as a JSON value."""
        try:
            value = self._decoder.decode(text)
            return self._whole_characters(value) if _HALF_ESCAPE.search(text) else value
        except json.JSONDecodeError as error:
            raise BadRecord("not_json", f"{error.msg.removesuffix(' at')} (character {error.pos})") from None
        except RecursionError:
            raise BadRecord("not_json", "nested too deeply") from None
        except ValueError as error:
            raise BadRecord("not_json", str(error)) from None

    def parse_object(self, text: str) -> dict[str, Any]:
        """Text as a JSON object."""
        value = self.parse(text)
        if not isinstance(value, dict):
            raise BadRecord("not_an_object")
        return value

    @cached_property
    def _decoder(self) -> json.JSONDecoder:
        return json.JSONDecoder(object_pairs_hook=_unique, parse_constant=self._constant, parse_float=self._float)

    def _constant(self, name: str) -> None:
        if self.not_finite == "reject":
            raise BadRecord("not_finite", name)

    def _float(self, digits: str) -> float | None:
        value = float(digits)
        return value if math.isfinite(value) else self._constant(digits)  # type: ignore[func-returns-value]

    def _whole_characters(self, value: Any) -> Any:
        """The value with U+FFFD for each half pair, or BadRecord where there is one."""
        if isinstance(value, str):
            if self.bad_characters == "reject" and _HALF.search(value):
                raise BadRecord("lone_surrogate")
            return _HALF.sub("\ufffd", value)
        if isinstance(value, dict):
            return {self._whole_characters(name): self._whole_characters(item) for name, item in value.items()}
        return [self._whole_characters(item) for item in value] if isinstance(value, list) else value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise BadRecord("duplicate_key", next(name for name in names if names.count(name) > 1))
    return found
