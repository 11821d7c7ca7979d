"""Recipes: all mistakes at once with their places; the graph; YAML and Python are the same objects."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

import ropewalk
from ropewalk.core.component import lookup
from ropewalk.core.errors import ConfigError
from ropewalk.pipeline.recipe import Recipe, load, loads, schema
from ropewalk.pipeline.stage import Stage


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loads(text, "r.yaml")
    return str(caught.value)


def test_all_mistakes_are_said_at_once_with_place_and_nearest_word(tiny: Path) -> None:
    said = refused(
        "format: 1\nnme: x\nplugins: [stages.py]\nseed: minus\nstages:\n"
        "  a: {type: uper, words: []}\n"
        "  b:\n    type: upper\n    wrods: [x]\n    suffix: 3\n"
        "  c: {type: join, input: 7}\n"
    )
    lines = said.splitlines()
    for part in (
        "r.yaml:2:1: nme: unknown key (did you mean 'name'?)",
        "r.yaml:4:1: seed: expected a whole number, got 'minus'",
        "r.yaml:6:3: a: unknown stage 'uper' (did you mean 'upper'?)",
        "r.yaml:7:3: b.words: is required (see ropewalk explain upper.words)",
        "r.yaml:9:5: b.wrods: unknown key (did you mean 'words'?)",
        "r.yaml:10:5: b.suffix: expected text, got 3: put it in quotes",
        "r.yaml:11:19: c.input: expected the name of a stage, or path:, hf: or gguf: and a place, got 7",
    ):
        assert part in lines, (part, said)


def test_wrong_references_are_found_before_any_work(tiny: Path) -> None:
    head = "format: 1\nplugins: [stages.py]\nstages:\n  lines: {type: upper, words: [a]}\n"
    assert "there is no stage 'lnes' (did you mean 'lines'?)" in refused(head + "  w: {type: join, input: lnes}\n")
    said = refused(head + "  w: {type: join, input: lines}\n  v: {type: join, input: w}\n")
    assert "r.yaml:6:19: v.input: needs Lines, but 'w' makes a Word" in said
    assert "no such folder" in refused(head + "  w: {type: join, input: path:nowhere}\n")
    assert "refers to itself" in refused(head + "  w: {type: says, input: v}\n  v: {type: says, input: w}\n")
    assert "3 words are more than 2" in refused(head.replace("[a]", "[a, b, c]") + "  w: {type: join, input: lines, limit: 2}\n")


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "a b", "x" * 101, "a\\0b"])
def test_names_that_leave_the_folder_are_refused(tiny: Path, name: str) -> None:
    assert "can't name a folder" in refused(f'format: 1\nname: "{name}"\nplugins: [stages.py]\nstages:\n  a: {{type: upper, words: [a]}}\n')


@pytest.mark.parametrize("name", ["seed", "stages", "1a", "a.b"])
def test_reserved_stage_names_are_refused(tiny: Path, name: str) -> None:
    assert "can't name a stage" in refused(f"plugins: [stages.py]\nstages:\n  {name}: {{type: upper, words: [a]}}\n")


def test_empty_and_odd_recipes(tiny: Path) -> None:
    assert "at least one stage" in refused("name: x\n") + refused("stages: {}\n")
    assert "expected a mapping of stage names" in refused("stages: [a]\n")
    assert "format" in refused("format: 2\nplugins: [stages.py]\nstages:\n  a: {type: upper, words: [a]}\n")


def test_plugins_outside_the_folder_or_refused(tiny: Path) -> None:
    outside = "plugins: [../x.py]\nstages:\n  a: {type: upper, words: [a]}\n"
    assert "outside the recipe's folder" in refused(outside)
    with pytest.raises(ConfigError, match="--no-plugins"):
        load(tiny / "recipe.yaml", plugins=False)


def test_round_trip_and_python(tiny: Path) -> None:
    recipe = load("recipe.yaml", ["word.limit=7", "seed=5"])
    again = loads(yaml.safe_dump({**recipe.tree(), "plugins": ["stages.py"]}), folder=tiny)
    assert again.stages == recipe.stages and again.seed == 5 and recipe.order() == ["lines", "word"]
    upper, join = lookup(Stage)["upper"], lookup(Stage)["join"]
    built = Recipe(name="tiny", seed=5, stages={"lines": upper(words=["a", "b", "c"]), "word": join(input="lines", limit=7)})
    assert built.stages == recipe.stages and built.problems() == []
    assert ropewalk.load("recipe.yaml").name == "tiny" and ropewalk.Recipe is Recipe
    with pytest.raises(AttributeError):
        _ = ropewalk.nothing_here


def test_order_follows_references_not_the_file(tiny: Path) -> None:
    recipe = loads("plugins: [stages.py]\nstages:\n  w: {type: join, input: l}\n  l: {type: upper, words: [a]}\n")
    assert recipe.order() == ["l", "w"] and recipe.behind("l") == {"l"}


def test_schema_covers_every_family_and_resolves(tiny: Path) -> None:
    load("recipe.yaml")
    found = schema()
    names = set(found["$defs"])
    used = {part.split('"')[0] for part in json.dumps(found).split('"$ref": "#/$defs/')[1:]}
    assert used <= names and "family.stage" in names and "upper" in found["$defs"]["family.stage"]["anyOf"][0]["enum"]
