"""The export stage: a model that passed its gate, with a card that tells where it comes from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ropewalk.core.alias import PATTERN, release
from ropewalk.core.artifact import MANIFEST, Artifact
from ropewalk.core.errors import DataError, GateFailed
from ropewalk.core.log import LOGGER
from ropewalk.core.reference import Ref
from ropewalk.core.units import Bytes
from ropewalk.evaluate.card import model_card
from ropewalk.evaluate.scores import Metric, Scores
from ropewalk.evaluate.verdict import Verdict
from ropewalk.models.model import Model
from ropewalk.pipeline.stage import Context, Facts, Stage

WEIGHTS, GGUF = "model.safetensors", "weights.gguf"  # a folder with model.gguf is read from that


class Export(Stage, type="export"):
    """Copies the model's folder and adds a model card (README.md), the verdict, and other formats on request."""

    makes: ClassVar[type[Artifact]] = Model

    model: Ref[Model]
    """What is exported."""
    verdict: Literal["none"] | Ref[Verdict]
    """The gate that it must pass, or `none` to ship it unjudged: there is no default, so that nothing ships by accident."""
    formats: list[Literal["gguf", "ollama"]] = []
    """Beside the folder that transformers opens: gguf, one file for llama.cpp (extra gguf); ollama, the same with a Modelfile."""
    shard_bytes: Annotated[Bytes, Field(gt=0)] = 5_000_000_000
    """Weights over this size are cut into several files, such as 2GB."""
    alias: Annotated[str, Field(pattern=PATTERN)] | None = None
    """A name under which the store keeps the last model that passed its gate: STORE/models/ALIAS. `ropewalk rollback ALIAS` goes back."""

    @model_validator(mode="after")
    def _judged(self) -> Self:
        if self.alias is not None and self.verdict == "none":
            raise ValueError("an alias is for models that passed a gate: name one as verdict, or leave the alias out")
        return self

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
        if self.formats and model.is_adapter:
            raise DataError(f"{context.name}: {self.model.target} is an adapter, which has no {self.formats[0]}", remedy="merge it first")
        for path in sorted(model.path.iterdir()):
            if path.is_file() and path.name != MANIFEST:
                shutil.copyfile(path, context.out / path.name)
        facts = {"judged": verdict is not None, **self._written(context.out)}
        metrics: dict[str, Metric] = {}
        for scores in context.find(Scores):
            metrics.update({f"{scores.manifest.stage}/{name}": metric for name, metric in scores.metrics.items()})
        manifests = [artifact.manifest for artifact in context.find(Artifact)]
        card = model_card("A model made by ropewalk", model.config(), manifests, metrics, verdict.facts if verdict else None)
        (context.out / "README.md").write_text(card, encoding="utf-8")
        if verdict is not None:
            shutil.copyfile(verdict.path / "verdict.json", context.out / "verdict.json")
        return Facts(metrics=facts)

    def confirm(self, artifact: Artifact) -> None:
        if self.alias is not None and release(artifact.path.resolve().parents[1], self.alias, artifact.path.resolve()):
            LOGGER.info("%s is now %s", self.alias, artifact.key)

    def _written(self, out: Path) -> dict[str, Any]:
        """Cut the weights and add the formats; says how many files, and what reading them back found."""
        facts: dict[str, Any] = {}
        if self.formats:
            from ropewalk.models.gguf_module import write_gguf

            facts |= write_gguf(out, out / GGUF)
        if "ollama" in self.formats:
            (out / "Modelfile").write_text(_modelfile(out), encoding="utf-8")
        if (out / WEIGHTS).is_file() and (out / WEIGHTS).stat().st_size > self.shard_bytes:
            from ropewalk.models.folder_module import read_weights
            from ropewalk.models.shards_module import write_sharded

            weights = read_weights(out)
            (out / WEIGHTS).unlink()
            facts["weight_files"] = write_sharded(out, weights, self.shard_bytes)
        return facts


def _modelfile(folder: Path) -> str:
    """What `ollama create NAME -f Modelfile` reads; ChatML is written as ollama's template, other turns come from the GGUF file."""
    lines = [f"FROM ./{GGUF}"]
    template = str(json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")).get("chat_template") or "")
    if "<|im_start|>" in template:
        turn = "<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n"
        lines.append(f'TEMPLATE """{{{{- range .Messages }}}}{turn}{{{{ end }}}}<|im_start|>assistant\n"""')
        lines.append('PARAMETER stop "<|im_end|>"')
    return "\n".join(lines) + "\n"
