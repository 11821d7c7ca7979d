"""preview and why: what a run kept, changed and dropped can be looked at, finished or not, and each record followed by its id."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ropewalk.cli.main import app
from ropewalk.core.errors import ConfigError, DataError
from ropewalk.data.differences import changed
from ropewalk.data.shelf import Shelf
from ropewalk.data.sources import file_source
from ropewalk.data.steps import Batch, Change, Step, judge
from ropewalk.pipeline.preview import preview
from ropewalk.pipeline.recipe import Recipe, load
from ropewalk.pipeline.stages.clean import Clean
from ropewalk.pipeline.why import why
from ropewalk.report.records import records_page

WALK = "The walk is long and the hemp is good, and the men who spin it go backwards all day with the yarn in their hands. "
ROWS = {
    "a": [
        {"id": "doc/long", "text": f"{WALK}First.\r\n\r\n\r\n\r\nWrite to ann@ropewalk.org about it.", "year": 1850, "line": 17},
        {"id": "doc/short", "text": "Too short.", "year": 1851},
        {"id": "doc/copy", "text": f"{WALK}Alike in every word, for it was copied."},
    ],
    "b": [
        {"id": "doc/first", "text": f"{WALK}Alike in every word, for it was copied."},
        {"id": "last", "text": f"{WALK}Of the last one nothing is known, <b>not</b> even its maker.", "year": 1900},
    ],
}
RECIPE = """format: 1
name: look
seed: 3
stages:
  raw: {type: load, source: {type: jsonl, path: [a.jsonl, b.jsonl], max_bad_fraction: 0.5}}
  clean: {type: clean, input: raw, steps: [normalise, {type: pii, kinds: [email]}, {type: length, min_words: 5}]}
  unique: {type: dedup, input: clean, near: null}
  some: {type: filter, input: unique, keep: meta.year > 1850 or score.length.min_words < 33}
  vocab: {type: tokenizer, input: unique, size: 300}
  packed: {type: pack, input: unique, tokenizer: vocab, length: 64}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("look")
    for name, rows in ROWS.items():
        lines = [json.dumps(row) for row in rows] + (['{"id": "bad", "text": '] if name == "b" else [])
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "r.yaml").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(file_source, "SHARD_FILES", 1)
        load("r.yaml").run(quiet=True)
        yield folder


@pytest.fixture
def recipe(home: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    monkeypatch.chdir(home)
    return load("r.yaml")


def states(page: Any) -> list[tuple[str, str, str]]:
    return [(one.id, one.state, one.reason) for one in page.records]


def test_a_page_shows_kept_ones_with_scores_and_dropped_ones_with_the_reason(recipe: Recipe) -> None:
    page = preview(recipe, "clean")
    assert states(page) == [
        ("doc/long", "kept", ""), ("doc/copy", "kept", ""), ("doc/first", "kept", ""), ("last", "kept", ""),
        ("doc/short", "dropped", "length.min_words"),
    ]  # fmt: skip
    assert page.records[0].scores["pii.email"] == 1 and "<EMAIL>" in page.records[0].text
    assert page.records[-1].score == 2 and page.records[-1].text == "Too short." and page.reasons == {"length.min_words": 1}
    raw = preview(recipe, "raw", show="dropped")
    assert states(raw) == [(raw.records[0].id, "set aside", "not_json")] and raw.records[0].text.startswith('{"id": "bad"')
    copy = preview(recipe, "unique", show="dropped").records[0]
    assert (copy.id, copy.reason, copy.witness) == ("doc/first", "exact_duplicate", "doc/copy")


def test_filters_by_reason_and_condition_limits_and_draws(recipe: Recipe) -> None:
    assert states(preview(recipe, "clean", reason="length")) == [("doc/short", "dropped", "length.min_words")]
    assert [one.id for one in preview(recipe, "clean", where="meta.year >= 1851").records] == ["last", "doc/short"]
    assert [one.id for one in preview(recipe, "clean", where="score.length.min_words < 20").records] == ["doc/short"]
    assert [one.id for one in preview(recipe, "clean", where='contains(text, "EMAIL")', show="kept").records] == ["doc/long"]
    assert [one.id for one in preview(recipe, "unique", where="score.length.min_words < 33", show="kept").records] == ["doc/long"]
    assert preview(recipe, "unique", limit=1).records[0].scores["pii.email"] == 1  # what an earlier stage measured
    assert len(preview(recipe, "raw", limit=2, show="kept").records) == 2
    drawn = {seed: [one.id for one in preview(recipe, "raw", limit=2, seed=seed, show="kept").records] for seed in range(8)}
    assert drawn[3] == [one.id for one in preview(recipe, "raw", limit=2, seed=3, show="kept").records]
    assert len({tuple(ids) for ids in drawn.values()}) > 2
    assert (
        preview(recipe, "raw", limit=2, seed=3, show="kept", where="length(text) > 0").records
        == preview(recipe, "raw", limit=2, seed=3, show="kept").records
    )


@pytest.mark.parametrize(
    ("stage", "options", "said"),
    [
        ("clen", {}, "no stage 'clen' (did you mean 'clean'?)"),
        ("vocab", {}, "makes Tokenizer, which has no records"),
        ("clean", {"reason": "lenght"}, "no record was dropped for 'lenght' (one of: length.min_words)"),
        ("clean", {"where": "sorce == 'a'"}, "--where: there is no column 'sorce'"),
        ("clean", {"where": "score.length.min_word > 1"}, "did you mean 'length.min_words'"),
        ("packed", {"where": "length(text) > 1"}, "holds tokens"),
    ],
)
def test_what_can_not_be_shown_is_said(recipe: Recipe, stage: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        preview(recipe, stage, **options)
    assert said in str(caught.value)


def test_tokens_are_shown_by_mask(recipe: Recipe) -> None:
    page = preview(recipe, "packed", limit=1)
    assert page.vocabulary is not None and len(page.tokens) == 1
    assert page.vocabulary.decode([int(token) for token in page.tokens[0].tokens]).count("walk") == 1
    assert 'class="tok trained"' in records_page(page, "look")
    assert [one.id for one in preview(recipe, "packed", limit=9, seed=1).tokens] != [
        one.id for one in preview(recipe, "packed", limit=9).tokens
    ]


def hops(recipe: Recipe, id_: str) -> list[tuple[str, str, str]]:
    return [(hop.stage, hop.state, hop.reason) for hop in why(recipe, id_).hops]


def test_a_record_is_followed_to_where_it_is_or_went(recipe: Recipe) -> None:
    kept = [("raw", "kept", ""), ("clean", "kept", ""), ("unique", "kept", "")]
    assert hops(recipe, "last") == [*kept, ("some", "kept", ""), ("packed", "kept", "")]
    assert hops(recipe, "doc/short") == [kept[0], ("clean", "dropped", "length.min_words")]
    assert hops(recipe, "doc/first") == [*kept[:2], ("unique", "dropped", "exact_duplicate")]
    assert hops(recipe, "doc/copy") == [*kept, ("some", "dropped", "condition_unknown"), ("packed", "kept", "")]
    story = why(recipe, "doc/long")
    assert story.hops[0].notes[0] == "from source a" and "line 17" in story.hops[0].notes
    assert story.hops[1].scores["pii.email"] == 1
    assert any("ann@ropewalk.org" in before and "<EMAIL>" in after for before, after in story.hops[1].changes)
    assert story.hops[-1].stage == "packed" and "tokens from" in story.hops[-1].notes[0]
    gone = why(recipe, "doc/first").hops[-1]
    assert gone.witness == "doc/copy" and gone.witness_text == ROWS["a"][2]["text"]


def test_the_beginning_of_an_id_is_enough_and_an_unknown_one_tells_the_nearest(recipe: Recipe) -> None:
    assert why(recipe, "doc/lo").id == "doc/long" and why(recipe, "doc/s").id == "doc/short"
    with pytest.raises(DataError, match=r"several ids begin with 'doc/': doc/long, doc/short, doc/copy, doc/first"):
        why(recipe, "doc/")
    with pytest.raises(DataError, match=r"no stage has a record 'doc/shrt' \(did you mean 'doc/short'\?\)"):
        why(recipe, "doc/shrt")
    set_aside = preview(recipe, "raw", show="dropped").records[0].id
    story = why(recipe, set_aside)
    assert [(hop.stage, hop.state) for hop in story.hops] == [("raw", "set aside")] and story.text.startswith('{"id": "bad"')


def test_a_run_that_never_was_is_said(recipe: Recipe) -> None:
    with pytest.raises(DataError, match="nothing was run yet"):
        preview(recipe.model_copy(update={"name": "other"}), "clean")


class Breaks(Step, type="breaks_in_test"):
    """Breaks at a text with mark-up."""

    def apply(self, batch: Batch) -> Change:
        if any("<b>" in text for text in batch.texts):
            raise RuntimeError("broken")
        return judge()


del Step.members["breaks_in_test"]


def test_an_unfinished_stage_shows_what_its_finished_shards_hold(recipe: Recipe) -> None:
    stages = {"raw": recipe.stages["raw"], "clean": Clean(input="raw", steps=[*recipe.stages["clean"].steps, Breaks()])}  # type: ignore[attr-defined,arg-type]
    half = Recipe(name="half", seed=3, stages=stages)
    with pytest.raises(RuntimeError, match="broken"):
        half.run(quiet=True)
    page = preview(half, "clean")
    assert not page.finished and [one.id for one in page.records] == ["doc/long", "doc/copy", "doc/short"]
    assert page.records[-1].reason == "length.min_words" and page.reasons == {"length.min_words": 1}
    assert "not finished" in records_page(page, "half")
    assert hops(half, "doc/short")[-1] == ("clean", "dropped", "length.min_words")
    assert hops(half, "last") == [("raw", "kept", ""), ("clean", "not made yet", "")]


def test_only_the_row_group_of_an_id_is_read(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.parquet as pq

    read: list[Any] = []

    class Watched(pq.ParquetFile):  # type: ignore[misc]
        def read_row_group(self, group: int, columns: Any = None, **options: Any) -> Any:
            read.append(columns)
            return super().read_row_group(group, columns=columns, **options)

    monkeypatch.setattr(pq, "ParquetFile", Watched)
    place = recipe.plan()["raw"].place
    assert list(Shelf((place,)).fetch(["last"])) == ["last"]
    assert read == [["id"], None]  # by its smallest and largest id the other file can't hold it


def test_changes_are_short_whatever_the_text() -> None:
    assert list(changed("same", "same")) == []
    assert list(changed("a\nb\nc", "a\nB\nc")) == [("b", "B")]
    ((before, after),) = changed("x" * 500 + "here" + "y" * 500, "x" * 500 + "there" + "y" * 500)
    assert "here" in before and "there" in after and max(len(before), len(after)) < 140
    many = list(changed("\n".join(map(str, range(100))), "\n".join(f"{n}!" for n in range(100))))
    assert len(many) == 6 and many[0] == ("0", "0!")
    assert len(list(changed("a\n" * 9000, "b\n" * 9000))) == 1


def test_the_verbs_print_tables_json_and_a_page(recipe: Recipe, home: Path) -> None:
    def say(*words: str) -> str:
        done = CliRunner().invoke(app, list(words), catch_exceptions=False)
        assert done.exit_code == 0
        return done.stdout

    shown = say("preview", "r.yaml", "clean", "--limit", "1")
    assert (
        "doc/long  kept" in shown and "doc/short  dropped by length.min_words, score 2" in shown and "not kept: 1 length.min_words" in shown
    )
    body = json.loads(say("preview", "r.yaml", "packed", "--limit", "1", "--json"))
    assert body["tokens"][0]["id"] == "doc/long" and body["records"] == []
    assert "trained read only control" in say("preview", "r.yaml", "packed", "--limit", "1")
    assert say("preview", "r.yaml", "clean", "--html", "page.html").strip() == "page.html"
    page = (home / "page.html").read_text()
    assert "length.min_words" in page and "Content-Security-Policy" in page and "<script" not in page
    told = say("why", "r.yaml", "doc/first")
    assert "unique (dedup): dropped by exact_duplicate" in told and "because of doc/copy" in told and told.count("backwards") == 3
    body = json.loads(say("why", "r.yaml", "doc/lo", "--json"))
    assert body["id"] == "doc/long" and [hop["stage"] for hop in body["hops"]] == ["raw", "clean", "unique", "some", "packed"]
