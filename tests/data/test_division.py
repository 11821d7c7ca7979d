"""Whole groups go to one part, by hash, with labels in the same shares; what can't be divided is refused."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.core.errors import DataError
from ropewalk.data.division import Division, lonely


def rows(groups: int, each: int = 3) -> tuple[list[str], list[str]]:
    names = [f"g{number // each}" for number in range(groups * each)]
    return names, [f"label{number % 4}" for number in range(groups * each)]


@given(st.integers(3, 80), st.integers(1, 5), st.booleans())
def test_no_group_is_in_two_parts_and_no_part_is_empty(groups: int, each: int, stratify: bool) -> None:
    names, labels = rows(groups, each)
    try:
        parts = Division(stratify=stratify).parts(names, labels)
    except DataError:
        assert not stratify  # the hash alone may leave a part empty, and says so
        return
    assert len({(name, part) for name, part in zip(names, parts, strict=True)}) == groups
    assert set(parts) == {"train", "validation", "test"}


def test_the_hash_alone_tests_those_whose_sha1_modulo_five_is_zero() -> None:
    names, labels = rows(200, 1)
    parts = Division(stratify=False).parts(names, labels)
    wanted = [int(hashlib.sha1(name.encode()).hexdigest(), 16) % 5 == 0 for name in names]
    assert [part == "test" for part in parts] == wanted


def test_the_order_of_rows_does_not_matter() -> None:
    names, labels = rows(60)
    for stratify in (True, False):
        forward = dict(zip(names, Division(stratify=stratify).parts(names, labels), strict=True))
        backward = dict(zip(names[::-1], Division(stratify=stratify).parts(names[::-1], labels[::-1]), strict=True))
        assert forward == backward


def test_stratified_parts_have_each_label_in_its_share() -> None:
    names = [f"g{number}" for number in range(400)]
    labels = ["rare" if number % 10 == 0 else "common" for number in range(400)]
    parts = Division().parts(names, labels)
    for label, total in Counter(labels).items():
        tested = sum(part == "test" and other == label for part, other in zip(parts, labels, strict=True))
        assert abs(tested - total / 5) <= 2


def test_each_fold_of_the_hash_tests_other_groups_and_all_are_tested_once() -> None:
    names, labels = rows(150, 1)
    tested = Counter(
        name
        for fold in range(5)
        for name, part in zip(names, Division(stratify=False, test_fold=fold).parts(names, labels), strict=True)
        if part == "test"
    )
    assert set(tested.values()) == {1} and len(tested) == 150


def test_one_group_can_not_be_divided() -> None:
    with pytest.raises(DataError, match=r"1 group\(s\) can't be divided"):
        Division().parts(["a"] * 9, ["x"] * 9)


def test_fewer_groups_than_parts_are_refused() -> None:
    with pytest.raises(DataError, match=r"2 group\(s\) can't be divided"):
        Division().parts(["a", "b", "b"], ["x"] * 3)


def test_an_empty_part_is_refused_with_the_way_out() -> None:
    with pytest.raises(DataError, match="fell into") as caught:
        Division(stratify=False, validation_every=1000).parts(*rows(8))
    assert "stratify: true" in caught.value.remedy


def test_a_fold_that_is_not_there_is_refused() -> None:
    with pytest.raises(DataError, match="test_fold 7 is not below test_every 5"):
        Division(test_fold=7).parts(*rows(8))


def test_a_label_of_one_row_is_named_and_still_in_one_part() -> None:
    names, labels = rows(20, 1)
    labels[3] = "alone"
    assert lonely(labels) == ["alone"]
    assert len(Division().parts(names, labels)) == 20
