"""Gates on what stages noted of themselves: any fact of a manifest, a training that went well, what a stage cost."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from ropewalk.core.artifact import Artifact
from ropewalk.core.errors import ConfigError
from ropewalk.core.load import nearest
from ropewalk.core.reference import Ref
from ropewalk.core.units import Bytes, Count
from ropewalk.data.chats import Chats
from ropewalk.data.corpus import Corpus
from ropewalk.data.tokenizer import Tokenizer
from ropewalk.data.tokens import Tokens
from ropewalk.evaluate.gates.gate import Finding, Gate, Open, called
from ropewalk.evaluate.scores import Scores
from ropewalk.models.model import Model

Made = Ref[Corpus | Tokens | Chats | Tokenizer | Model]
LOG_FILE = "training.jsonl"


class Fact(Gate, type="fact"):
    """A number that a stage noted of itself is within limits; one that is not there or not finite fails."""

    of: Made
    """The stage."""
    fact: str
    """Dotted: `counts.kept`, `metrics.train_documents`, `cost.seconds`."""
    per: str = ""
    """Another fact that it is divided by, such as `counts.records_in`."""
    at_least: float | None = None
    """Smallest value."""
    at_most: float | None = None
    """Largest value."""

    @model_validator(mode="after")
    def _limited(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError("needs at_least or at_most")
        return self

    def needs_scores(self) -> bool:
        return False

    def check(self, scores: Scores | None, open_ref: Open) -> Finding:
        made = open_ref(self.of)
        stage, facts = called(self.of, made), facts_of(made)
        value = _number(facts, self.fact, stage)
        if self.per:
            below = _number(facts, self.per, stage)
            value = value / below if below else math.nan
        name = f"{stage}/{self.fact}" + (f" per {self.per}" if self.per else "")
        return within(name, value, self.at_least, self.at_most)


class Trained(Gate, type="trained"):
    """A training went well: every loss is finite, the loss fell, no update was skipped."""

    of: Ref[Model]
    """The training."""
    fell_by: float = Field(default=0.0, ge=0)
    """How far the loss must fall, in nats: from the mean of the first tenth of the updates to that of the last."""
    skipped: int = Field(default=0, ge=0)
    """How many updates may be skipped or rolled back."""

    def needs_scores(self) -> bool:
        return False

    def check(self, scores: Scores | None, open_ref: Open) -> Finding:
        model: Model = open_ref(self.of)
        stage = called(self.of, model)
        losses = _losses(model)
        name = f"{stage}/training"
        tenth = max(1, len(losses) // 10)
        finite = [loss for loss in losses if math.isfinite(loss)]
        fell = sum(losses[:tenth]) / tenth - sum(losses[-tenth:]) / tenth if losses else math.nan
        noted = model.manifest.metrics
        skipped = int(noted.get("skipped_updates", 0)) + int(noted.get("rollbacks", 0))
        faults = []
        if not losses:
            faults.append("no loss was written")
        if len(finite) < len(losses):
            faults.append(f"{len(losses) - len(finite)} losses are not finite")
        if not fell > self.fell_by:
            faults.append(f"the loss fell by {fell:.4f}, must be more than {self.fell_by:g}, off by {self.fell_by - fell:.4f}")
        if skipped > self.skipped:
            faults.append(f"{skipped} updates skipped, must be at most {self.skipped}, off by {skipped - self.skipped}")
        good = f"{name}: the loss fell by {fell:.4f} (must be more than {self.fell_by:g}), all finite, {skipped} updates skipped"
        message = f"{name}: {'; '.join(faults)} (n={len(losses)} updates)" if faults else f"{good} (n={len(losses)} updates)"
        return Finding(not faults, f"{stage} trained well", message, name, fell, fell, fell, self.fell_by, items=len(losses))


class Cost(Gate, type="cost"):
    """A stage cost no more than allowed."""

    of: Made
    """The stage."""
    seconds: Annotated[float, Field(gt=0)] | None = None
    """Of wall clock."""
    cpu_seconds: Annotated[float, Field(gt=0)] | None = None
    """Of all cores together."""
    memory: Annotated[Bytes, Field(gt=0)] | None = None
    """Peak of resident memory."""
    parameters: Annotated[Count, Field(gt=0)] | None = None
    """Of the model."""
    size: Annotated[Bytes, Field(gt=0)] | None = None
    """Of the files on disk."""

    @model_validator(mode="after")
    def _limited(self) -> Self:
        if all(limit is None for limit in (self.seconds, self.cpu_seconds, self.memory, self.parameters, self.size)):
            raise ValueError("needs seconds, cpu_seconds, memory, parameters or size")
        return self

    def needs_scores(self) -> bool:
        return False

    def check(self, scores: Scores | None, open_ref: Open) -> Finding:
        made = open_ref(self.of)
        stage, facts = called(self.of, made), facts_of(made)
        limits = {
            "cost.seconds": self.seconds,
            "cost.cpu_seconds": self.cpu_seconds,
            "cost.peak_bytes": self.memory,
            "metrics.parameters": self.parameters,
            "size.bytes": self.size,
        }
        parts = tuple(
            within(f"{stage}/{name}", _number(facts, name, stage), None, float(limit))
            for name, limit in limits.items()
            if limit is not None
        )
        return together(parts, f"{stage} costs no more than allowed", all(part.passed for part in parts))


class Latency(Gate, type="latency"):
    """The model writes a token within a time, measured here and now: the median over several, after a warm-up."""

    of: Ref[Model]
    """The model."""
    milliseconds: float = Field(gt=0)
    """Largest median time of a token."""
    prompt_tokens: int = Field(default=32, ge=1)
    """Tokens that stand before."""
    new_tokens: int = Field(default=32, ge=8)
    """Tokens that are written and timed."""

    def needs_scores(self) -> bool:
        return False

    def check(self, scores: Scores | None, open_ref: Open) -> Finding:
        from ropewalk.evaluate.latency import token_milliseconds

        model: Model = open_ref(self.of)
        found = token_milliseconds(model, self.prompt_tokens, self.new_tokens)
        return within(f"{called(self.of, model)}/milliseconds a token", found, None, self.milliseconds, items=self.new_tokens)


def facts_of(artifact: Artifact) -> dict[str, Any]:
    """What a manifest says, as `fact` names it."""
    manifest = artifact.manifest
    size = {"bytes": sum(int(facts["bytes"]) for facts in manifest.files.values())}
    return {"counts": dict(manifest.counts), "metrics": dict(manifest.metrics), "cost": dict(manifest.notes.get("cost", {})), "size": size}


def _number(facts: Mapping[str, Any], name: str, stage: str) -> float:
    known: dict[str, float] = {}

    def collect(value: Any, path: str) -> None:
        if isinstance(value, Mapping):
            for key, item in value.items():
                collect(item, f"{path}.{key}" if path else str(key))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            known[path] = float(value)

    collect(facts, "")
    if name not in known:
        raise ConfigError(f"{stage} notes no {name!r} ({nearest(name, sorted(known)) or 'it notes ' + ', '.join(sorted(known)[:8])})")
    return known[name]


def within(name: str, value: float, at_least: float | None, at_most: float | None, items: int = 1) -> Finding:
    """A number without an interval between two limits."""
    low_fails, high_fails = at_least is not None and not value >= at_least, at_most is not None and not value <= at_most
    limit = at_least if low_fails or at_most is None else at_most
    assert limit is not None, "one of the two is given"
    words = " and ".join(
        [*([f"at least {at_least:g}"] if at_least is not None else []), *([f"at most {at_most:g}"] if at_most is not None else [])]
    )
    gap = f", off by {abs(value - limit):g}" if low_fails or high_fails else ""
    message = f"{name} is {value:g} (n={items}): must be {words}{gap}"
    return Finding(not gap, f"{name} {words}", message, name, value, value, value, limit, items=items)


def together(parts: tuple[Finding, ...], title: str, passed: bool, words: str = "") -> Finding:
    """Several findings as one; the message is that of the failed ones, or of all."""
    shown = [part for part in parts if part.passed == passed]
    first = shown[0]
    ends = (first.value, first.low, first.high, first.threshold)
    message = words + "; ".join(part.message for part in shown)
    return Finding(passed, title, message, first.metric, *ends, first.baseline, sum(part.items for part in parts), parts)


def _losses(model: Model) -> list[float]:
    found = []
    path = model.path / LOG_FILE
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        row = json.loads(line)
        if row.get("event") == "step" and "loss" in row:
            found.append(float(row["loss"]))
    return found
