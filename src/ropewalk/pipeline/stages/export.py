"""The export stage: a model that passed its gate, with a card that tells where it comes from."""

from __future__ import annotations

import shutil
from typing import ClassVar, Literal

from ropewalk.core.artifact import MANIFEST, Artifact
from ropewalk.core.errors import GateFailed
from ropewalk.core.reference import Ref
from ropewalk.evaluate.card import model_card
from ropewalk.evaluate.scores import Metric, Scores
from ropewalk.evaluate.verdict import Verdict
from ropewalk.models.model import Model
from ropewalk.pipeline.stage import Context, Facts, Stage


class Export(Stage, type="export"):
    """Copies the model's folder and adds a model card (README.md) and the verdict."""

    makes: ClassVar[type[Artifact]] = Model

    model: Ref[Model]
    """What is exported."""
    verdict: Literal["none"] | Ref[Verdict]
    """The gate that it must pass, or `none` to ship it unjudged: there is no default, so that nothing ships by accident."""

    def make(self, context: Context) -> Facts:
        model = context.open(self.model)
        verdict = context.open(self.verdict) if isinstance(self.verdict, Ref) else None
        if verdict is not None and not verdict.passed:
            raise GateFailed(f"{context.name}: not exported: " + "; ".join(verdict.failures))
        if verdict is not None and verdict.facts["model"] != model.key:
            raise GateFailed(
                f"{context.name}: the verdict judged another model ({verdict.facts['model'] or 'none'}) than that to export ({model.key})",
                remedy="evaluate and judge the model that is exported",
            )
        for path in sorted(model.path.iterdir()):
            if path.is_file() and path.name != MANIFEST:
                shutil.copyfile(path, context.out / path.name)
        metrics: dict[str, Metric] = {}
        for scores in context.find(Scores):
            metrics.update({f"{scores.manifest.stage}/{name}": metric for name, metric in scores.metrics.items()})
        manifests = [artifact.manifest for artifact in context.find(Artifact)]
        card = model_card("A model made by ropewalk", model.config(), manifests, metrics, verdict.facts if verdict else None)
        (context.out / "README.md").write_text(card, encoding="utf-8")
        if verdict is not None:
            shutil.copyfile(verdict.path / "verdict.json", context.out / "verdict.json")
        return Facts(metrics={"judged": verdict is not None})
