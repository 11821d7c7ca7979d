"""The train stage end to end on tiny real text: the folder it makes, stopping and going on, and what it refuses."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from ropewalk.core.artifact import Artifact, Manifest
from ropewalk.core.component import as_tree
from ropewalk.core.errors import ChangedRun, CheckpointError, DataError, Interrupted
from ropewalk.core.events import Evaluated, Event, Recovered, Saved, Started, StepEnded, StopRequest
from ropewalk.core.identity import identify
from ropewalk.core.log import Progress
from ropewalk.core.reference import Ref
from ropewalk.data.token_store import EncodedShard, Layout, join_shards
from ropewalk.data.tokenizer import END, Vocabulary, save_tokenizer, train_byte_bpe
from ropewalk.data.tokens import Tokens
from ropewalk.models.gpt import GPT
from ropewalk.models.model import Model
from ropewalk.pipeline.stage import Context, Facts
from ropewalk.pipeline.stages.pack import Pack
from ropewalk.pipeline.stages.train import LOG_FILE, Train

TEXTS = [f"{name} gives {n} knots to rope number {n * n % 17}." for n in range(60) for name in ("Ann", "Bo")]
SHAPE = {"type": "gpt", "preset": "qwen3-tiny", "depth": 1, "width": 16, "heads": 2, "mlp_width": 24, "context": 48}
LONG = "sequences of 64 tokens are longer than the model's context of 48: set length: 48 where they are made"
LEARNS = {"data": "packed", "model": SHAPE, "optimizer": {"type": "adamw", "lr": 0.01}, "device": "cpu"}


def tokens_of(folder: Path, *, holdout: float = 0.2, texts: list[str] = TEXTS, length: int = 32) -> Tokens:
    """Packed tokens of the texts, with a tokenizer trained on them."""
    save_tokenizer(train_byte_bpe(texts, 300, [END], 2, "gpt2"), folder / "vocab")
    vocabulary = Vocabulary(folder / "vocab")
    shard = EncodedShard(vocabulary.size)
    for number, ids in enumerate(vocabulary.encode(texts)):
        shard.add(str(number), "test", len(texts[number]), np.array([vocabulary.bos_id, *ids, vocabulary.eos_id]))
    out = folder / "tokens"
    out.mkdir()
    shard.write(out, "a")
    join_shards(out, vocabulary, Layout(length, "best_fit", "document", holdout, 3))
    return Tokens(out, Manifest("Tokens"))


class Bench:
    """A folder in which stages are made as the runner makes them; work is kept between tries."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events: list[Event] = []

    def make(
        self, fields: dict[str, Any], inputs: dict[str, Artifact], listener: Callable[[Event], StopRequest | None] = lambda event: None
    ) -> tuple[Model, Facts]:
        stage = Train.model_validate({**LEARNS, **fields})
        out = self.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        self.events = []
        context = Context(
            name="base",
            seed=11,
            out=out,
            work=self.folder / "work",
            log=logging.getLogger("ropewalk"),
            open_ref={Ref(name): artifact for name, artifact in inputs.items()}.__getitem__,
            shard_map=lambda function, shards, unit: [],
            start_progress=lambda title, total, unit: Progress(title, total, unit, quiet=True),
            listeners=(self.events.append, listener),  # type: ignore[arg-type]
        )
        return Model(out, Manifest("Model")), stage.make(context)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def stop_at(step: int) -> Callable[[Event], StopRequest | None]:
    return lambda event: StopRequest("test") if isinstance(event, StepEnded) and event.step == step else None


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    return tokens_of(tmp_path_factory.mktemp("packed"))


def test_it_learns_and_makes_a_hugging_face_folder(tmp_path: Path, packed: Tokens) -> None:
    bench = Bench(tmp_path)
    model, facts = bench.make({"budget": {"epochs": 6}, "batch": {"sequences": 8}}, {"packed": packed})
    assert set(bytes_of(model.path)) >= {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", LOG_FILE}
    started, evaluated = bench.of(Started)[0], bench.of(Evaluated)
    assert facts.metrics["best_holdout_loss"] < 0.75 * np.log(300) and evaluated[-1].step == facts.metrics["steps"]
    assert started.facts["parameters"] == facts.metrics["parameters"] == sum(p.numel() for p in model.load().parameters())
    assert started.facts["batch"] == 8 and started.facts["precision"] == "fp32" and started.facts["device"] == "cpu"
    assert started.facts["tokens"] == facts.metrics["tokens"] == 6 * packed.sequences("train").positions
    assert started.facts["predicted"] == 6 * int(packed.sequences("train").trained.sum())
    rows = [json.loads(line) for line in (model.path / LOG_FILE).read_text().splitlines()]
    assert [row["step"] for row in rows if row["event"] == "step"] == list(range(1, facts.metrics["steps"] + 1))
    assert not any("seconds" in row for row in rows)


def test_two_runs_are_equal_and_so_is_one_that_was_stopped(tmp_path: Path, packed: Tokens) -> None:
    fields = {"budget": {"steps": 9}, "model": {**SHAPE, "dropout": 0.1}, "batch": {"sequences": 4}, "save": {"every": 2}, "average": 0.9}
    whole = bytes_of(Bench(tmp_path / "whole").make(fields, {"packed": packed})[0].path)
    bench = Bench(tmp_path / "broken")
    for step in (1, 3, 9):
        with pytest.raises(Interrupted):
            bench.make(fields, {"packed": packed}, stop_at(step))
        assert not list((tmp_path / "broken" / "out").iterdir()), "nothing half-made"
    model, _ = bench.make(fields, {"packed": packed})
    assert bytes_of(model.path) == whole and not bench.of(StepEnded) and bench.of(Started)[0].step == 9


def test_a_damaged_checkpoint_is_named_and_the_older_one_used(tmp_path: Path, packed: Tokens, caplog: pytest.LogCaptureFixture) -> None:
    fields = {"budget": {"steps": 6}, "batch": {"sequences": 4}, "save": {"every": 1, "keep": 3}}
    whole = bytes_of(Bench(tmp_path / "whole").make(fields, {"packed": packed})[0].path)
    bench = Bench(tmp_path / "broken")
    with pytest.raises(Interrupted):
        bench.make(fields, {"packed": packed}, stop_at(4))
    checkpoints = tmp_path / "broken" / "work" / "checkpoints"
    data = bytearray((checkpoints / "step-000004" / "optimizer.safetensors").read_bytes())
    data[len(data) // 2] ^= 1
    (checkpoints / "step-000004" / "optimizer.safetensors").write_bytes(data)
    model, _ = bench.make(fields, {"packed": packed})
    assert bytes_of(model.path) == whole and bench.of(Started)[0].step == 3
    [told] = bench.of(Recovered)
    assert "step-000004: optimizer.safetensors: damaged" in told.what and "step-000004: optimizer.safetensors" in caplog.text
    for path in checkpoints.iterdir():
        (path / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="no valid checkpoint"):
        bench.make(fields, {"packed": packed})


@pytest.mark.parametrize("average", [None, 0.5])
def test_the_model_gets_the_best_weights_or_the_last(tmp_path: Path, packed: Tokens, average: float | None) -> None:
    """A rate that is far too high spoils the model after its best step."""
    fields = {
        "budget": {"steps": 8},
        "batch": {"sequences": 8},
        "optimizer": {"type": "adamw", "lr": 0.5},
        "schedule": {"type": "constant", "warmup": 1.0},
        "evaluate": {"every": 1, "sequences": 1000},
        "save": {"keep": 1},
        "average": average,
    }
    losses = {}
    for which in ("best", "last"):
        bench = Bench(tmp_path / which)
        model, facts = bench.make({**fields, "result": which}, {"packed": packed})
        course = [event.metrics["holdout_loss"] for event in bench.of(Evaluated)]
        assert facts.metrics["best_holdout_loss"] == min(course) and facts.metrics["best_step"] == course.index(min(course)) + 1 < 8
        losses[which] = (min(course), course[-1], again(tmp_path / which, model, packed))
    assert losses["best"][:2] == losses["last"][:2]
    assert losses["best"][2] == pytest.approx(losses["best"][0], rel=1e-6)
    assert losses["last"][2] == pytest.approx(losses["last"][1], rel=1e-6)


def again(folder: Path, model: Model, packed: Tokens) -> float:
    """The held-out loss of a finished model, by one update of rate nearly zero."""
    fields = {"model": None, "init": "start", "budget": {"steps": 1}, "optimizer": {"type": "adamw", "lr": 1e-30, "weight_decay": 0}}
    bench = Bench(folder / "again")
    _, facts = bench.make({**fields, "evaluate": {"sequences": 1000}}, {"packed": packed, "start": model})
    return float(facts.metrics["holdout_loss"])


def test_a_damaged_best_checkpoint_is_not_replaced_by_the_last(tmp_path: Path, packed: Tokens) -> None:
    fields = {"budget": {"steps": 4}, "optimizer": {"type": "adamw", "lr": 5}, "schedule": {"type": "constant", "warmup": 1.0}}
    bench = Bench(tmp_path)

    def spoil(event: Event) -> None:
        best = sorted((tmp_path / "work" / "checkpoints").glob("step-*"))
        if isinstance(event, Saved) and event.step == 4:
            (best[0] / "model.safetensors").write_bytes(b"")

    with pytest.raises(CheckpointError, match=r"step-00000.: the best weights can't be used: model\.safetensors"):
        bench.make({**fields, "evaluate": {"every": 1}}, {"packed": packed}, spoil)


def test_early_stopping_ends_before_the_budget(tmp_path: Path, packed: Tokens) -> None:
    fields = {"budget": {"steps": 60}, "optimizer": {"type": "adamw", "lr": 1}, "evaluate": {"every": 1}, "early_stopping": {"patience": 2}}
    bench = Bench(tmp_path)
    _, facts = bench.make(fields, {"packed": packed})
    assert facts.metrics["steps"] == facts.metrics["best_step"] + 2 < 60
    assert [event.patience_left for event in bench.of(Evaluated)][-2:] == [1, 0]


def test_going_on_with_a_model_starts_where_it_ended(tmp_path: Path, packed: Tokens) -> None:
    first, facts = Bench(tmp_path / "first").make({"budget": {"steps": 20}, "result": "last"}, {"packed": packed})
    bench = Bench(tmp_path / "second")
    second = {"model": None, "init": "base", "task": "sft", "budget": {"steps": 3}, "evaluate": {"every": 1}}
    bench.make(second, {"packed": packed, "base": first})
    assert abs(bench.of(StepEnded)[0].loss - facts.metrics["train_loss"]) < 0.5 < np.log(300) - facts.metrics["train_loss"]


def test_the_tokenizer_and_the_length_must_fit_the_model(tmp_path: Path, packed: Tokens) -> None:
    model, _ = Bench(tmp_path / "first").make({"budget": {"steps": 1}}, {"packed": packed})
    going_on = {"model": None, "init": "base", "budget": {"steps": 1}}
    (tmp_path / "other").mkdir()
    other = tokens_of(tmp_path / "other", texts=[text.upper() for text in TEXTS])
    with pytest.raises(DataError, match="packed was encoded by another tokenizer than that of base"):
        Bench(tmp_path / "a").make(going_on, {"packed": other, "base": model})
    (tmp_path / "long").mkdir()
    long = tokens_of(tmp_path / "long", length=64)
    with pytest.raises(DataError, match="sequences of 64 tokens are longer than the model's context of 48"):
        Bench(tmp_path / "b").make(going_on, {"packed": long, "base": model})
    for place in ("a", "b"):
        assert not list((tmp_path / place / "out").iterdir())


def test_a_smaller_budget_than_what_is_done_is_refused(tmp_path: Path, packed: Tokens) -> None:
    bench = Bench(tmp_path)
    with pytest.raises(Interrupted):
        bench.make({"budget": {"steps": 9}}, {"packed": packed}, stop_at(5))
    with pytest.raises(ChangedRun, match="is past the budget: 5 steps, and 4 are wanted now"):
        bench.make({"budget": {"steps": 4}}, {"packed": packed})
    bench.make({"budget": {"steps": 12}}, {"packed": packed})
    assert [event.step for event in bench.of(StepEnded)] == list(range(6, 13))


def test_without_held_out_data_there_is_no_evaluation_and_no_early_stopping(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    data = tokens_of(tmp_path / "data", holdout=0.0)
    bench = Bench(tmp_path / "a")
    _, facts = bench.make({"budget": {"steps": 2}}, {"packed": data})
    assert not bench.of(Evaluated) and "holdout_loss" not in facts.metrics
    with pytest.raises(DataError, match="early stopping needs held-out data"):
        Bench(tmp_path / "b").make({"budget": {"steps": 2}, "early_stopping": {}}, {"packed": data})


def test_threads_and_the_random_state_are_put_back(tmp_path: Path, packed: Tokens) -> None:
    threads, random = torch.get_num_threads(), torch.get_rng_state()
    bench = Bench(tmp_path)
    seen = []
    bench.make({"budget": {"steps": 1}, "threads": threads + 1}, {"packed": packed}, lambda event: seen.append(torch.get_num_threads()))
    assert set(seen) == {threads + 1} and torch.get_num_threads() == threads and torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"init": "base"}, "not both"),
        ({"model": None}, r"needs model \(a new one\) or init \(one to go on with\)"),
        ({"early_stopping": {}, "evaluate": {"every": 0}}, "evaluate.every is 0"),
        ({"budget": {}}, "exactly one of tokens, steps, epochs and time"),
        ({"clip": 0}, "greater than 0"),
        ({"average": 1.0}, "less than 1"),
    ],
)
def test_contradictions_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Train.model_validate({**LEARNS, "budget": {"steps": 1}, **fields})


def test_problems_are_seen_before_any_work() -> None:
    pack = Pack.model_validate({"input": "raw", "tokenizer": "vocab", "length": 64})
    stage = Train.model_validate({**LEARNS, "budget": {"steps": 1}, "early_stopping": {}})
    assert stage.problems({"data": pack}) == [
        ("data", f"{LONG}, or context: 64 in the model"),
        ("early_stopping", "nothing is held out: set holdout in the stage that makes the data"),
    ]
    second = Train.model_validate({"data": "packed", "init": "base", "budget": {"steps": 1}})
    assert second.problems({"data": pack, "init": stage})[0][0] == "data"
    third = Train.model_validate({"data": "packed", "init": "sft", "budget": {"steps": 1}})
    assert third.problems({"data": pack, "init": second}) == []
    short = Pack.model_validate({"input": "raw", "tokenizer": "vocab", "length": 32, "holdout": 0.1})
    assert stage.problems({"data": short}) == []


def test_a_finished_models_context_counts(tmp_path: Path, packed: Tokens) -> None:
    model, _ = Bench(tmp_path).make({"budget": {"steps": 1}}, {"packed": packed})
    stage = Train.model_validate({"data": "packed", "init": "path:x", "budget": {"steps": 1}})
    assert stage.problems({"data": packed, "init": model}) == []
    long = Pack.model_validate({"input": "raw", "tokenizer": "vocab", "length": 64})
    assert stage.problems({"data": long, "init": model}) == [("data", LONG)]


def identity(**fields: Any) -> tuple[str, str]:
    found = identify(Train.model_validate({**LEARNS, "budget": {"steps": 5}, **fields}), lambda ref: ref.target, 3)
    return found.key, found.safe_key


def test_what_does_not_shape_the_model_is_not_in_its_key() -> None:
    plain = identity()
    assert identity(threads=2) == identity(batch={"micro_batch": 1}) == plain
    for safe in ({"budget": {"steps": 9}}, {"save": {"every": 7}}, {"on_not_finite": "skip"}):
        key, safe_key = identity(**safe)
        assert key != plain[0] and safe_key == plain[1]
    for shaping in ({"precision": "bf16"}, {"clip": None}, {"batch": {"sequences": 3}}, {"model": {**SHAPE, "depth": 2}}, {"task": "sft"}):
        assert identity(**shaping)[1] != plain[1]
    assert Train.model_validate(as_tree(Train.model_validate({**LEARNS, "budget": {"steps": 5}}))).model == GPT.model_validate(SHAPE)
