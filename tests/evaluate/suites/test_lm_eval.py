"""lm-evaluation-harness on our scorer gives what our own task gives, on rows that lie here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from ropewalk.core.errors import ConfigError, MissingExtra
from ropewalk.evaluate.scores import SuiteResult
from ropewalk.evaluate.scoring import Subject
from ropewalk.evaluate.suites.answer import Answer
from ropewalk.evaluate.suites.cloze import Cloze
from ropewalk.evaluate.suites.lm_eval import LmEval
from ropewalk.evaluate.suites.multiple_choice import MultipleChoice
from ropewalk.evaluate.suites.suite import Suite

ROWS = [{"query": f"document {n} says", "choices": ["the quick", "brown fox", "é"], "gold": n % 3} for n in range(12)]
PASSAGES = [{"context": f"the quick brown fox number {n} jumps", "continuation": "over" if n % 2 else "lazy"} for n in range(6)]


def ask(suite: Suite, subject: Subject) -> SuiteResult:
    return suite.run(subject, lambda ref: None, lambda done: None)


def numbers(result: SuiteResult, name: str) -> list[float]:
    return next(measure.numerators for measure in result.measures if measure.name == name).tolist()


def task(folder: Path, name: str, rows: list[dict[str, Any]], **fields: Any) -> None:
    (folder / f"{name}.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    data = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(folder / f"{name}.jsonl")}},
        "test_split": "test",
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump({**data, **fields}))


def test_the_harness_and_our_own_tasks_agree(subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness (extra eval) is not installed")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    both = [{"metric": name, "aggregation": "mean", "higher_is_better": True} for name in ("acc", "acc_norm")]
    choice = {"output_type": "multiple_choice", "doc_to_text": "{{query}}", "doc_to_choice": "{{choices}}", "doc_to_target": "gold"}
    task(tmp_path, "local_choice", ROWS, **choice, metric_list=both)
    passage = {
        "output_type": "loglikelihood",
        "doc_to_text": "{{context}}",
        "doc_to_target": "{{' '+continuation}}",
        "target_delimiter": "",
    }
    task(tmp_path, "local_passage", PASSAGES, **passage, metric_list=[{"metric": "acc", "aggregation": "mean", "higher_is_better": True}])
    theirs = ask(LmEval(task="local_choice", include=tmp_path), subject)
    ours = ask(MultipleChoice(rows=ROWS, bos=False), subject)
    assert numbers(theirs, "acc") == numbers(ours, "accuracy")
    assert numbers(theirs, "acc_norm") == numbers(ours, "accuracy_per_character")
    assert len(ask(LmEval(task="local_choice", include=tmp_path, limit=4, shots=1), subject).items) == 4
    theirs, ours = ask(LmEval(task="local_passage", include=tmp_path), subject), ask(Cloze(rows=PASSAGES, bos=False), subject)
    assert numbers(theirs, "acc") == numbers(ours, "accuracy")
    written = {"output_type": "generate_until", "doc_to_text": "{{context}}", "doc_to_target": "{{continuation}}"}
    wishes = {"generation_kwargs": {"until": ["x"], "max_gen_toks": 6}, "metric_list": [{"metric": "exact_match"}]}
    task(tmp_path, "local_writing", PASSAGES, **written, **wishes)
    theirs = ask(LmEval(task="local_writing", include=tmp_path), subject)
    rows = [{"prompt": row["context"], "answer": row["continuation"]} for row in PASSAGES]
    ours = ask(Answer(rows=rows, bos=False, stop=["x"], max_new_tokens=6), subject)
    assert numbers(theirs, "exact_match") == numbers(ours, "accuracy") and np.sum(numbers(ours, "accuracy")) >= 0
    with pytest.raises(ConfigError, match="did you mean 'local_choice'"):
        ask(LmEval(task="local_choise", include=tmp_path), subject)


def test_without_the_harness_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    def missing(package: str) -> str:
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(MissingExtra, match="suite lm_eval needs the package lm_eval"):
        LmEval(task="piqa").fingerprint()
