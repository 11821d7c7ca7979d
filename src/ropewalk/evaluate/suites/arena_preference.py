"""Pairs of answers: does the model foresee which one people like, as surely as it says?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np

from ropewalk.core.errors import DataError
from ropewalk.core.reference import Ref
from ropewalk.data.comparisons import WINNERS, Comparison, Comparisons
from ropewalk.evaluate.preference_metrics import calibration_error, fit_temperature, flip_rate, length_bias, log_losses, softmax
from ropewalk.evaluate.scores import Measure, SuiteResult
from ropewalk.evaluate.scoring import Subject
from ropewalk.evaluate.suites.suite import Suite


class ArenaPreference(Suite, type="arena_preference"):
    """Log loss and accuracy over A, B and tie at a temperature fitted on validation, beside the classes' shares and lengths alone."""

    measures: ClassVar[tuple[str, ...]] = ("log_loss", "accuracy")

    data: Ref[Comparisons]
    """The pairs, those of the part `validation` for the temperature."""
    part: Literal["train", "validation", "test"] = "test"
    """Which pairs are asked."""

    def baseline_names(self) -> tuple[str, ...]:
        return ("prior", "length")

    def run(self, subject: Subject, open_ref: Callable[[Ref[Any]], Any], advance: Callable[[int], None]) -> SuiteResult:
        from ropewalk.evaluate.length_baseline import LengthBaseline, winners_of
        from ropewalk.evaluate.preference_predictor import PreferencePredictor

        data: Comparisons = open_ref(self.data)
        learnt, held, asked = (_with_winner(data, part) for part in ("train", "validation", self.part))
        if not asked:
            raise DataError(f"{self.data.target} has no pairs in part {self.part!r}", remedy="name another part")
        predictor = PreferencePredictor(subject.module, subject.vocabulary, subject.device)  # type: ignore[arg-type]
        temperature = fit_temperature(predictor.logits(held), winners_of(held), [pair.group for pair in held])
        logits = predictor.logits(asked)
        advance(len(asked))
        winners, found = winners_of(asked), softmax(logits / temperature)
        swapped = predictor.probabilities([replace(pair, a=pair.b, b=pair.a) for pair in asked], temperature)
        shares = np.bincount(winners_of(learnt), minlength=3) / max(1, len(learnt))
        prior, by_length = np.tile(shares, (len(asked), 1)), LengthBaseline(learnt).probabilities(asked)
        rivals = {"prior": prior, "length": by_length}
        stated = {"model": found, "before temperature": softmax(logits), **rivals}
        ones = np.ones(len(asked))
        losses = {name: log_losses(values, winners) for name, values in rivals.items()}
        hits = {name: (values.argmax(1) == winners).astype(np.float64) for name, values in rivals.items()}
        characters = np.array([[len(pair.a), len(pair.b)] for pair in asked], np.float64)
        tables = {
            "temperature": temperature,
            "log_loss_before_temperature": float(log_losses(softmax(logits), winners).mean()),
            "calibration_error": {name: calibration_error(values, winners) for name, values in stated.items()},
            "flip_rate": flip_rate(found, swapped),
            "largest_order_gap": float(np.abs(found - swapped[:, [1, 0, 2]]).max()),
            "length_bias": {"model": length_bias(found, characters), "people": length_bias(np.eye(3)[winners], characters)},
            "winners": {name: int((winners == place).sum()) for place, name in enumerate(WINNERS)},
        }
        measures = [
            Measure("log_loss", "nats", log_losses(found, winners), ones, baselines=losses),
            Measure("accuracy", "share", (found.argmax(1) == winners).astype(np.float64), ones, True, "proportion", hits),
        ]
        return SuiteResult(
            [pair.id for pair in asked], [pair.group for pair in asked], measures, {"validation_items": len(held)}, tables=tables
        )


def _with_winner(data: Comparisons, part: Any) -> list[Comparison]:
    return [pair for pair in data.read(part) if pair.winner is not None]
