"""Run folders made by hand: what a runner leaves behind, in the smallest form that has everything a report reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ropewalk.core.artifact import Manifest
from ropewalk.core.ledger import Ledger, write_table
from ropewalk.data.tokenizer import CHATML, END, Vocabulary, save_tokenizer, train_byte_bpe

COST = {"seconds": 1.5, "cpu_seconds": 1.0, "peak_bytes": 300 << 20}
ENVIRONMENT = {"versions": {"ropewalk": "0.1.0", "numpy": "2.0"}, "python": "3.11", "machine": "Linux x86_64", "cores": 2, "commit": ""}


@dataclass
class RunMaker:
    """Adds stages to a run folder; `close` writes its status."""

    path: Path
    name: str = "example"
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)

    def stage(self, name: str, type_: str, makes: str, status: str = "done", *, artifact: bool = True, **facts: Any) -> Path:
        """A stage with key `key-NAME`; `facts` go into its artifact's manifest. The folder is for the caller to fill."""
        entry = {"status": status, "key": f"key-{name}", "type": type_, "makes": makes}
        self.stages[name] = entry | ({"cost": COST} if status in ("done", "cached") else {})
        folder = self.path / "stages" / name
        if artifact:
            folder.mkdir(parents=True)
            Manifest(type=makes, stage=name, **{"key": f"key-{name}", **facts}).write(folder)
        return folder

    def corpus(self, name: str, *reads: str, status: str = "done", label: str = "a", text: str = "some text") -> Path:
        """A cleaned corpus of ten records, of which two were dropped: one with an example, one in the ledger only."""
        reason = f"length.{label}"
        folder = self.stage(
            name,
            "clean",
            "Corpus",
            status,
            config={"steps": [{"type": "length", "min_words": 3}]},
            inputs={f"input{n}": f"key-{other}" for n, other in enumerate(reads)},
            counts={"records_in": 10, "kept": 8, "dropped": 2, "quarantined": 0, f"dropped/{reason}": 1, "dropped/other": 1},
            metrics={"text_bytes": 4000, "examples": {reason: [{"id": label, "text": text, "score": 2.0, "witness": text}]}},
        )
        ledger = Ledger(name)
        ledger.add(label, "other", 1.0, text)
        ledger.write(folder / "ledger/0.parquet")
        ids = [label] * 10
        write_table(pa.table({"id": ids, "length.min_words": [float(n) for n in range(10)]}), folder / "scores/0.parquet")
        return folder

    def tokens(self, name: str, *reads: str, id_: str = "a", text: str = "hello world") -> Path:
        """One rendered chat whose answer is trained."""
        folder = self.stage(
            name,
            "render",
            "Tokens",
            config={"length": 16},
            inputs={f"input{n}": f"key-{other}" for n, other in enumerate(reads)},
            counts={"records_in": 1, "kept": 1, "dropped": 0, "quarantined": 0},
            metrics={"tokens": 20, "text_bytes": 30, "train/positions": 20, "train/trained_tokens": 10, "train/fill": 0.9},
        )
        save_tokenizer(train_byte_bpe([text], 300, (END, *CHATML), 2, "gpt2"), folder / "tokenizer")
        vocabulary = Vocabulary(folder / "tokenizer")
        question, answer = vocabulary.encode([text, text])
        ids = np.concatenate([[vocabulary.control(CHATML[0])], question, answer, [vocabulary.control(CHATML[1])]]).astype(np.uint16)
        mask = np.arange(len(ids)) > len(question)
        (folder / "tokens.bin").write_bytes(ids.tobytes())
        (folder / "mask.bin").write_bytes(mask.astype(np.uint8).tobytes())
        facts = {"dtype": "uint16", "vocab_size": 300, "length": 16, "bos_id": 0, "eos_id": 0, "pad_id": 0}
        (folder / "tokens.json").write_text(json.dumps({**facts, "tokenizer_key": "", "packing": "pad", "attend": "document"}))
        row = {"id": [id_], "source": ["s"], "offset": [0], "length": [len(ids)], "text_bytes": [30], "split": ["train"]}
        write_table(pa.table(row), folder / "documents.parquet")
        return folder

    def model(self, name: str, *reads: str, steps: int = 20) -> Path:
        """A trained model with its log, and the clock's in the run's events."""
        folder = self.stage(
            name,
            "train",
            "Model",
            inputs={f"input{n}": f"key-{other}" for n, other in enumerate(reads)},
            metrics={
                "parameters": 1234,
                "steps": steps,
                "tokens": 64 * steps,
                "holdout_loss": 2.5,
                "best_holdout_loss": 2.5,
                "best_step": steps,
            },
        )
        rows: list[dict[str, Any]] = []
        self.events.append({"event": "stage_started", "stage": name, "key": f"key-{name}"})
        for step in range(1, steps + 1):
            numbers = {"step": step, "loss": 3 + 1 / step, "learning_rate": 0.01, "gradient_norm": 1.0 + step % 7, "tokens": 64}
            rows.append({"event": "step", **numbers, "predicted": 64})
            self.events.append({"event": "StepEnded", "stage": name, "total_steps": steps, "seconds": 0.25, **numbers})
        written = [["Rope <is>", " made & tested."]]
        rows.append({"event": "evaluated", "step": steps, "holdout_loss": 2.5, "best": True, "samples": written})
        self.stages[name]["expected"] = {"parameters": 1234, "tokens": 64 * steps, "seconds": 30.0, "peak_bytes": 1 << 30}
        (folder / "training.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return folder

    def scores(self, name: str, *reads: str, suite: str = "perplexity", low: float | str = 2.2, high: float | str = 2.8) -> Path:
        folder = self.stage(name, "evaluate", "Scores", inputs={f"input{n}": f"key-{other}" for n, other in enumerate(reads)})
        metric = {"name": "bits_per_byte", "value": 2.5, "low": low, "high": high, "unit": "bits/byte", "items": 34}
        metric |= {"higher_is_better": False, "scale": "ratio", "baselines": {"unigram": 4.0, "trigram": 2.0}}
        (folder / "scores.json").write_text(json.dumps({suite: {"items": 34, "counts": {}, "metrics": [metric]}}))
        return folder

    def gate(self, name: str, *reads: str, passed: bool = True, message: str = "bits is 2.5: must be at most 3") -> Path:
        status = "done" if passed else "gate failed"
        folder = self.stage(name, "gate", "Verdict", status, inputs={f"input{n}": f"key-{other}" for n, other in enumerate(reads)})
        finding = {
            "passed": passed,
            "title": "t",
            "message": message,
            "metric": "perplexity/bits_per_byte",
            "threshold": 3.0,
            "baseline": "",
        }
        (folder / "verdict.json").write_text(json.dumps({"name": name, "passed": passed, "model": "", "findings": [finding]}))
        return folder

    def close(self, status: str = "done", recipe: str = "", ended: float | None = 1_700_000_060.0) -> Path:
        body = {"name": self.name, "started": 1_700_000_000.0, "status": status, "environment": ENVIRONMENT, "stages": self.stages}
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / "run.json").write_text(json.dumps(body | ({"ended": ended} if ended else {})))
        (self.path / "recipe.yaml").write_text(recipe)
        lines: Sequence[Mapping[str, Any]] = [{"event": "run_started"}, *self.events]
        (self.path / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return self.path


@pytest.fixture
def maker(tmp_path: Path) -> RunMaker:
    return RunMaker(tmp_path / "runs/example")


def add_forecasts(folder: Path, suite: str, symbols: Sequence[str] = ("a",), origins: int = 2, steps: int = 3) -> None:
    """What a suite of forecasts leaves for the page: every value is its row's number, between one less and one more."""
    rows = len(symbols) * origins * steps
    stamps = np.datetime64("2024-01-01", "s") + np.arange(origins * steps) * np.timedelta64(86400, "s")
    values = np.arange(rows, dtype=np.float64)
    columns = {
        "symbol": [name for name in symbols for _ in range(origins * steps)],
        "origin": np.tile(np.repeat(stamps[::steps], steps), len(symbols)),
        "time": np.tile(stamps, len(symbols)),
        "actual": values,
        "low": values - 1,
        "median": values,
        "high": values + 1,
        "naive": values,
    }
    write_table(pa.table(columns), folder / "tables" / f"{suite}.parquet")


@pytest.fixture
def add_tables() -> Callable[..., None]:
    return add_forecasts


@pytest.fixture
def whole(maker: RunMaker) -> RunMaker:
    """A run of every kind of stage, not yet closed."""
    maker.corpus("clean")
    tasks = {"boolq": {"items": 2, "compared": 2, "found": 0, "documents": 0}}
    maker.stage("fair", "decontaminate", "Corpus", inputs={"input": "key-clean"}, metrics={"tasks": tasks})
    maker.tokens("turns", "clean")
    maker.model("base", "turns")
    add_forecasts(maker.scores("scores", "base"), "perplexity")
    maker.gate("gate", "scores")
    found = {"clusters": 1, "components": 1, "largest_cluster": 2, "largest": []}
    maker.stage("unique", "dedup", "Corpus", inputs={"input": "key-clean"}, metrics=found)
    maker.stage("out", "export", "Model", inputs={"model": "key-base", "verdict": "key-gate"}, metrics={"judged": True})
    return maker
