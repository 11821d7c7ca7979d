"""One generic test over all members of all families: each builds from its type alone or from a minimum, and can be said, stored and read.

A new member of a family is found by itself; it needs an entry in MINIMUM only if it has a required field.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import Field, ValidationError

from ropewalk.core.component import Component, as_tree, lookup
from ropewalk.core.load import read_text
from ropewalk.pipeline.families import all_families
from ropewalk.pipeline.recipe import schema

MINIMUM: dict[tuple[str, str], dict[str, Any]] = {
    ("source", "datasets"): {"dataset": "owner/name"},
    ("source", "http"): {"url": "https://example.org/data.jsonl"},
    ("source", "remote"): {"url": "memory://data/*.jsonl"},
    ("gate", "at_least"): {"metric": "perplexity/bits_per_byte", "value": 2},
    ("gate", "at_most"): {"metric": "perplexity/bits_per_byte", "value": 2.4},
    ("gate", "beats"): {"metric": "perplexity/bits_per_byte", "baseline": "byte_trigram"},
    ("stage", "average"): {"models": ["base", "sft"]},
    **{("source", name): {"path": "/data/a"} for name in ("arrow", "csv", "files", "json", "jsonl", "parquet", "text")},
    ("stage", "clean"): {"input": "raw", "steps": ["normalise"]},
    ("stage", "decontaminate"): {"input": "unique"},
    ("stage", "dedup"): {"input": "clean"},
    ("stage", "filter"): {"input": "clean", "keep": "length(text) > 200"},
    ("stage", "dedup_lines"): {"input": "clean"},
    ("stage", "evaluate"): {"model": "sft", "suites": [{"type": "perplexity", "data": "packed"}]},
    ("stage", "export"): {"model": "sft", "verdict": "gate"},
    ("stage", "format"): {"source": "python_docs_questions"},
    ("stage", "gate"): {"scores": "scores", "checks": [{"type": "at_most", "metric": "perplexity/bits_per_byte", "value": 2.4}]},
    ("stage", "init"): {"model": "gpt", "tokenizer": "vocab"},
    ("stage", "index"): {"input": "unique"},
    ("stage", "load"): {"source": "python_docs"},
    ("stage", "mixture"): {"parts": {"all": {"data": "packed"}}},
    ("stage", "pack"): {"input": "unique", "tokenizer": "vocab", "length": 256},
    ("stage", "render"): {"input": "chats", "tokenizer": "vocab", "length": 256},
    ("stage", "sample"): {"input": "clean"},
    ("stage", "series"): {"source": "statsmodels", "context": 12, "horizon": 3},
    ("stage", "split"): {"input": "clean", "parts": {"train": 0.9, "test": 0.1}, "part": "train"},
    ("stage", "tokenizer"): {"input": "unique"},
    ("stage", "train"): {"data": "packed", "model": "gpt", "budget": {"steps": 10}},
    ("step", "datatrove"): {"filter": "GopherQualityFilter"},
    ("step", "classifier"): {"model": "quality"},
    ("stage", "windows"): {"input": "unique", "tokenizer": "vocab", "length": 256, "stride": 128},
    ("suite", "answer_loss"): {"data": "turns"},
    ("suite", "forecast"): {"data": "series"},
    ("suite", "perplexity"): {"data": "packed"},
}
"""(family, type) -> fields that it can't be built without, none to spare; a reference is a stage's name."""

VERBS = {
    "executor": "map",
    "feature": "compute",
    "formatter": "format",
    "gate": "check",
    "model": "build",
    "optimizer": "build",
    "schedule": "factor",
    "source": "read",
    "stage": "make",
    "step": "apply",
    "suite": "run",
    "task": "loss",
}
"""Family -> the method that each member brings, because the family's own only says that it is missing."""

MEMBERS = [
    pytest.param(family.family, tag, member, id=f"{family.family}-{tag}")
    for family in all_families().values()
    for tag, member in sorted(family.members.items())
    if member.__module__.startswith("ropewalk.")
]
each_member = pytest.mark.parametrize(("family", "tag", "member"), sorted(MEMBERS, key=lambda param: str(param.id)))


def build(family: str, tag: str) -> Component:
    """The member as a recipe would name it, with its documented minimum."""
    return all_families()[family].model_validate({"type": tag, **MINIMUM.get((family, tag), {})})


@each_member
def test_a_member_builds_from_its_type_or_its_minimum(family: str, tag: str, member: type[Component]) -> None:
    built = build(family, tag)
    assert type(built) is member and built.tag == tag and built.family == family
    minimum = MINIMUM.get((family, tag), {})
    for name in minimum:
        with pytest.raises(ValidationError):
            member.model_validate({key: value for key, value in minimum.items() if key != name})
    if not minimum:
        assert all_families()[family].model_validate(tag) == member() == built


@each_member
def test_a_member_round_trips_through_yaml(family: str, tag: str, member: type[Component]) -> None:
    built = build(family, tag)
    text = yaml.safe_dump(as_tree(built))
    assert all_families()[family].model_validate(yaml.safe_load(text)) == built
    as_recipe = read_text(text, "member.yaml", Path.cwd())
    assert not as_recipe.problems and member.model_validate(as_recipe.value) == built


@each_member
def test_a_member_pickles(family: str, tag: str, member: type[Component]) -> None:
    built = build(family, tag)
    copy = pickle.loads(pickle.dumps(built))
    assert type(copy) is member and copy == built


@each_member
def test_a_member_and_its_fields_say_what_they_are(family: str, tag: str, member: type[Component]) -> None:
    own = member.__dict__.get("__doc__") or ""
    assert own.strip(), f"{member.__name__} has no docstring"
    silent = [name for name, field in member.model_fields.items() if not (field.description or "").strip()]
    assert not silent, f"{member.__name__}: no docstring below {', '.join(silent)}"
    whole = schema()["$defs"]
    place = 1 + sorted(all_families()[family].members).index(tag)  # behind the bare names
    found = whole[whole[f"family.{family}"]["anyOf"][place]["$ref"].removeprefix("#/$defs/")]
    assert found["properties"].keys() == {"type", *(field.alias or name for name, field in member.model_fields.items())}


@each_member
def test_a_member_is_frozen_and_refuses_what_it_does_not_know(family: str, tag: str, member: type[Component]) -> None:
    with pytest.raises(ValueError, match="unknown key"):
        all_families()[family].model_validate({**as_tree(build(family, tag)), "no_such_field": 1})
    assert member.model_config.get("frozen") and member.model_config.get("extra") == "forbid"


@each_member
def test_a_member_brings_its_familys_verb(family: str, tag: str, member: type[Component]) -> None:
    verb = VERBS[family]
    assert getattr(member, verb) is not getattr(all_families()[family], verb, None), f"{member.__name__} has no {verb}()"


def test_every_family_has_a_verb_and_every_minimum_a_member() -> None:
    families = {name: family for name, family in all_families().items() if family.__module__.startswith("ropewalk.")}
    assert set(families) == set(VERBS)
    assert [key for key in MINIMUM if key[1] not in lookup(families[key[0]])] == []


def test_a_family_says_what_it_is() -> None:
    for family in all_families().values():
        assert (family.__dict__.get("__doc__") or "").strip(), f"{family.__name__} has no docstring"


class Vessel(Component, family="test_vessel"):
    """A family to see the generic test bite."""

    def hold(self) -> str:
        raise TypeError("holds nothing")


class Cup(Vessel, type="cup"):
    """All as it should be."""

    size: int = 1
    """Of tea."""

    def hold(self) -> str:
        return "tea"


class Sieve(Vessel, type="sieve"):
    holes: int = 3
    wet: object = Field(default_factory=object)


def test_the_generic_test_passes_a_sound_member(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VERBS, "test_vessel", "hold")
    for check in CHECKS:
        check("test_vessel", "cup", Cup)


def test_the_generic_test_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VERBS, "test_vessel", "hold")
    for check in CHECKS:
        with pytest.raises((AssertionError, ValueError, TypeError, yaml.YAMLError)):
            check("test_vessel", "sieve", Sieve)
    monkeypatch.setitem(MINIMUM, ("test_vessel", "cup"), {"size": 2})
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        test_a_member_builds_from_its_type_or_its_minimum("test_vessel", "cup", Cup)


CHECKS = (
    test_a_member_builds_from_its_type_or_its_minimum,
    test_a_member_round_trips_through_yaml,
    test_a_member_pickles,
    test_a_member_and_its_fields_say_what_they_are,
    test_a_member_brings_its_familys_verb,
)
