"""The training curves of each train stage; of one that is under way too, as far as the run's event log tells."""

from __future__ import annotations

from ropewalk.report.facts import RunFacts, StageFacts
from ropewalk.report.markup import count, figure, number, section, table, text
from ropewalk.report.steplog import Row, read_rows, series, smooth, throughput
from ropewalk.report.svg import Series, line_chart


def training(facts: RunFacts) -> str:
    """Four charts a stage."""
    return section("training", "How training went", "".join(_stage(facts, stage) for stage in facts.stages.values()))


def _stage(facts: RunFacts, stage: StageFacts) -> str:
    timed = list(facts.events.steps.get((stage.name, stage.key), ()))
    learnt = read_rows(stage.path / "training.jsonl") if stage.path and stage.makes == "Model" else []
    if "judged" in stage.metrics or not (timed or learnt):
        return ""
    steps: list[Row] = [row for row in learnt if row.get("event") == "step"] or timed
    loss = series(steps, "loss")
    trend = smooth(loss)
    lines = [Series("training loss a step" if trend else "training loss", loss, 5 if trend else 0)]
    lines += [Series("its mean", trend, 0)] if trend else []
    held = series(learnt, "holdout_loss", "evaluated")
    lines += [Series("held-out loss", held, 1, dots=len(held) <= 60)] if held else []
    rate, norm = series(steps, "learning_rate"), series(steps, "gradient_norm")
    charts = [
        figure(line_chart(lines, "step", "nats a token"), "<b>Loss</b>"),
        figure(line_chart([Series("learning rate", rate, 2)], "step", "learning rate", zero=True), "<b>Learning rate</b>"),
        figure(line_chart([Series("gradient norm", norm, 3)], "step", "norm", zero=True), "<b>Gradient norm</b> before clipping"),
        figure(line_chart([Series("tokens a second", throughput(timed), 4)], "step", "tokens/s", zero=True), "<b>Tokens a second</b>"),
    ]
    written = _samples(learnt)
    told = "".join(f"<li>{text(what, 400)}</li>" for name, what in facts.events.remarks if name == stage.name)
    remarks = f"<ul>{told}</ul>" if told else ""
    return f'<h3>{text(stage.name)}</h3><p>{_said(stage, steps)}</p>{remarks}<div class="pair">{"".join(charts)}</div>{written}'


def _samples(learnt: list[Row]) -> str:
    """What the model wrote at the first, a middle and the last evaluation, oldest first."""
    judged = [row for row in learnt if row.get("event") == "evaluated" and isinstance(row.get("samples"), list)]
    shown = list({row["step"]: row for row in (judged[:1] + judged[len(judged) // 2 : len(judged) // 2 + 1] + judged[-1:])}.values())
    rows = [
        [number(row["step"]), f'<span class="prompt">{text(pair[0], 300)}</span>{text(pair[1], 1000)}']
        for row in shown
        for pair in row["samples"]
    ]
    return f"<h4>What it wrote on the way</h4>{table(('step', 'text (the prompt in grey)'), rows, (0,))}" if rows else ""


def _said(stage: StageFacts, steps: list[Row]) -> str:
    metrics = stage.metrics
    if not metrics:
        last = steps[-1] if steps else {}
        return f"Not finished: step {number(last.get('step', 0))} of {number(last.get('total_steps', 0))}."
    parts = [f"{count(metrics.get('steps', 0), 'step')} over {count(metrics.get('tokens', 0), 'token')}"]
    if isinstance(metrics.get("holdout_loss"), float):
        parts.append(f"held-out loss {number(metrics['holdout_loss'])} nats a token at the end")
    if isinstance(metrics.get("best_holdout_loss"), float):
        parts.append(f"the best, {number(metrics['best_holdout_loss'])}, at step {number(metrics.get('best_step', 0))}")
    if metrics.get("skipped_updates"):
        parts.append(f"<b>{count(metrics['skipped_updates'], 'update')} skipped because a gradient was not finite</b>")
    return "; ".join(parts) + "."
