"""The page: every state of a run renders and says what matters first, and nothing from the data is active in it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ropewalk.core.errors import DataError
from ropewalk.core.ledger import write_table
from ropewalk.report.html import SECTIONS, write_report

NASTY = "</script><script>alert(1)</script>\n\x1b[31mred\x1b[0m\r\0\u202e\"'><img src=x onerror=alert(1)>&amp;"
UNREADABLE = "This part could not be read"


class Page(HTMLParser):
    """Tags, ids, links and text of a page; asserts that what is opened is closed."""

    VOID = ("meta", "br", "circle", "rect", "line", "polyline", "path", "i")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.stack: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert not self.stack, self.stack

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.stack and self.stack.pop() == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        if self.stack[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)

    def values(self, name: str) -> list[str]:
        return [value for attribute, value in self.attributes if attribute == name]


def render(run: Path) -> Page:
    html = write_report(run).read_text(encoding="utf-8")
    page = Page(html)
    assert not {"script", "img", "iframe", "link", "object", "form", "base"} & page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "action")]
    assert all(link.startswith("#") for link in page.values("href"))
    assert "url(" not in html and "@import" not in html
    ids = page.values("id")
    assert len(ids) == len(set(ids)) and {link[1:] for link in page.values("href")} <= set(ids)
    return page


def test_a_finished_run_tells_its_story(whole: Any) -> None:
    page = render(whole.close())
    text = page.text
    assert UNREADABLE not in text and "Done, and every gate passed" in text
    assert "10 documents (3.9 KiB of text) from clean" in text and "1,234 parameters" in text and "1m00s on the clock" in text
    assert "Yes: 1 of 1 check passed" in text
    assert "bits_per_byte 2.5: better than unigram, not better than trigram" in text
    assert {anchor for anchor, _, _ in SECTIONS} <= set(page.values("id"))
    shown = (whole.path / "report.html").read_text()
    assert "<u>One </u><u><mark>here.</mark></u><mark> &lt;b&gt;Two&lt;/b&gt;</mark> there." in shown
    assert "what <is> it?" in text and "a rope" in text
    assert "bits no worse than before" in text and "held" in text
    assert "ropewalk run runs/example/recipe.yaml" in text and str(whole.path.parent.parent) not in text
    assert text.index("2 20%") and "length.a 1 (10% of what came in)" in text and "because of some text" in text


def test_the_trained_tokens_are_coloured_and_no_other(whole: Any) -> None:
    html = write_report(whole.close()).read_text(encoding="utf-8")
    preview = html[html.index('class="tokens"') :]
    preview = preview[: preview.index("</p>")]
    parts = preview.split("<span")[1:]
    trained = ["trained" in part.partition(">")[0] for part in parts]
    assert trained == sorted(trained) and True in trained and False in trained
    words = "".join(part.partition(">")[2].partition("</span>")[0] for part in parts)
    assert words == "&lt;|im_start|&gt;hello worldhello world&lt;|im_end|&gt;"


def test_nothing_from_the_data_is_active_in_the_page(maker: Any) -> None:
    maker.name = NASTY
    folder = maker.corpus("clean", label=NASTY, text=NASTY)
    maker.tokens("turns", "clean", id_=NASTY, text=NASTY)
    maker.model("base", "turns")
    maker.scores("scores", "base", suite=NASTY)
    maker.gate("gate", "scores", passed=False, message=NASTY)
    maker.stages[NASTY] = {"status": NASTY, "key": NASTY, "type": NASTY, "makes": NASTY}
    maker.stages["broken"] = {"status": "failed", "key": "k", "type": "load", "makes": "Corpus"}
    maker.events += [
        {"event": "stage_failed", "stage": "broken", "error": NASTY},
        {"event": "Recovered", "stage": "base", "step": 1, "what": NASTY},
    ]
    page = render(maker.close(NASTY, recipe=NASTY))
    html = (maker.path / "report.html").read_text(encoding="utf-8")
    assert UNREADABLE not in page.text and folder.is_dir()
    assert not [sign for sign in "\x1b\0\r\u202e" if sign in html]
    assert page.text.count("␛[31mred") >= 10 and "⟨U+202E⟩" in page.text
    assert "</script>␊␛[31m" in page.text, "a newline within a line is shown, not made"


def test_lone_surrogates_are_shown(maker: Any) -> None:
    maker.name = "a\ud800b"
    assert "a⟨U+D800⟩b" in render(maker.close()).text


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("running", "Not finished"),
        ("KeyboardInterrupt: ", "The run ended early"),
        ("done", "Done"),
        ("gate failed", "Done"),
    ],
)
def test_a_run_without_stages_renders(maker: Any, status: str, said: str) -> None:
    assert said in render(maker.close(status, ended=None)).text or status == "gate failed"


def test_a_failed_gate_stands_at_the_top_with_its_numbers(maker: Any) -> None:
    maker.scores("scores")
    maker.gate("gate", "scores", passed=False, message="bits is 2.5: must be at most 2, off by 0.5")
    maker.stage("out", "export", "Model", "stopped", artifact=False)
    text = render(maker.close("gate failed")).text
    assert text.index("A gate said no") < text.index("off by 0.5") < text.index("Not made because of it: out.") < text.index("What went in")
    assert "No: 0 of 1 check passed" in text and "Not exported." in text


def test_a_failed_stage_stands_at_the_top_with_what_it_said(maker: Any) -> None:
    maker.corpus("clean")
    maker.stage("turns", "render", "Tokens", "failed", artifact=False)
    maker.stage("base", "train", "Model", "waiting", artifact=False)
    maker.events.append({"event": "stage_failed", "stage": "turns", "error": "DataError: the third line is bad"})
    text = render(maker.close("DataError: the third line is bad")).text
    assert (
        text.index("The run failed") < text.index("turns: DataError: the third line is bad") < text.index("Not made because of it: base.")
    )


def test_a_run_under_way_shows_the_curves_so_far(maker: Any) -> None:
    maker.model("base")
    for row in maker.events:
        row["stage"] = "next" if "stage" in row else row
        row["key"] = "key-next"
    maker.stage("next", "train", "Model", "running", artifact=False)
    page = render(maker.close("running", ended=None))
    assert "Not finished: step 20 of 20." in page.text and "Tokens a second" in page.text


def test_an_all_cached_run_says_so_and_what_was_spared(maker: Any) -> None:
    maker.corpus("clean", status="cached")
    maker.corpus("again", "clean", status="cached")
    text = render(maker.close()).text
    assert "Every one of the 2 stages stood in the store" in text and "2 stages from the store: 3.0s not spent again" in text


def test_an_artifact_of_another_key_is_not_taken_for_this_runs(maker: Any) -> None:
    maker.stage("clean", "clean", "Corpus", "failed", key="key-older", counts={"records_in": 7, "kept": 7})
    text = render(maker.close("DataError: no")).text
    assert "7 documents" not in text and "Nothing was read yet." in text


def test_damage_is_said_where_it_is_and_the_rest_stands(whole: Any) -> None:
    run = whole.close()
    (run / "stages/clean/scores/0.parquet").write_bytes(b"cut")
    (run / "stages/turns/tokenizer/tokenizer.json").write_text("{")
    (run / "stages/scores/scores.json").write_text("[]")
    (run / "stages/gate/verdict.json").write_text("{")
    manifest = run / "stages/out/manifest.json"
    manifest.write_text(manifest.read_text().replace("judged", "fudged"))
    text = render(run).text
    assert text.count(UNREADABLE) == 2 and "scores.json can't be read" in text and "verdict.json can't be read" in text
    assert "its checksum does not fit" in text and "How training went" in text


def test_a_cut_line_of_the_logs_is_left_out(whole: Any) -> None:
    run = whole.close()
    for path in (run / "events.jsonl", run / "stages/base/training.jsonl"):
        path.write_bytes(path.read_bytes() + b'{"event": "step", "st')
    text = render(run).text
    assert UNREADABLE not in text and "Held-out" not in text and "held-out loss" in text


def test_an_interval_without_an_end_renders(maker: Any) -> None:
    maker.scores("scores", low="-inf", high="inf")
    assert "-inf to inf" in render(maker.close()).text


def test_one_line_files_stand_for_links(whole: Any, tmp_path: Path) -> None:
    run = whole.close()
    (run / "stages/clean").rename(tmp_path / "elsewhere")
    (run / "stages/clean").write_text("../../../elsewhere\n")
    assert "10 documents" in render(run).text


def test_arrows_come_from_the_recipe_where_there_is_no_artifact_yet(maker: Any) -> None:
    maker.stage("chats", "format", "Chats", "waiting", artifact=False)
    maker.stage("sft", "tokenizer", "Tokenizer", "waiting", artifact=False)
    maker.stage("turns", "render", "Tokens", "waiting", artifact=False)
    recipe = "stages:\n  chats: {type: nobody_knows}\n  turns: {type: render, for: sft, input: chats, tokenizer: sft, length: 16}\n"
    write_report(maker.close("running", recipe))
    assert (maker.path / "report.html").read_text().count('<path class="arrow"') == 2


def test_a_folder_without_a_run_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"run\.json: can't be read"):
        write_report(tmp_path)
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(DataError, match=r"run\.json: can't be read"):
        write_report(tmp_path)


def test_a_hundred_thousand_steps_are_drawn_fast_and_small(maker: Any) -> None:
    maker.model("base", steps=100_000)
    run = maker.close()
    started = time.process_time()
    page = write_report(run)
    assert time.process_time() - started < 2.5  # 0.7 s on an idle core
    assert page.stat().st_size < 200_000 and UNREADABLE not in page.read_text()


def test_it_renders_without_torch(whole: Any) -> None:
    code = (
        f"import sys; from pathlib import Path; from ropewalk.report.html import write_report; write_report(Path({str(whole.close())!r}))"
    )
    done = subprocess.run([sys.executable, "-c", f"{code}; print('torch' in sys.modules)"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_steps_of_an_older_key_are_not_drawn(maker: Any) -> None:
    maker.events += [{"event": "stage_started", "stage": "base", "key": "older"}]
    maker.events += [{"event": "StepEnded", "stage": "base", "step": n, "loss": 1.0, "tokens": 9, "seconds": 0.1} for n in range(1, 9)]
    maker.stage("base", "train", "Model", "waiting", artifact=False)
    run = maker.close("running")
    assert "How training went" not in render(run).text
    assert json.loads((run / "run.json").read_text())["stages"]["base"]["status"] == "waiting"


def test_a_verdict_of_another_shape_does_not_stop_the_page(whole: Any) -> None:
    run = whole.close()
    (run / "stages/gate/verdict.json").write_text('{"findings": ["odd"]}')
    text = render(run).text
    assert text.count(UNREADABLE) == 4 and "How training went" in text and "Done" in text


def test_what_was_foreseen_stands_beside_what_it_took(whole: Any) -> None:
    text = render(whole.close()).text
    assert "Plan and actual" in text and "peak memory" in text and "a checkpoint" not in text, "what one side lacks is left out"
    assert "Rope <is> made & tested." in text and "What it wrote on the way" in text


def test_each_limit_is_drawn_with_the_share_that_went_for_it_and_changes_are_quoted(maker: Any) -> None:
    steps = [{"type": "length", "min_words": 3}, {"type": "repetition", "max_top_ngram": {"2": 0.5}}, {"type": "length", "min_words": 6}]
    dropped = {"dropped/length.min_words": 1, "dropped/length_2.min_words": 3, "dropped/repetition.max_top_ngram.2": 1}
    folder = maker.stage(
        "clean",
        "clean",
        "Corpus",
        config={"steps": steps},
        counts={"records_in": 10, "kept": 5, "dropped": 5, "quarantined": 0, **dropped},
        metrics={"normalise.changed": 1234, "changes": {"normalise": [{"id": "d<1>", "before": "a<b>\r", "after": "a"}]}},
    )
    scores = {"length.min_words": range(10), "repetition.max_top_ngram.2": [n / 10 for n in range(10)], "length_2.min_words": range(1, 11)}
    columns = {name: pa.array(values, pa.float64()) for name, values in scores.items()}
    write_table(pa.table({"id": [str(n) for n in range(10)], **columns}), folder / "scores/0.parquet")
    page = write_report(maker.close()).read_text()
    assert "min_words 3: 10% dropped" in page and "min_words 6: 30% dropped" in page and "max_top_ngram.2 0.5: 10% dropped" in page
    assert "Changed by clean" in page and "<code>normalise</code> 1,234" in page
    assert "<code>d&lt;1&gt;</code>" in page and "<del>a&lt;b&gt;" in page and "<ins>a</ins>" in page


def test_more_scores_than_a_dozen_are_in_a_fold(maker: Any) -> None:
    folder = maker.stage(
        "clean", "clean", "Corpus", config={"steps": []}, counts={"records_in": 10, "kept": 10, "dropped": 0, "quarantined": 0}
    )
    columns = {f"step.score{n}": [float((n + 1) * row) for row in range(10)] for n in range(15)}
    write_table(pa.table({"id": [str(n) for n in range(10)], **columns}), folder / "scores/0.parquet")
    page = write_report(maker.close()).read_text()
    assert "3 more scores</summary>" in page and page.count("histogram of step.score") == 15
