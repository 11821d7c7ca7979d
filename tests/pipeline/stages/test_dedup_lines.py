"""The dedup_lines stage: texts without what earlier ones had, whatever the shards, and the sums that say so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ropewalk.core.artifact import Manifest
from ropewalk.core.errors import DataError
from ropewalk.data.corpus import Corpus, from_documents, write_documents
from ropewalk.data.records import Document
from ropewalk.pipeline.stages.dedup_lines import DedupLines

NOTICE = "This page was printed from the archive and may be copied by anybody"
TEXTS = [f"First of all.\n\n{NOTICE}\n", f"Second.\n\n{NOTICE}", NOTICE, "Third."]


def corpus(folder: Path, shards: list[list[str]]) -> Corpus:
    number = 0
    for place, texts in enumerate(shards):
        rows = [Document(f"{number + row}", text, "tests", "", {}) for row, text in enumerate(texts)]
        number += len(texts)
        write_documents(from_documents(rows), folder / "documents" / f"{place}.parquet")
    return Corpus(folder, Manifest("Corpus"))


@pytest.mark.parametrize("shards", [[TEXTS], [TEXTS[:1], TEXTS[1:]], [[text] for text in TEXTS]])
def test_the_first_occurrence_stays_however_the_corpus_is_cut(
    tmp_path: Path, make_stage: Callable[..., Any], shards: list[list[str]]
) -> None:
    stage = DedupLines.model_validate({"input": "raw"})
    made, facts = make_stage(stage, {"raw": corpus(tmp_path / "in", shards)})
    assert [(document.id, document.text) for document in made.documents()] == [("0", TEXTS[0]), ("1", "Second."), ("3", "Third.")]
    assert facts.counts["dropped/nothing_left"] == 1 and facts.metrics["lines_cut"] == 2 and facts.metrics["changed"] == 1
    assert facts.metrics["bytes_cut"] == 2 * len(NOTICE) + 2
    assert sorted(path.name for path in made.path.iterdir()) == ["documents", "ledger"]


def test_nothing_in_and_nothing_left_are_errors(tmp_path: Path, make_stage: Callable[..., Any]) -> None:
    stage = DedupLines.model_validate({"input": "raw", "most": 1})
    with pytest.raises(DataError, match="raw: no documents"):
        make_stage(stage, {"raw": corpus(tmp_path / "empty", [[]])}, "empty")
    kept, _ = make_stage(DedupLines.model_validate({"input": "raw", "most": 2}), {"raw": corpus(tmp_path / "in", [TEXTS])}, "two")
    assert [document.text for document in kept.documents()][:2] == TEXTS[:2]
