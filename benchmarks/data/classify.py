"""Language id, toxicity and trained classifiers beside their peers, in one run: speed a CPU-second, and how right they are.

Needs DATA_DIR. `--peers PYTHON` names an interpreter that has alt-profanity-check (it pins scikit-learn: best a venv of its own).
Writes docs/benchmarks/classify.md. Speeds are in bytes of UTF-8 a CPU-second of one process, the best of `--rounds`, compiled before.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ropewalk import load
from ropewalk.core.reference import Ref
from ropewalk.data.classify.classifier import Classifier
from ropewalk.data.classify.disguise import disguised
from ropewalk.data.corpus import from_documents
from ropewalk.data.filters.language import Language
from ropewalk.data.filters.toxicity import Toxicity
from ropewalk.data.records import Document
from ropewalk.data.steps import Batch
from ropewalk.evaluate.classification import Judgement, best_threshold, macro_f1, roc_auc
from ropewalk.evaluate.intervals import Interval
from ropewalk.pipeline.recipe import loads

ROOT = Path(__file__).parents[2]
LIMIT = 2000
PEER = """
import json, sys, time
from importlib.metadata import version
import warnings
warnings.filterwarnings("ignore")
from profanity_check import predict_prob
speed, tweets = json.load(sys.stdin)
predict_prob(speed[:50])
started = time.process_time()
predict_prob(speed)
seconds = time.process_time() - started
print(json.dumps({"seconds": seconds, "scores": predict_prob(tweets).tolist(),
                  "version": version("alt-profanity-check"), "sklearn": version("scikit-learn")}))
"""
QUALITY = """
format: 1
name: quality
stages:
  pages: {type: load, source: {type: jsonl, path: pages.jsonl}}
  judge: {type: classifier, input: pages, label: label, positive_labels: ["1"], penalty: 1.0}
"""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Speed:
    """How fast something judged texts: `read` counts the bytes looked at, `whole` all bytes of the documents."""

    name: str
    documents: int
    read_bytes: int
    whole_bytes: int
    seconds: float

    def row(self) -> str:
        read, whole = (size / 1e6 / self.seconds for size in (self.read_bytes, self.whole_bytes))
        return f"| {self.name} | {self.documents:,} | {self.read_bytes / 1e6:.1f} | {read:.1f} | {whole:.1f} |"


def texts_in(path: Path, most: int = 10**9) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for _, line in zip(range(most), lines, strict=False)]


def batches(texts: Sequence[str]) -> list[Batch]:
    documents = [Document(str(place), text) for place, text in enumerate(texts)]
    return [Batch(from_documents(documents[start : start + 2048])) for start in range(0, len(documents), 2048)]


def timed(name: str, work: Callable[[], Any], texts: Sequence[str], limit: int, rounds: int) -> Speed:
    """The best of some rounds; the first, which compiles, is not counted."""
    sizes = np.array([len(text.encode()) for text in texts])
    found = []
    for _ in range(rounds + 1):
        started = time.process_time()
        work()
        found.append(time.process_time() - started)
    read = np.minimum(sizes, limit) if limit else sizes
    return Speed(name, len(texts), int(read.sum()), int(sizes.sum()), min(found[1:]))


def step_speed(name: str, step: Any, texts: Sequence[str], limit: int, rounds: int) -> Speed:
    parts = batches(texts)
    return timed(name, lambda: [step.apply(part) for part in parts], texts, limit, rounds)


def scores(step: Any, texts: Sequence[str], rule: int = 0) -> Floats:
    return np.concatenate([np.empty(0), *(step.apply(part).rules[rule].values for part in batches(texts))])


def cut(texts: Sequence[str]) -> list[str]:
    return [text.encode()[:LIMIT].decode(errors="ignore") for text in texts]


def shown(interval: Interval | dict[str, float], digits: int = 3) -> str:
    value, low, high = (interval[name] if isinstance(interval, dict) else getattr(interval, name) for name in ("value", "low", "high"))
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def judged_row(name: str, probabilities: Floats, positive: NDArray[np.bool_], threshold: float | Floats | None = None) -> str:
    at = best_threshold(probabilities, positive) if threshold is None else threshold
    note = "best on these tweets" if threshold is None else "0.5" if isinstance(threshold, float) else "from the other folds"
    return f"| {name} | {shown(roc_auc(probabilities, positive))} | {shown(macro_f1(probabilities >= at, positive))} | {note} |"


def scikit(texts: list[str], positive: NDArray[np.bool_], speed_texts: list[str], rounds: int) -> tuple[Floats, Speed]:
    """Out-of-fold probabilities of hashed n-grams by scikit-learn, and its speed."""
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline, make_union

    words = HashingVectorizer(ngram_range=(1, 2), n_features=1 << 18, norm=None, alternate_sign=False)
    letters = HashingVectorizer(analyzer="char_wb", ngram_range=(3, 5), n_features=1 << 18, norm=None, alternate_sign=False)
    features = make_pipeline(make_union(words, letters), TfidfTransformer(use_idf=False, sublinear_tf=True))
    matrix = features.fit_transform(texts)
    model = LogisticRegression(C=3, max_iter=500)
    out = cross_val_predict(model, matrix, positive, cv=StratifiedKFold(5, shuffle=True, random_state=0), method="predict_proba")
    model.fit(matrix, positive)
    name = f"scikit-learn {version('scikit-learn')}, the same n-grams hashed"
    return out[:, 1], timed(name, lambda: model.predict_proba(features.transform(speed_texts)), speed_texts, 0, rounds)


def languages(texts: list[str], rounds: int) -> tuple[list[Speed], str]:
    """Our speed and the package's own on the same first bytes, and how far their answers agree."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    package = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    few = cut(texts[:: max(1, len(texts) // 400)])
    speeds = [
        step_speed("`language`, first 2 kB", Language(), texts, LIMIT, rounds),
        step_speed("`language`, whole documents", Language(first_bytes=0), texts, 0, rounds),
        timed(f"py3langid {version('py3langid')}, first 2 kB", lambda: [package.classify(text) for text in few], few, 0, 1),
    ]
    expected = np.array([dict(package.rank(text))["en"] for text in few])
    apart = float(np.abs(scores(Language(), few) - expected).max())
    return speeds, f"On {len(few)} of these documents the probability of English differs by {apart:.1e} at most."


def elsewhere(data: Path, model: Toxicity) -> list[str]:
    """How much of texts that are hardly ever toxic is called toxic."""
    sets = {name: texts_in(data / "pretrain" / path, 1500) for name, path in CLEAN.items()}
    with gzip.open(data / "sft/gsm8k/train.jsonl.gz", "rt", encoding="utf-8") as rows:
        sets["word problems"] = [json.loads(row)["question"] for row in rows][:1500]
    lines = []
    for name, texts in sets.items():
        by_model, by_list = scores(model, texts), scores(Toxicity(), texts)
        shares = " | ".join(f"{100 * np.mean(found > at):.2f}%" for found, at in ((by_model, 0.5), (by_model, 0.9), (by_list, 0.5)))
        lines.append(f"| {name} | {len(texts):,} | {shares} |")
    return lines


CLEAN = {
    "web pages": "web/web.jsonl.gz",
    "books": "books/books_pd.jsonl.gz",
    "King James Bible": "kjv/kjv_chapters.jsonl.gz",
    "speeches": "speeches/us_speeches.jsonl.gz",
    "Python's documentation": "docs/python311.jsonl.gz",
    "manual pages": "docs/manpages.jsonl.gz",
}


def quality(data: Path, folder: Path) -> list[str]:
    """A quality classifier from the labelled web pages that are in one file only, judged on the other file."""
    held = {}
    for name in ("majority", "agreement"):
        with gzip.open(data / f"quality/dclm_human/{name}_data.jsonl.gz", "rt", encoding="utf-8") as rows:
            held[name] = [json.loads(row) for row in rows]
    away = {row["text"] for row in held["agreement"]}
    learnt = [row for row in held["majority"] if row["text"] not in away]
    (folder / "pages.jsonl").write_text("".join(json.dumps(row) + "\n" for row in learnt), encoding="utf-8")
    recipe = loads(QUALITY, folder=folder)
    made = recipe.model_copy(update={"store": folder / "store", "runs": folder / "quality"}).run(quiet=True)["judge"]
    assert isinstance(made, Classifier)
    parts = batches([row["text"] for row in held["agreement"]])
    found = np.concatenate([np.empty(0), *(made.load().judge(part.table["text"], LIMIT) for part in parts)])
    facts = made.manifest.metrics
    measured = Judgement.of(found, np.array([str(row["label"]) == "1" for row in held["agreement"]]), facts["threshold"])
    return [
        f"| {len(learnt)} pages of `majority_data`, five folds | {shown(facts['roc_auc'])} | {shown(facts['macro_f1'])} |",
        f"| {len(found)} pages of `agreement_data`, none of them learnt from | {shown(measured.roc_auc)} | {shown(measured.macro_f1)} |",
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", default="", help="a Python that has alt-profanity-check")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    if not os.environ.get("DATA_DIR"):
        print("DATA_DIR is not set: there is no real text to measure on", file=sys.stderr)
        return 3
    data = Path(os.environ["DATA_DIR"])
    with tempfile.TemporaryDirectory() as temporary:
        text = report(data, Path(temporary), given.peers, given.rounds)
    (ROOT / "docs/benchmarks/classify.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


def report(data: Path, folder: Path, peers: str, rounds: int) -> str:
    texts = [text for path in CLEAN.values() for text in texts_in(data / "pretrain" / path)]
    with gzip.open(data / "toxicity/davidson_tweets/labeled_data.csv.gz", "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(io.StringIO(file.read(), newline="")))
    tweets, positive = [row["tweet"] for row in rows], np.array([row["class"] != "2" for row in rows])

    started = time.process_time()
    recipe = load(ROOT / "recipes/toxicity.yaml").model_copy(update={"store": folder / "store", "runs": folder / "runs"})
    artifact = recipe.run("toxic", quiet=True)["toxic"]
    training_seconds, facts = time.process_time() - started, artifact.manifest.metrics
    model = Toxicity(model=Ref(f"path:{artifact.path}"))

    speeds, agreement = languages(texts, rounds)
    speeds += [
        step_speed("`toxicity` with the classifier, first 2 kB", model, texts, LIMIT, rounds),
        step_speed("the same, and each sentence", model.model_copy(update={"span_at_most": 0.99}), texts, LIMIT, rounds),
        step_speed("`toxicity` with the classifier, whole documents", model.model_copy(update={"first_bytes": 0}), texts, 0, rounds),
        step_speed("`toxicity` with the word list, first 2 kB", Toxicity(), texts, LIMIT, rounds),
    ]
    few = cut(texts[:: max(1, len(texts) // 1000)])
    by_scikit, speed = scikit(tweets, positive, few, 1)
    speeds.append(speed)
    peer_row, peer_name = "", "alt-profanity-check: not measured, `--peers` names no Python that has it"
    if peers:
        done = subprocess.run([peers, "-c", PEER], input=json.dumps([few, tweets]), capture_output=True, text=True, check=True)
        said = json.loads(done.stdout)
        peer_name = f"alt-profanity-check {said['version']} (scikit-learn {said['sklearn']})"
        peer_row = judged_row(f"{peer_name}, which was trained on these very tweets", np.array(said["scores"]), positive, 0.5)
        size = sum(len(text.encode()) for text in few)
        speeds.append(Speed(peer_name, len(few), size, size, said["seconds"]))

    hidden = [disguised(text, "benchmark") for text in tweets]
    masked = facts["disguised"]
    always = macro_f1(np.ones(len(tweets), np.bool_), positive)
    table = [
        f"| `classifier` by `recipes/toxicity.yaml` | {shown(facts['roc_auc'])} | {shown(facts['macro_f1'])} | from the other folds |",
        f"| the same at 0.5 | {shown(facts['roc_auc'])} | {shown(facts['macro_f1_at_half'])} | 0.5 |",
        f"| the same, half of the tweets, in disguise | {shown(masked['roc_auc'])} | {shown(masked['macro_f1'])} | from the other folds |",
        judged_row(f"scikit-learn {version('scikit-learn')}, the same n-grams hashed", by_scikit, positive, 0.5),
        judged_row("the shipped word list", scores(Toxicity(), tweets), positive, 0.5),
        judged_row("the shipped word list on tweets in disguise", scores(Toxicity(), hidden), positive, 0.5),
        *([peer_row] if peer_row else []),
        f"| always toxic | 0.500 | {shown(always)} | |",
    ]
    bins = [f"| {row['from']:.1f} | {row['texts']:,} | {row['probability']:.3f} | {row['positive']:.3f} |" for row in facts["calibration"]]
    return TEMPLATE.format(
        machine=f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, numba {version('numba')}",
        command="benchmarks/data/classify.py" + (" --peers PYTHON" if peers else ""),
        size=sum(len(text.encode()) for text in texts) / 1e6,
        number=len(texts),
        speeds="\n".join(speed.row() for speed in speeds),
        agreement=agreement,
        tweets=len(tweets),
        toxic=int(positive.sum()),
        table="\n".join(table),
        peer="" if peer_row else f"\n{peer_name}.\n",
        training=training_seconds,
        loss=shown(facts["log_loss"]),
        error=facts["calibration_error"],
        bins="\n".join(bins),
        elsewhere="\n".join(elsewhere(data, model)),
        quality="\n".join(quality(data, folder)),
    )


TEMPLATE = """# Language, toxicity and trained classifiers

Made by `{command}` ({machine}).
Speeds are of one process, in MB of UTF-8 a CPU-second, compiled before, the best of the rounds. *Read* counts the bytes looked at,
*whole* all bytes of the documents judged: a document of 10 kB of which the first 2 kB are read counts 2 and 10. The corpus is
{number:,} documents, {size:.1f} MB: web pages, books, the King James Bible, speeches, Python's documentation, manual pages.

| | documents | MB read | read MB/s | whole MB/s |
|---|---|---|---|---|
{speeds}

{agreement}

## Toxicity: {tweets:,} labelled tweets, {toxic:,} of them toxic

Five folds; equal tweets are in one fold. Intervals are 95%. Macro F1 is the mean of both classes' F1; *threshold* says where it was taken.

| | ROC-AUC | macro F1 | threshold |
|---|---|---|---|
{table}
{peer}
Loading, five folds and the final training took {training:.0f} CPU-seconds. Log loss {loss} nats, mean calibration error {error:.3f};
probabilities in folds:

| from | tweets | mean probability | toxic |
|---|---|---|---|
{bins}

## Elsewhere: share of texts called toxic that hardly ever are

| | documents | classifier above 0.5 | above 0.9 | word list above 0.5 |
|---|---|---|---|---|
{elsewhere}

## Quality: web pages that people labelled

| judged on | ROC-AUC | macro F1 |
|---|---|---|
{quality}

All pages of `agreement_data` are in `majority_data` too; they were left out of what is learnt from. What remains there are the pages that
people did not agree on, which is why folds of them score lower than the pages that everybody agreed on.
"""


if __name__ == "__main__":
    sys.exit(main())
