"""The model card: where a model comes from, what it was measured to do and whether it passed; from facts alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ropewalk.core.artifact import Manifest
from ropewalk.core.units import show_count
from ropewalk.evaluate.scores import Metric

_NAMES = {"gpt2": "GPT2LMHeadModel", "llama": "LlamaForCausalLM", "qwen3": "Qwen3ForCausalLM"}


def model_card(
    title: str,
    config: Mapping[str, Any],
    stages: Sequence[Manifest],
    metrics: Mapping[str, Metric],
    verdict: Mapping[str, Any] | None,
) -> str:
    """Markdown with the front matter that model hubs read; `stages` are the manifests of all that led here, in order."""
    forecaster = str(config.get("model_type")).startswith("ropewalk_forecaster")
    kind = ["pipeline_tag: time-series-forecasting"] if forecaster else ["library_name: transformers", "pipeline_tag: text-generation"]
    head = ["---", *kind, "tags: [ropewalk]"]
    parts = ["\n".join([*head, "---", "", f"# {title}", ""])]
    parts.append(_use(config))
    parts.append(_data(stages))
    parts.append(_training(stages))
    parts.append(_evaluation(metrics))
    parts.append(_gates(verdict))
    return "\n".join(part for part in parts if part)


def _use(config: Mapping[str, Any]) -> str:
    if "horizon" in config.get("window", {}):
        window = config["window"]
        what = f"A forecaster: {config['body']} with a {config['head']} head, {window['context']} rows to {window['horizon']}."
        return f"{what}\n\n```sh\nropewalk predict . FILE   # a file with the columns of its own data\n```\n"
    name = _NAMES.get(str(config.get("model_type")))
    how = (
        "```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        'model = AutoModelForCausalLM.from_pretrained(".")\ntokenizer = AutoTokenizer.from_pretrained(".")\n```\n'
        if name
        else '```python\nfrom ropewalk.models.model import load_model\n\nmodel = load_model(".")\n```\n'
    )
    return f"Architecture: {name or config.get('model_type')}, vocabulary {config.get('vocab_size')}.\n\n{how}"


def _data(stages: Sequence[Manifest]) -> str:
    rows = []
    for stage in stages:
        counts = stage.counts
        if "records_in" in counts:
            reasons = ", ".join(f"{name.partition('/')[2]} {number}" for name, number in counts.items() if name.startswith("dropped/"))
            kept, gone = f"{counts['kept']:,}", counts["dropped"] + counts["quarantined"]
            rows.append(f"| {stage.stage} | {counts['records_in']:,} | {kept} | {gone:,}{f' ({reasons})' if reasons else ''} |")
    named = ((name, facts["documents"], facts.get("license") or "no licence given") for name, facts in _sources(stages).items())
    sources = [f"{name} ({number:,} documents, {license_})" for name, number, license_ in named]
    said = f"Sources: {', '.join(sources)}.\n\n" if sources else ""
    return "\n".join(["## Data", "", said + "| stage | in | kept | dropped |", "|---|---|---|---|", *rows, ""]) if rows else ""


def _sources(stages: Sequence[Manifest]) -> dict[str, Mapping[str, Any]]:
    return {name: facts for stage in stages for name, facts in stage.metrics.get("sources", {}).items()}


def _training(stages: Sequence[Manifest]) -> str:
    lines = []
    for stage in stages:
        if stage.type == "Model":
            numbers = {name: value for name, value in stage.metrics.items() if isinstance(value, int | float)}
            shown = {name.replace("_", " "): show_count(value) if value >= 1000 else f"{value:.4g}" for name, value in numbers.items()}
            said = ", ".join(f"{name} {value}" for name, value in shown.items())
            lines.append(f"- {stage.stage}: {said}")
    return "\n".join(["## Training", "", *lines, ""]) if lines else ""


def _evaluation(metrics: Mapping[str, Metric]) -> str:
    if not metrics:
        return ""
    rows = [
        f"| {name} | {metric.value:.4f} | {metric.low:.4f} to {metric.high:.4f} | {metric.items} | "
        + ", ".join(f"{other} {value:.4f}" for other, value in metric.baselines.items())
        + " |"
        for name, metric in metrics.items()
    ]
    return "\n".join(["## Evaluation", "", "| metric | value | 95% interval | items | baselines |", "|---|---|---|---|---|", *rows, ""])


def _gates(verdict: Mapping[str, Any] | None) -> str:
    if verdict is None:
        return "## Gates\n\nNone was asked.\n"
    lines = [f"- {'pass' if finding['passed'] else 'FAIL'}: {finding['message']}" for finding in verdict["findings"]]
    return "\n".join(["## Gates", "", f"Verdict: {'passed' if verdict['passed'] else 'failed'}.", "", *lines, ""])
