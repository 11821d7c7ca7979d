"""Records of three forms become comparisons, grouped by prompt and without names of models; what is unfit is counted under its reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from head_kit import make_pairs
from ropewalk.core.errors import DataError
from ropewalk.core.ledger import read_ledger
from ropewalk.data.comparisons import Comparison, Comparisons, PairColumns, comparison
from ropewalk.pipeline.recipe import Recipe

LMSYS = {"id": "1", "prompt": '["hi?", "and?"]', "response_a": '["a", null]', "response_b": "[true]", "model_a": "m", "model_b": "n"}
WON = {"winner_model_a": "1", "winner_model_b": "0", "winner_tie": "0"}
PANDALM = {"idx": 3, "instruction": "Do.", "input": "x", "response1": "one", "response2": "two", "cmp_key": "m_n"}


def made(folder: Path, **fields: Any) -> Comparisons:
    stage = {"type": "comparisons", **fields}
    recipe = Recipe(name="t", store=folder / "store", runs=folder / "runs", stages={"pairs": stage})
    return recipe.run(quiet=True)["pairs"]  # type: ignore[return-value]


def test_lists_of_turns_are_joined_and_null_is_empty() -> None:
    found = comparison({**LMSYS, **WON}, "lmsys", PairColumns())
    assert isinstance(found, Comparison)
    assert (found.prompt, found.a, found.b, found.winner) == ("hi?\n\nand?", "a\n\n", "true", "a")


@pytest.mark.parametrize(("votes", "winner"), [((1, 1, 2), "a"), ((2, 2, 0), "b"), ((0, 0, 1), "tie"), ((0, 1, 2), "tie")])
def test_the_majority_of_annotators_wins(votes: tuple[int, ...], winner: str) -> None:
    record = {**PANDALM, **{f"annotator{number}": vote for number, vote in enumerate(votes, 1)}}
    found = comparison(record, "pandalm", PairColumns())
    assert isinstance(found, Comparison) and found.winner == winner and found.prompt == "Do.\nx"


@pytest.mark.parametrize(("said", "winner"), [("model_a", "a"), ("B", "b"), ("tie (bothbad)", "tie")])
def test_the_generic_form_goes_by_columns(said: str, winner: str) -> None:
    record = {"q": "what?", "one": "x", "two": "y", "won": said}
    found = comparison(record, "generic", PairColumns(prompt="q", a="one", b="two", winner="won"))
    assert isinstance(found, Comparison) and found.winner == winner and len(found.id) == 32


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"winner_model_b": "1"}, "two_winners"),
        ({"winner_model_a": "0"}, "no_winner"),
        ({"winner_model_a": "yes"}, "unknown_winner"),
        ({"prompt": "plain text"}, "not_a_json_list"),
        ({"prompt": '{"a": 1}'}, "not_a_json_list"),
        ({"response_a": '[["deep"]]'}, "not_a_json_list"),
        ({"prompt": '[" "]'}, "empty_prompt"),
        ({"id": "0"}, "same_id_again"),
    ],
)
def test_what_is_no_comparison_is_counted_under_its_reason(tmp_path: Path, change: dict[str, str], reason: str) -> None:
    path = make_pairs(tmp_path / "pairs.csv")
    rows = [json.dumps({**LMSYS, **WON, "id": "new", **change})]
    import csv

    with path.open() as file:
        rows = [json.dumps(row) for row in csv.DictReader(file)] + rows
    (tmp_path / "pairs.jsonl").write_text("\n".join(rows) + "\n")
    pairs = made(tmp_path, source={"type": "jsonl", "path": str(tmp_path / "pairs.jsonl"), "text": "prompt"})
    assert pairs.manifest.counts[f"dropped/{reason}"] == 1 and pairs.manifest.counts["kept"] == 60
    assert read_ledger(pairs.path)["reason"].to_pylist() == [reason]


def test_prompts_stay_together_and_no_model_is_named(tmp_path: Path) -> None:
    pairs = made(tmp_path, source={"type": "csv", "path": str(make_pairs(tmp_path / "pairs.csv")), "text": "prompt"})
    rows = list(pairs.read())
    assert (
        len(rows) == 60
        and len({(row.group, row.part) for row in rows}) == 30
        and {row.part for row in rows} == {"train", "validation", "test"}
    )
    stored = b"".join(path.read_bytes() for path in pairs.path.rglob("*.parquet"))
    assert b"model_a" not in stored


def test_a_file_of_another_form_is_refused_with_the_columns_that_are_there(tmp_path: Path) -> None:
    path = make_pairs(tmp_path / "pairs.csv")
    with pytest.raises(DataError, match=r"none of 60 records is a comparison of form 'pandalm'.*no 'instruction'"):
        made(tmp_path, source={"type": "csv", "path": str(path), "text": "prompt"}, form="pandalm")


def test_one_prompt_can_not_be_divided(tmp_path: Path) -> None:
    rows = [json.dumps({**LMSYS, **WON, "id": str(number)}) for number in range(9)]
    (tmp_path / "pairs.jsonl").write_text("\n".join(rows) + "\n")
    with pytest.raises(DataError, match=r"1 group\(s\) can't be divided"):
        made(tmp_path, source={"type": "jsonl", "path": str(tmp_path / "pairs.jsonl"), "text": "prompt"})
