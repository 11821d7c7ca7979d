"""Presets are lists of steps that a recipe can name, and every one of them cleans what it has cleaned to the same."""

from __future__ import annotations

import numpy as np
import pytest

from ropewalk.core.component import as_tree
from ropewalk.core.errors import ConfigError
from ropewalk.data.corpus import from_documents
from ropewalk.data.presets import preset_names
from ropewalk.data.records import Document
from ropewalk.data.steps import Batch
from ropewalk.pipeline.recipe import loads, schema
from ropewalk.pipeline.stages.clean import Clean

PROSE = (
    "The rope is made of the best hemp that is to be had, and it is twisted with care by two men.\n"
    "They walk to the end of the lane and back, and the strands are laid one on the other as they go.[12]\n"
    "Write to ann@ropewalk.org to have one of them, or come by and see it made with your own eyes.\n"
    "Home | About | Contact\n"
    "A rope of that kind will hold a ship of any size in any wind, as all who have seen it know!\n"
)


def cleaned(batch: Batch, preset: str) -> Batch:
    for step in Clean.model_validate({"input": "raw", "steps": preset}).steps:
        change = step.apply(batch)
        keep = np.logical_and.reduce([rule.keeps for rule in change.rules], initial=True) & np.ones(len(batch), bool)
        batch = (batch if change.texts is None else batch.replaced(change.texts)).where(keep)
    return batch


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_stands_for_its_steps_and_cleaning_twice_is_cleaning_once(name: str) -> None:
    once = cleaned(Batch(from_documents([Document("prose", PROSE), Document("menu", "Home\nAbout\n" * 9), Document("none", "")])), name)
    assert once.ids == ["prose"] and cleaned(once, name).table.equals(once.table)
    assert ("Home" in once.texts[0]) == (name == "fast") and ("<EMAIL>" in once.texts[0]) == (name == "full")


def test_a_recipe_names_a_preset_and_the_resolved_one_says_its_steps() -> None:
    recipe = loads("stages: {raw: {type: load, source: python_docs}, clean: {type: clean, input: raw, steps: fast}}")
    assert [step["type"] for step in as_tree(recipe.stages["clean"])["steps"]] == ["normalise", "gopher", "repetition", "fineweb"]
    with pytest.raises(ConfigError, match=r"clean.steps: unknown preset 'ful' \(did you mean 'full'\?\)"):
        loads("stages: {raw: {type: load, source: python_docs}, clean: {type: clean, input: raw, steps: ful}}")


def test_the_schema_allows_a_list_or_a_name() -> None:
    allowed = [choice.get("type") for choice in schema()["$defs"]["Clean"]["properties"]["steps"]["anyOf"]]
    assert sorted(allowed) == ["array", "string"]
