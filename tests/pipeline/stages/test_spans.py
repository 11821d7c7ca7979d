"""Annotations become examples; each that can't be placed is counted under its reason, and unfit files are refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from head_kit import make_posts
from ropewalk.core.errors import ConfigError, DataError
from ropewalk.core.ledger import read_ledger
from ropewalk.data.spans import Spans
from ropewalk.pipeline.recipe import Recipe

POST = "First one here. Second one there. Third one everywhere."


def made(folder: Path, **fields: Any) -> Spans:
    recipe = Recipe(name="t", store=folder / "store", runs=folder / "runs", stages={"spans": {"type": "spans", **fields}})
    return recipe.run(quiet=True)["spans"]  # type: ignore[return-value]


def files(folder: Path, annotations: list[dict[str, Any]], posts: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Sources of JSON lines; eight more posts with one annotation each, so that every part has some."""
    more = [{"post_id": f"q{number}", "text": POST} for number in range(8)]
    marks = [{"post_id": f"q{number}", "sentence_text": "Second one there.", "label": "x"} for number in range(8)]
    for name, rows in (("posts", [*(posts or [{"post_id": "p", "text": POST}]), *more]), ("annotations", [*annotations, *marks])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {
        "posts": {"type": "jsonl", "path": str(folder / "posts.jsonl"), "id": "post_id"},
        "annotations": {"type": "jsonl", "path": str(folder / "annotations.jsonl"), "text": "sentence_text"},
    }


MARK = {"post_id": "p", "sentence_text": "Third one everywhere.", "label": "x"}


@pytest.mark.parametrize(
    ("annotation", "columns", "reason"),
    [
        ({**MARK, "post_id": "nobody"}, {}, "unknown_post"),
        ({**MARK, "post_id": "empty"}, {}, "empty_post"),
        ({**MARK, "sentence_text": "Nothing like that is in the text at all."}, {}, "not_aligned"),
        ({**MARK, "sentence_text": ""}, {}, "no_quote"),
        ({**MARK, "label": "strange"}, {"labels": ["x"]}, "unknown_label"),
        ({**MARK, "label": ""}, {}, "no_question"),
        ({**MARK, "status": "0"}, {"wanted": {"label": ["x"], "status": ["1"]}}, "not_wanted"),
        ({**MARK, "sentence_text": "", "s": 20, "e": 4}, {"start": "s", "end": "e"}, "reversed_span"),
        ({**MARK, "sentence_text": "", "s": 20, "e": 4000}, {"start": "s", "end": "e"}, "span_outside_post"),
        ({**MARK, "sentence_text": "", "s": "x", "e": 4}, {"start": "s", "end": "e"}, "bad_offset"),
    ],
)
def test_what_can_not_be_placed_is_counted_under_its_reason(
    tmp_path: Path, annotation: dict[str, Any], columns: dict[str, Any], reason: str
) -> None:
    posts = [{"post_id": "p", "text": POST}, {"post_id": "empty", "text": " "}]
    columns = {**columns, "wanted": {"status": ["1"]}} if reason == "not_wanted" else columns
    rows = [MARK | {"sentence_text": "First one here.", "s": -1, "e": -1, "status": "1"}, annotation]
    sources = files(tmp_path, rows, posts)
    if reason == "not_wanted":
        text = (tmp_path / "annotations.jsonl").read_text().replace('"label": "x"}', '"label": "x", "status": "1"}')
        (tmp_path / "annotations.jsonl").write_text(text)
    spans = made(tmp_path, **sources, columns=columns)
    assert spans.manifest.counts[f"dropped/{reason}"] == 1 == spans.manifest.counts["dropped"]
    assert spans.manifest.counts["records_in"] == 10 and spans.manifest.counts["kept"] == 9
    assert read_ledger(spans.path)["reason"].to_pylist() == [reason]


def test_spans_of_one_question_are_one_example_and_a_repeated_one_is_told(tmp_path: Path) -> None:
    spans = made(tmp_path, **files(tmp_path, [MARK, {**MARK, "sentence_text": "First one here."}, MARK]))
    one = next(example for example in spans.examples() if example.document == "p")
    assert [POST[start:end] for start, end in one.spans] == ["First one here.", "Third one everywhere."]
    assert spans.manifest.counts["dropped/same_span_again"] == 1


@pytest.mark.parametrize(("choice", "kept"), [("keep", 2), ("drop", 1)])
def test_overlapping_spans_are_kept_or_told(tmp_path: Path, choice: str, kept: int) -> None:
    spans = made(tmp_path, **files(tmp_path, [MARK, {**MARK, "sentence_text": "one everywhere."}]), overlapping=choice)
    assert len(next(example for example in spans.examples() if example.document == "p").spans) == kept
    assert spans.manifest.counts.get("dropped/overlapping_span", 0) == 2 - kept


def test_a_row_without_a_passage_may_say_that_nothing_answers(tmp_path: Path) -> None:
    spans = made(tmp_path, **files(tmp_path, [{**MARK, "sentence_text": ""}]), columns={"without_quote": "no_answer"})
    assert spans.manifest.metrics["table"]["without_answer"] == 1


def test_offsets_win_where_they_hold_the_quote(tmp_path: Path) -> None:
    row = {**MARK, "sentence_text": "one", "s": 23, "e": 26}
    sources = files(tmp_path, [row])
    text = (tmp_path / "annotations.jsonl").read_text().replace('"label": "x"}', '"label": "x", "s": -1, "e": -1}')
    (tmp_path / "annotations.jsonl").write_text(text)
    spans = made(tmp_path, **sources, columns={"start": "s", "end": "e"})
    one = next(example for example in spans.examples() if example.document == "p")
    assert one.spans == ((23, 26),) and spans.manifest.metrics["table"]["aligned_offset"] == 1


def test_a_question_is_made_from_columns_and_groups_stay_together(tmp_path: Path) -> None:
    posts, annotations = make_posts(tmp_path / "d")
    spans = made(
        tmp_path,
        posts={"type": "csv", "path": str(posts), "id": "post_id"},
        annotations={"type": "csv", "path": str(annotations), "text": "sentence_text"},
        columns={"question": "What of {label}?"},
        group="author",
    )
    examples = list(spans.examples())
    assert examples[0].question == "What of pain?" and examples[0].label == "pain"
    assert len({(one.group, one.part) for one in examples}) == 12 and {one.part for one in examples} == {"train", "validation", "test"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": {"quote": "sentence"}}, "no column 'sentence'"),
        ({"columns": {"post": "post"}}, "no column 'post'"),
        ({"group": "author"}, "has no 'author' to be grouped by"),
    ],
)
def test_missing_columns_are_refused_by_name(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        made(tmp_path, **files(tmp_path, [MARK]), **change)


def test_a_post_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="post 'p' is there twice"):
        made(tmp_path, **files(tmp_path, [MARK], [{"post_id": "p", "text": POST}] * 2))


def test_posts_without_annotations_are_refused(tmp_path: Path) -> None:
    with pytest.raises((ConfigError, ValueError), match="needs posts and annotations, or squad"):
        made(tmp_path, posts={"type": "csv", "path": "x.csv"})


def squad_file(folder: Path, **changes: Any) -> Path:
    question = {"id": "1", "question": "Which?", "answers": [{"text": "Second", "answer_start": 16}], **changes}
    articles = [{"title": f"t{number}", "paragraphs": [{"context": POST, "qas": [{**question, "id": f"{number}"}]}]} for number in range(9)]
    (folder / "squad.json").write_text(json.dumps({"version": "v2.0", "data": articles}))
    return folder / "squad.json"


def test_squad_files_of_both_versions_are_read(tmp_path: Path) -> None:
    source = {"type": "json", "rows": "data", "text": "title"}
    first = made(tmp_path, squad={**source, "path": str(squad_file(tmp_path))})
    assert {one.spans for one in first.examples()} == {((16, 22),)}
    second = made(tmp_path, squad={**source, "path": str(squad_file(tmp_path, answers=[], is_impossible=True))})
    assert second.manifest.metrics["table"]["without_answer"] == 9


def test_a_squad_answer_in_the_wrong_place_is_found_or_told(tmp_path: Path) -> None:
    source = {
        "type": "json",
        "rows": "data",
        "text": "title",
        "path": str(squad_file(tmp_path, answers=[{"text": "Second", "answer_start": 3}])),
    }
    assert {one.spans for one in made(tmp_path, squad=source).examples()} == {((16, 22),)}
    squad_file(tmp_path, answers=[{"text": "Fourth", "answer_start": 3}])
    with pytest.raises(DataError, match="not_aligned"):
        made(tmp_path, squad=source)


def test_a_file_that_is_no_squad_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps({"data": [{"title": "a"}]}))
    with pytest.raises(DataError, match="article 1 is not in SQuAD's form"):
        made(tmp_path, squad={"type": "json", "rows": "data", "text": "title", "path": str(tmp_path / "x.json")})
