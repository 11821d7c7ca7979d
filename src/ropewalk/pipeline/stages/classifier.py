"""The classifier stage: a linear model over hashed n-grams, judged on texts that it did not see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ropewalk.core.artifact import Artifact
from ropewalk.core.errors import DataError
from ropewalk.core.reference import Ref
from ropewalk.core.units import Bytes, Count
from ropewalk.data.classify.classifier import Classifier, Scale
from ropewalk.data.classify.features import Features
from ropewalk.data.corpus import Corpus
from ropewalk.pipeline.stage import Context, Facts, Stage

if TYPE_CHECKING:
    import pyarrow as pa

    from ropewalk.data.classify.training import Trainer


class TrainClassifier(Stage, type="classifier"):
    """Trains a logistic regression over hashed n-grams, from two corpora or from one whose documents carry a label."""

    makes: ClassVar[type[Artifact]] = Classifier

    positive: Ref[Corpus] | None = None
    """Documents of the kind that shall score high; goes with `negative`."""
    negative: Ref[Corpus] | None = None
    """Documents of the other kind."""
    input: Ref[Corpus] | None = None
    """Documents of both kinds, in place of `positive` and `negative`; goes with `label`."""
    label: str = ""
    """The field of a document's meta that tells its kind, such as `class`."""
    positive_labels: list[str] = ["1", "true"]
    """The label's values that are positive; all others are negative."""
    features: Features = Features()
    """What is seen of a text."""
    first_bytes: Annotated[Bytes, Field(ge=1)] = 2000
    """Of each document so many bytes are read."""
    most_documents: Annotated[Count, Field(ge=1)] = 50_000
    """Most documents of a kind; of more, those with the lowest hashes. Each needs up to four bytes an n-gram: 16 kB for 2 kB of text."""
    penalty: Annotated[float, Field(gt=0)] = 0.3
    """Weight of the L2 penalty: more for few or doubtful labels."""
    balanced: bool = True
    """Let both kinds weigh the same, however many documents each has."""
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    """It is judged on each of so many parts by one that learnt from the others."""
    disguised: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the documents that it also learns from with words in disguise (`sh1t`, `s**t`, `s h i t`); for toxicity."""
    listed: Annotated[float, Field(ge=0)] = 0.0
    """Learn each word of the shipped list of toxic words too, as so many positive texts times its weight; for toxicity."""
    prior: Annotated[float, Field(gt=0, lt=1)] | None = None
    """The share of positives that probabilities are meant for; without it, that among the examples."""
    by_source: bool = False
    """Also judge on each source by one that learnt from the others: what it may be worth on texts from elsewhere."""

    def problems(self, upstream: Mapping[str, Stage | Artifact]) -> list[tuple[str, str]]:
        if self.input is None:
            missing = [name for name in ("positive", "negative") if getattr(self, name) is None]
            return [(name, "is missing: give positive and negative, or input and label") for name in missing]
        if self.positive or self.negative:
            return [("input", "goes with label, not with positive and negative")]
        return [] if self.label else [("label", "is missing: the field of the meta that tells a document's kind")]

    def fingerprint(self) -> Any:
        """The list of words, where it is learnt from."""
        if not self.listed:
            return None
        from ropewalk.core.artifact import hash_file
        from ropewalk.data.classify.shipped import SHIPPED

        return {"words": hash_file(SHIPPED)}

    def make(self, context: Context) -> Facts:
        from ropewalk.data.classify.examples import gather
        from ropewalk.data.classify.training import Plan, Trainer
        from ropewalk.evaluate.classification import best_threshold

        examples = gather(self._labelled(context), self.most_documents)
        kinds = {"positive": int(examples.positive.sum()), "negative": int((~examples.positive).sum())}
        for kind, number in kinds.items():
            if number < self.folds:
                raise DataError(f"{context.name}: {number} {kind} documents are too few for {self.folds} folds", remedy=self._way_out())
        plan = Plan(self.features, self.first_bytes, self.penalty, self.balanced, self.folds, self.disguised, self.listed, self.prior)
        trainer = Trainer(plan, examples)
        with context.progress(context.name, self.folds + 1, "folds") as bar:
            scores = trainer.out_of_fold(bar.advance)
            scale, measured = _judged(trainer, scores)
            linear, found = trainer.finished(scale)
            bar.advance(1)
        linear.save(context.out)
        threshold = best_threshold(linear.scale.probabilities(scores[: len(examples)]), examples.positive)
        facts = {"documents": kinds, "steps": found.steps, "gradient": found.gradient, "prior": linear.prior, "threshold": threshold}
        sources = _by_source(trainer) if self.by_source else {}
        return Facts(metrics={**facts, **measured, **({"by_source": sources} if self.by_source else {})})

    def _labelled(self, context: Context) -> Iterator[tuple[pa.Table, NDArray[np.bool_]]]:
        from ropewalk.data.classify.examples import by_value

        if self.input is not None:
            for table in context.open(self.input).tables():
                found = by_value(table["meta"].to_pylist(), table["id"].to_pylist(), self.label, frozenset(self.positive_labels))
                yield table, np.fromiter(found, np.bool_, table.num_rows)
            return
        assert self.positive is not None and self.negative is not None, "problems() sees to it"
        for ref, kind in ((self.positive, True), (self.negative, False)):
            for table in context.open(ref).tables():
                yield table, np.full(table.num_rows, kind)

    def _way_out(self) -> str:
        return "look at positive_labels: they are compared as text" if self.input else "give more documents, or fewer folds"


def _judged(trainer: Trainer, scores: NDArray[np.float64]) -> tuple[Scale, dict[str, Any]]:
    """The scale from all scores, and measures where each fold has its scale and threshold from the others."""
    from ropewalk.data.classify.training import calibrate
    from ropewalk.evaluate.classification import Judgement, best_threshold, calibration

    examples, folds = trainer.examples, trainer.examples.folds(trainer.plan.folds)
    number = len(examples)
    plain, positive = scores[:number], examples.positive
    probabilities, thresholds = np.empty(len(scores)), np.empty(number)
    for fold in range(trainer.plan.folds):
        away, others = folds == fold, folds != fold
        scale = calibrate(plain[others], positive[others])
        thresholds[away] = best_threshold(scale.probabilities(plain[others]), positive[others])
        rows = away[trainer.origin]
        probabilities[rows] = scale.probabilities(scores[rows])
    facts: dict[str, Any] = {
        **Judgement.of(probabilities[:number], positive, thresholds).plain(),
        "calibration": calibration(probabilities[:number], positive),
    }
    if len(scores) > number:
        copied = trainer.copied
        facts["disguised"] = Judgement.of(probabilities[number:], positive[copied], thresholds[copied]).plain()
    return calibrate(plain, positive), facts


def _by_source(trainer: Trainer) -> dict[str, Any]:
    """Of each source with both kinds, the measures of one that learnt from all others."""
    from ropewalk.data.classify.training import calibrate
    from ropewalk.evaluate.classification import Judgement, best_threshold

    names = np.array(trainer.examples.sources)
    number, positive = len(trainer.examples), trainer.examples.positive
    found = {}
    for name in sorted(set(trainer.examples.sources)):
        away = names == name
        kinds = [positive[flags].mean() if flags.any() else 0.0 for flags in (away, ~away)]
        if not all(0 < share < 1 for share in kinds):
            continue
        fitted = trainer.fit(~away)
        inside, outside = trainer.scores(fitted, ~away)[:number][~away], trainer.scores(fitted, away)[:number][away]
        scale = calibrate(inside, positive[~away])
        threshold = best_threshold(scale.probabilities(inside), positive[~away])
        found[name] = Judgement.of(scale.probabilities(outside), positive[away], threshold).plain()
    return found
