"""lm-evaluation-harness asks, our scorer answers: its tasks, prompts and metrics on a model of ours."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ropewalk.core.errors import ConfigError, DataError
from ropewalk.core.load import nearest
from ropewalk.evaluate.asked import continued, encoded
from ropewalk.evaluate.likelihood import Ask, likelihoods
from ropewalk.evaluate.scoring import Subject, token_losses
from ropewalk.evaluate.writing import Manner, write


def harness_results(
    subject: Subject,
    tasks: Sequence[str],
    include: Path | None,
    limit: int | None,
    shots: int | None,
    bos: bool,
    advance: Callable[[int], None],
) -> dict[str, Any]:
    """What `lm_eval.simple_evaluate` returns, with every sample."""
    os.environ.setdefault("HF_DATASETS_TRUST_REMOTE_CODE", "0")
    harness = importlib.import_module("lm_eval")
    manager = importlib.import_module("lm_eval.tasks").TaskManager(include_path=str(include) if include else None)
    if unknown := [name for name in tasks if name not in manager.all_tasks]:
        hint = nearest(unknown[0], manager.all_tasks) or "name the folder of your own tasks with include"
        raise ConfigError(f"lm_eval has no task {unknown[0]!r} ({hint})")
    found: dict[str, Any] = harness.simple_evaluate(
        model=_model(subject, bos, advance),
        tasks=list(tasks),
        task_manager=manager,
        limit=limit,
        num_fewshot=shots,
        log_samples=True,
        bootstrap_iters=0,
        verbosity=None,
    )
    return found


def _model(subject: Subject, bos: bool, advance: Callable[[int], None]) -> Any:
    """An LM of the harness over our scorer."""
    room = subject.module.shape.context + 1

    def loglikelihood(self: Any, requests: Sequence[Any], **options: Any) -> list[tuple[float, bool]]:
        asks: dict[str, list[int]] = {}
        pairs = [_split(*request.args) for request in requests]
        for place, (context, _) in enumerate(pairs):
            asks.setdefault(context, []).append(place)
        answers: list[tuple[float, bool]] = [(0.0, False)] * len(pairs)
        whole: list[Ask] = []
        owners: list[list[int]] = []
        for context, places in asks.items():
            start = encoded(subject, context, bos)
            ends = {place: continued(subject, context, pairs[place][1], f"request {place}") for place in places}
            fitting = [place for place in places if len(start) + len(ends[place]) <= room]
            if fitting:
                whole.append(Ask(start, tuple(ends[place] for place in fitting)))
                owners.append(fitting)
            for place in set(places) - set(fitting):
                end = ends[place][-(room - 1) :]
                whole.append(Ask(start[-max(room - len(end), 1) :], (end,)))
                owners.append([place])
        for places, found in zip(owners, likelihoods(subject, whole, advance), strict=True):
            for place, one in zip(places, found, strict=True):
                answers[place] = (one.nats, one.greedy)
        return answers

    def loglikelihood_rolling(self: Any, requests: Sequence[Any], **options: Any) -> list[float]:
        ids = [encoded(subject, request.args[0], True) for request in requests]
        return [-float(losses.sum()) for losses in token_losses(subject, ids, room - 1, advance)]

    def generate_until(self: Any, requests: Sequence[Any], **options: Any) -> list[str]:
        found = []
        for request in requests:
            prompt, wishes = request.args[0], dict(request.args[1])
            until = [wishes["until"]] if isinstance(wishes.get("until"), str) else list(wishes.get("until") or [])
            warmth = float(wishes.get("temperature") or 0.0) if wishes.get("do_sample") else 0.0
            manner = Manner(int(wishes.get("max_gen_toks", 256)), (subject.vocabulary.eos_id,), [text for text in until if text], warmth)
            found.append(write(subject, [encoded(subject, prompt, bos)], manner, advance)[0].text)
        return found

    base = importlib.import_module("lm_eval.api.model").LM
    verbs = {"loglikelihood": loglikelihood, "loglikelihood_rolling": loglikelihood_rolling, "generate_until": generate_until}
    return type("RopewalkModel", (base,), verbs)()


def _split(context: str, continuation: str) -> tuple[str, str]:
    """Blanks at the context's end go to the continuation, as the harness has it."""
    bare = context.rstrip()
    return bare, context[len(bare) :] + continuation


def per_item(samples: Sequence[Mapping[str, Any]], name: str) -> dict[str, list[float]]:
    """The metrics of a task that are one number an item."""
    names = [metric for metric in samples[0].get("metrics", []) if all(isinstance(one.get(metric), int | float | bool) for one in samples)]
    if not names:
        raise DataError(f"lm_eval task {name}: none of its metrics is one number an item", remedy="use the suite's own counterpart")
    return {metric: [float(one[metric]) for one in samples] for metric in names}
