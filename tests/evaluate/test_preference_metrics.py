"""Log loss is scikit-learn's; calibration, temperature, order and length bias against what they mean."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.data.comparisons import Comparison
from ropewalk.data.pair_features import PairFeatures, keep_ends
from ropewalk.evaluate.length_baseline import LengthBaseline
from ropewalk.evaluate.preference_metrics import calibration_error, fit_temperature, flip_rate, length_bias, log_losses, softmax


def drawn(number: int, sharpness: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and winners drawn from them made `sharpness` times as sharp."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(number, 3)) * 2
    chances = softmax(logits * sharpness)
    return logits, np.array([generator.choice(3, p=row) for row in chances])


def test_log_loss_is_scikit_learns() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    logits, winners = drawn(300, 1.0)
    wanted = metrics.log_loss(winners, softmax(logits), labels=[0, 1, 2])
    assert log_losses(softmax(logits), winners).mean() == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("sharpness", [0.25, 4.0])
def test_the_temperature_undoes_what_made_logits_too_sharp_or_dull(sharpness: float) -> None:
    logits, winners = drawn(6000, sharpness)
    found = fit_temperature(logits, winners, [str(row) for row in range(len(winners))])
    assert found == pytest.approx(1 / sharpness, rel=0.1)


def test_a_temperature_that_is_not_surely_better_is_one() -> None:
    logits, winners = drawn(40, 1.0)
    assert fit_temperature(logits, winners, [str(row // 20) for row in range(40)]) == 1.0
    assert fit_temperature(logits, winners, [str(row) for row in range(40)]) == 1.0
    assert fit_temperature(logits[:0], winners[:0], []) == 1.0


def test_calibration_error_of_the_true_chances_is_small_and_of_boasting_is_large() -> None:
    logits, winners = drawn(6000, 1.0)
    assert calibration_error(softmax(logits), winners) < 0.03
    assert calibration_error(np.tile([1.0, 0.0, 0.0], (100, 1)), np.arange(100) % 2) == pytest.approx(0.5)


def test_flips_are_choices_that_do_not_change_places_with_the_answers() -> None:
    straight = np.array([[0.6, 0.3, 0.1], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]])
    swapped = np.array([[0.3, 0.6, 0.1], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]])
    assert flip_rate(straight, swapped) == pytest.approx(1 / 3)


def test_length_bias_is_one_where_the_longer_answer_is_all_that_counts() -> None:
    characters = np.array([[10.0, 100.0], [100.0, 10.0], [50.0, 50.0]])
    longer = np.array([[0.1, 0.9, 0.0], [0.9, 0.1, 0.0], [0.5, 0.5, 0.0]])
    assert length_bias(longer, characters) == pytest.approx(1) and length_bias(longer[:1], characters[:1]) == 0.0


def test_the_length_baseline_learns_that_longer_wins() -> None:
    generator = np.random.default_rng(0)
    sizes = generator.integers(1, 60, (200, 2))
    pairs = [Comparison(str(one), "g", "p?", "w " * a, "w " * b, "a" if a > b else "b") for one, (a, b) in enumerate(sizes)]
    found = LengthBaseline(pairs[:100]).probabilities(pairs[100:])
    right = found.argmax(1) == [0 if pair.winner == "a" else 1 for pair in pairs[100:]]
    assert right.mean() > 0.9 and np.allclose(found.sum(1), 1)


@given(st.text(max_size=300), st.integers(32, 100))
def test_a_long_text_keeps_both_ends_within_its_budget(text: str, budget: int) -> None:
    kept = keep_ends(text, budget)
    assert len(kept) <= budget
    if len(text) <= budget:
        assert kept == text
    else:
        assert kept.startswith(text[:12]) and kept.endswith(text[-12:]) and " … " in kept


TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)


@given(TEXTS, TEXTS, TEXTS)
def test_swapped_answers_have_swapped_features_bit_by_bit(prompt: str, a: str, b: str) -> None:
    features = PairFeatures(meaning=False)
    straight = features.table(Comparison("1", "g", prompt, a, b, None), None)
    swapped = features.table(Comparison("1", "g", prompt, b, a, None), None)
    assert straight.shape == (2, len(features.names)) and np.isfinite(straight).all()
    assert (straight[::-1] == swapped).all()
