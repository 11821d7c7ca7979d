"""The same items scored by ropewalk and by lm-evaluation-harness: CPU-seconds, start-up, and every log-likelihood compared.

    python benchmarks/evaluate/side_by_side.py --rows FOLDER --peer VENV/bin/python [--items 200] [--page docs/benchmarks/evaluate.md]

FOLDER holds arc_easy, piqa and lambada_openai as .jsonl.gz; the peer's interpreter has lm_eval 0.4.13 and transformers. The model is
a GPT-2 of 13.9M parameters with random weights, made here and written as a Hugging Face folder that both read. Both run as their
users run them, one command a task, on one thread. Start-up is the same command with one item; scoring is what the others add.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml

from ropewalk.data.tokenizer import END, save_tokenizer, train_byte_bpe
from ropewalk.evaluate.rows import read_rows
from ropewalk.evaluate.scores import Scores
from ropewalk.models.folder_module import save_model
from ropewalk.models.gpt import GPT
from ropewalk.models.gpt_module import Decoder

TASKS = {
    "arc_easy": {
        "output_type": "multiple_choice",
        "doc_to_text": "{{query}}\nAnswer:",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "gold",
        "metric_list": [{"metric": name, "aggregation": "mean", "higher_is_better": True} for name in ("acc", "acc_norm")],
    },
    "piqa": {
        "output_type": "multiple_choice",
        "doc_to_text": "{{query}}Answer:",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "gold",
        "metric_list": [{"metric": name, "aggregation": "mean", "higher_is_better": True} for name in ("acc", "acc_norm")],
    },
    "lambada_openai": {
        "output_type": "loglikelihood",
        "doc_to_text": "{{context}}",
        "doc_to_target": "{{' '+continuation}}",
        "target_delimiter": "",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    },
}
BARS = {"arc_easy": 2.5, "piqa": 1.1, "lambada_openai": 1.1}
START_UP_BAR, EQUAL_TO = 0.4, 1e-4


@dataclass(frozen=True)
class Side:
    """What one program took for a task, and its log-likelihoods by item and choice."""

    start_up: float
    scoring: float
    peak_mb: int
    nats: list[list[float]]
    metrics: dict[str, float]


def measured(command: list[str], folder: Path) -> tuple[float, int]:
    """(CPU-seconds, peak MB) of a command and its children; it must succeed."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HOME": str(folder / "hf"),
    }
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command[:6])} … failed:\n{(folder / 'log.txt').read_text()[-2000:]}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss // 1024


def make_model(folder: Path, rows: Path) -> None:
    texts = [
        text for task in TASKS for row in read_rows(rows / f"{task}.jsonl.gz") for text in row.columns.values() if isinstance(text, str)
    ]
    tokenizer = folder / "tokenizer"
    save_tokenizer(train_byte_bpe(texts, 8192, (END,), 2, "gpt2"), tokenizer)
    shape = GPT(preset="gpt2-tiny", depth=6, width=384, heads=6, context=512).shape()
    module = Decoder(shape, 8192)
    with torch.no_grad():
        for number, parameter in enumerate(module.parameters()):
            if parameter.dim() > 1:  # as GPT-2 begins: normal with 0.02, and nothing of zero that would hide a difference
                parameter.normal_(std=0.02, generator=torch.Generator().manual_seed(number))
    save_model(folder / "model", module, tokenizer)


def ours(model: Path, task: str, rows: Path, items: int, work: Path) -> Side:
    def run(limit: int) -> tuple[float, int, Scores]:
        store = work / f"store-{task}-{limit}"
        shutil.rmtree(store, ignore_errors=True)
        suite = json.dumps({"task": task, "folder": str(rows), "limit": limit, "bos": False})
        command = [sys.executable, "-m", "ropewalk.cli.main", "-q", "evaluate", str(model), "--suite", suite, "--store", str(store)]
        seconds, peak = measured(command, work)
        (place,) = (store / "Scores").glob("[0-9a-f]*")
        return seconds, peak, Scores.open(place)

    start_up, _, _ = run(1)
    seconds, peak, scores = run(items)
    import pyarrow.parquet as pq

    details = [json.loads(text) for text in pq.read_table(scores.path / "items" / f"{task}.parquet")["detail"].to_pylist()]
    nats = [detail["nats"] if isinstance(detail["nats"], list) else [detail["nats"]] for detail in details]
    return Side(start_up, seconds - start_up, peak, nats, {name: metric.value for name, metric in scores.metrics.items()})


def theirs(model: Path, task: str, rows: Path, items: int, work: Path, python: str) -> Side:
    tasks = work / "tasks"
    tasks.mkdir(exist_ok=True)
    data = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(rows / f"{task}.jsonl.gz")}}, "test_split": "test"}
    (tasks / f"{task}.yaml").write_text(yaml.safe_dump({"task": f"local_{task}", **data, **TASKS[task]}))

    def run(limit: int) -> tuple[float, int, Path]:
        out = work / f"peer-{task}-{limit}"
        shutil.rmtree(out, ignore_errors=True)
        command = [python, "-m", "lm_eval", "run", "--model", "hf", "--model_args", f"pretrained={model},dtype=float32", "--device", "cpu"]
        command += ["--tasks", f"local_{task}", "--include_path", str(tasks), "--limit", str(limit), "--batch_size", "16"]
        seconds, peak = measured([*command, "--log_samples", "--output_path", str(out)], work)
        return seconds, peak, out

    run(1)  # the rows are put into the library's cache once
    start_up, _, _ = run(1)
    seconds, peak, out = run(items)
    (path,) = out.rglob("samples_*.jsonl")
    samples = sorted((json.loads(line) for line in path.read_text().splitlines()), key=lambda sample: sample["doc_id"])
    nats = [[float((one[0] if isinstance(one[0], list) else one)[0]) for one in sample["resps"]] for sample in samples]
    (found,) = out.rglob("results_*.json")
    results = json.loads(found.read_text())["results"][f"local_{task}"]
    metrics = {name.partition(",")[0]: value for name, value in results.items() if name.endswith(",none") and isinstance(value, float)}
    return Side(start_up, seconds - start_up, peak, nats, metrics)


def main() -> None:
    reading = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reading.add_argument("--rows", type=Path, required=True)
    reading.add_argument("--peer", required=True)
    reading.add_argument("--items", type=int, default=200)
    reading.add_argument("--work", type=Path)
    reading.add_argument("--page", type=Path)
    given = reading.parse_args()
    work = (given.work or Path(tempfile.mkdtemp(prefix="evaluate-"))).resolve()
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "model").is_dir():
        make_model(work, given.rows)
    lines, faults = [], []
    for task, bar in BARS.items():
        own = ours(work / "model", task, given.rows.resolve(), given.items, work)
        peer = theirs(work / "model", task, given.rows.resolve(), given.items, work, given.peer)
        assert [len(row) for row in own.nats] == [len(row) for row in peer.nats], f"{task}: other items"
        sign = -1 if task == "lambada_openai" else 1
        apart = max(
            abs(sign * ours_ - theirs_)
            for row, other in zip(own.nats, peer.nats, strict=True)
            for ours_, theirs_ in zip(row, other, strict=True)
        )
        faster, start = peer.scoring / own.scoring, own.start_up / peer.start_up
        faults += [f"{task}: scoring {faster:.2f} times, bar {bar}"] if faster < bar else []
        faults += [f"{task}: start-up {start:.2f}, bar {START_UP_BAR}"] if start > START_UP_BAR else []
        faults += [f"{task}: log-likelihoods differ by {apart:.1e}"] if apart > EQUAL_TO else []
        accuracy = own.metrics[f"{task}/accuracy"]
        faults += [f"{task}: accuracy {accuracy} and {peer.metrics['acc']}"] if abs(accuracy - peer.metrics["acc"]) > EQUAL_TO else []
        if "acc_norm" in peer.metrics and abs(own.metrics[f"{task}/accuracy_per_character"] - peer.metrics["acc_norm"]) > EQUAL_TO:
            faults.append(f"{task}: accuracy per character {own.metrics[f'{task}/accuracy_per_character']} and {peer.metrics['acc_norm']}")
        lines.append(
            f"| {task} | {own.scoring:.1f} | {peer.scoring:.1f} | **{faster:.1f}** (bar {bar}) | {own.start_up:.1f} | "
            f"{peer.start_up:.1f} | {start:.2f} (bar {START_UP_BAR}) | {own.peak_mb} | {peer.peak_mb} | {apart:.0e} |"
        )
        sys.stdout.write(lines[-1] + "\n")
        sys.stdout.flush()
    if given.page:
        given.page.write_text(page(given.items, lines), encoding="utf-8")
    sys.exit("\n".join(faults) or 0)


def page(items: int, lines: list[str]) -> str:
    head = [
        "# Evaluation beside lm-evaluation-harness",
        "",
        f"The same {items} items of each task, a GPT-2 of 13.9M parameters, one thread, CPU-seconds of the whole process.",
        "Start-up is the same command with one item; scoring is what the other items add. The last column is the largest",
        "difference of a log-likelihood; accuracy and accuracy per character are compared too and are equal.",
        "",
        "    python benchmarks/evaluate/side_by_side.py --rows FOLDER --peer VENV/bin/python --page docs/benchmarks/evaluate.md",
        "",
        "| task | ours: scoring | lm-eval 0.4.13 | times faster | ours: start-up | lm-eval | ratio | ours: peak MB | lm-eval | differ by |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    why = [
        "",
        "Where the difference comes from: the choices of a question are one tree, so the question is read once and choices that begin",
        "alike share their beginning; logits are made at the places that are asked for only; items of like size are put together.",
        "lm-evaluation-harness reads the question again with each choice and makes logits at every place. With examples before each",
        "item (few-shot) the difference grows, since what all items begin with is read once for all of them.",
        "",
    ]
    return "\n".join([*head, *lines, *why])


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
