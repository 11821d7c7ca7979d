"""Families, types, nested errors, plugins and trees."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field, ValidationError

from ropewalk.core.artifact import Artifact
from ropewalk.core.component import RUNTIME, SAFE, Component, as_tree, is_marked, lookup, references, walk
from ropewalk.core.location import Located
from ropewalk.core.reference import Ref


class Fruit(Component, family="test_fruit"):
    """A family for these tests."""


class Apple(Fruit, type="apple"):
    """Red or green."""

    weight: float = 0.2
    """Kilograms."""


class Basket(Fruit, type="basket"):
    """Holds fruit."""

    inside: list[Fruit] = []
    """What it holds."""
    first: Fruit = Field(default="apple", validate_default=True)
    """Lies on top."""
    shop: Annotated[str, RUNTIME] = "corner"
    """Where it was bought."""
    days: Annotated[int, SAFE] = 1
    """How long it keeps."""
    label: Path | None = None
    """A file with the label."""


class Box(Artifact, kind="TestBox"):
    """An artifact for these tests."""


class Crate(Fruit, type="crate"):
    """Refers to a box."""

    box: Ref[Box]
    """The box."""


def test_a_name_alone_and_a_mapping_choose_the_same_member() -> None:
    assert Fruit.model_validate("apple") == Fruit.model_validate({"type": "apple"}) == Apple()


def test_defaults_given_as_names_become_components() -> None:
    assert Basket().first == Apple()


def test_nested_families_validate_and_round_trip() -> None:
    basket = Fruit.model_validate({"type": "basket", "inside": ["apple", {"type": "basket", "inside": [{"type": "apple", "weight": 1}]}]})
    tree = as_tree(basket)
    assert tree["type"] == "basket" and tree["inside"][1]["inside"][0] == {"type": "apple", "weight": 1.0}
    assert Fruit.model_validate(tree) == basket
    assert pickle.loads(pickle.dumps(basket)) == basket


def test_unknown_type_offers_the_choices() -> None:
    with pytest.raises(ValidationError) as caught:
        Fruit.model_validate({"type": "aple"})
    found = caught.value.errors()[0]
    assert found["type"] == "unknown_type" and "apple" in found["ctx"]["choices"]


def test_unknown_keys_and_wrong_values_are_reported_together() -> None:
    with pytest.raises(ValidationError) as caught:
        Fruit.model_validate({"type": "basket", "inside": [{"type": "apple", "wieght": 1, "weight": "heavy"}], "dayz": 3})
    found = {error["loc"]: error["type"] for error in caught.value.errors()}
    assert found[("inside", 0, "wieght")] == "unknown_key"
    assert found[("inside", 0, "weight")] == "float_parsing"
    assert found[("dayz",)] == "unknown_key"


def test_a_mapping_without_type_and_a_list_are_refused() -> None:
    for bad in ({"weight": 1}, ["apple"], 3):
        with pytest.raises(ValidationError):
            Fruit.model_validate(bad)


def test_a_member_refuses_another_members_type() -> None:
    with pytest.raises(ValidationError, match="is apple, not basket"):
        Apple.model_validate({"type": "basket"})


def test_a_second_class_cannot_take_a_type() -> None:
    with pytest.raises(TypeError, match="taken"):

        class Other(Fruit, type="apple"):
            """A thief."""


def test_markers_are_seen_on_fields() -> None:
    fields = Basket.model_fields
    assert is_marked(fields["shop"], RUNTIME) and is_marked(fields["days"], SAFE) and not is_marked(fields["first"], RUNTIME)


def test_references_are_found_at_any_depth() -> None:
    basket = Basket(inside=[Crate(box="one"), Basket(inside=[Crate(box={"path": "x/y"})])])
    found = references(basket)
    assert {path: ref.target for path, ref in found.items()} == {"inside.0.box": "one", "inside.1.inside.0.box": "path:x/y"}
    assert found["inside.0.box"].kinds == (Box,) and found["inside.1.inside.0.box"].scheme == "path"
    assert [path for path, item in walk(basket) if isinstance(item, Crate)] == ["inside.0", "inside.1.inside.0"]


def test_a_reference_must_be_a_name() -> None:
    with pytest.raises(ValidationError, match="expected the name of a stage"):
        Crate.model_validate({"box": 3})


def test_relative_paths_are_below_the_recipe(tmp_path: Path) -> None:
    assert Basket(label=Located("a/b.txt", tmp_path)).label == tmp_path / "a/b.txt"
    assert Crate(box=Located("path:store/x", tmp_path)).box.location == str(tmp_path / "store/x")


def test_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Apple().weight = 3  # type: ignore[misc]


def test_lookup_knows_all_members() -> None:
    assert {"apple", "basket", "crate"} <= set(lookup(Fruit))
