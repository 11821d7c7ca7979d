"""The training loop, from top to bottom: batch, gradients, check, update, evaluate, save. Everything arrives finished.

A batch is a function of the step, a loss is a sum with a weight, and all that changes is in `TrainState`:
that is why a run that was stopped anywhere and resumed gives the same bits.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from ropewalk.core.errors import DiskError, Interrupted, NotFinite
from ropewalk.core.events import Ended, Evaluated, Event, Recovered, Saved, StepEnded, StopRequest
from ropewalk.core.seed import derive
from ropewalk.tasks.torch_batch import to_torch

if TYPE_CHECKING:
    from ropewalk.data.loader import Batch, Batches
    from ropewalk.models.gpt_module import Decoder
    from ropewalk.optim.schedules import Schedule
    from ropewalk.tasks.task import Task
    from ropewalk.train.state import TrainState

WATCHED = "holdout_loss"
MAX_SKIPPED_IN_A_ROW = 5

Evaluator = Callable[[], Mapping[str, float]]
"""Measures the model as it stands; must give `holdout_loss`."""
Tell = Callable[[Event], StopRequest | None]
Save = Callable[[], Path]


@dataclass(frozen=True)
class Plan:
    """The numbers of a run, all resolved; steps are optimizer updates."""

    total_steps: int
    micro_batch: int
    learning_rate: float
    """The optimizer's own rate: what is reported is this times the schedule's factor."""
    seed: int
    device: str
    autocast: torch.dtype | None = None
    clip: float | None = 1.0
    """Largest norm of the gradient."""
    evaluate_every: int = 0
    """0: never; else also at the last step."""
    save_every: int = 100
    save_best: bool = True
    """Save at each new best, so that its weights can be had back."""
    patience: int | None = None
    average_decay: float = 0.0
    on_not_finite: Literal["stop", "skip"] = "stop"


def train(
    state: TrainState,
    loader: Batches,
    task: Task,
    schedule: Schedule,
    plan: Plan,
    *,
    tell: Tell,
    save: Save,
    evaluate: Evaluator | None = None,
    interrupted: Callable[[], signal.Signals | None] = lambda: None,
) -> None:
    """Train from the state's step to the plan's last; the state is saved there, and wherever the plan says.

    Raises NotFinite before an update that would spoil the weights, and Interrupted after a signal or a listener's
    request to stop; the state is saved before either. A save that fails on the way is said and tried again later,
    unless the result hangs on it (a new best, the end): then DiskError is raised.
    """
    parameters = [parameter for parameter in state.model.parameters() if parameter.requires_grad]
    state.model.train()
    while state.step < plan.total_steps and not state.stopped:
        started = time.perf_counter()
        position = state.step + state.skipped
        weight, batch = loader.weight(position), loader.at(position)
        waited = time.perf_counter() - started

        loss = _add_gradients(state.model, task, loader.micro_batches(batch, plan.micro_batch), weight, plan, position)
        norm = _gradient_norm(parameters)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            _refuse(state, plan, f"loss is {loss}, gradient norm {norm}", tell, save)
            continue
        if plan.clip is not None and norm > plan.clip:
            torch._foreach_mul_([p.grad for p in parameters if p.grad is not None], plan.clip / norm)

        factor = schedule.factor(state.step, plan.total_steps)
        state.update.step(factor)  # moves nothing where there are no gradients: in a batch that predicts nothing
        state.update.zero_grad()
        if state.average is not None:
            _move_average(state, plan.average_decay)
        tokens = int((batch.documents != 0).sum())
        state.step += 1
        state.tokens += tokens
        state.skipped_in_a_row = 0
        seconds = time.perf_counter() - started
        rate = plan.learning_rate * factor
        facts = {"predicted": weight}
        request = tell(StepEnded(state.step, plan.total_steps, loss, rate, norm, tokens, seconds, facts, waited))

        last, best = state.step == plan.total_steps, False
        if evaluate and plan.evaluate_every and (last or state.step % plan.evaluate_every == 0):
            with evaluating(state):
                evaluated = _judge(state, evaluate(), plan.patience)
            best = evaluated.best and plan.save_best
            request = tell(evaluated) or request

        received = interrupted()
        if received is not None:
            request = StopRequest(received.name)
        ending = last or bool(state.stopped) or request is not None
        if ending or best or state.step % plan.save_every == 0:
            _save(state, save, tell, must=ending or best)
        if request is not None:
            tell(Ended(state.step, request.reason, state.metrics))
            message = f"stopped by {request.reason} after step {state.step} of {plan.total_steps}, which is saved; run again to go on"
            raise Interrupted(message, signal_number=received or signal.SIGINT)
    tell(Ended(state.step, state.stopped or "budget spent", state.metrics))


def _add_gradients(model: Decoder, task: Task, micro_batches: Iterable[Batch], weight: int, plan: Plan, position: int) -> float:
    """Gradients of the step's mean loss over all its micro-batches; returns that mean, in nats."""
    totals, seen = [], 0
    for index, micro_batch in enumerate(micro_batches):
        tensors = to_torch(micro_batch, plan.device)
        if tensors.weight == 0:
            continue
        torch.manual_seed(derive(plan.seed, "dropout", position, index))
        with precision(plan):
            loss = task.loss(model, tensors)
        torch.autograd.backward(loss.total / weight)
        totals.append(loss.total.detach())
        seen += loss.weight
    assert seen == weight, f"batch {position}: {seen} predicted tokens, the loader's index says {weight}"
    return math.fsum(total.item() for total in totals) / weight if weight else 0.0


def precision(plan: Plan) -> AbstractContextManager[object]:
    """The context in which the model is computed."""
    return torch.autocast(plan.device.partition(":")[0], plan.autocast) if plan.autocast else nullcontext()


def _gradient_norm(parameters: list[nn.Parameter]) -> float:
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return float(nn.utils.get_total_norm(gradients)) if gradients else 0.0


def _refuse(state: TrainState, plan: Plan, what: str, tell: Tell, save: Save) -> None:
    """A step that is not finite moves nothing: the run stops, or goes on with the next batch and counts."""
    state.update.zero_grad()
    step = state.step + 1
    if plan.on_not_finite == "skip" and state.skipped_in_a_row < MAX_SKIPPED_IN_A_ROW - 1:
        state.skipped += 1
        state.skipped_in_a_row += 1
        tell(Recovered(step, f"{what}: batch left out ({state.skipped} so far)"))
        return
    _save(state, save, tell, must=False)
    tell(Ended(state.step, f"step {step}: {what}", state.metrics))
    again = f", as in the {state.skipped_in_a_row} batches before" if state.skipped_in_a_row else ""
    raise NotFinite(
        f"step {step}: {what}{again}; no update was made from it",
        remedy="lower the learning rate or clip, or set on_not_finite: skip to leave out such batches",
    )


def _move_average(state: TrainState, decay: float) -> None:
    """The decay grows from 2/11 with the step, so that a short run's average isn't its initial weights."""
    assert state.average is not None
    weight = 1.0 - min(decay, (1 + state.step) / (10 + state.step))
    now = dict(state.model.named_parameters())
    with torch.no_grad():
        torch._foreach_lerp_(list(state.average.values()), [now[name] for name in state.average], weight)


@contextmanager
def evaluating(state: TrainState) -> Iterator[None]:
    """The model in evaluation mode, with the averaged weights in place where there are some."""
    state.model.eval()
    _swap_average(state)
    try:
        yield
    finally:
        _swap_average(state)
        state.model.train()


def _swap_average(state: TrainState) -> None:
    for name, parameter in state.model.named_parameters():
        if state.average is not None:
            parameter.data, state.average[name] = state.average[name], parameter.data


def _judge(state: TrainState, metrics: Mapping[str, float], patience: int | None) -> Evaluated:
    """Is it the best so far? NaN never is, and counts against the patience like any other that is no better."""
    state.metrics = dict(metrics)
    value = state.metrics[WATCHED]
    better = math.isfinite(value) and (state.best is None or value < state.best)
    if better:
        state.best, state.best_step, state.bad_evaluations = value, state.step, 0
    else:
        state.bad_evaluations += 1
    left = None if patience is None else patience - state.bad_evaluations
    if left is not None and left <= 0:
        state.stopped = f"not better for {state.bad_evaluations} evaluations"
    return Evaluated(state.step, state.metrics, better, left)


def _save(state: TrainState, save: Save, tell: Tell, *, must: bool) -> None:
    started = time.perf_counter()
    try:
        path = save()
    except DiskError as error:
        if must:
            raise
        tell(Recovered(state.step, f"not saved, trying again later: {error.message}"))
    else:
        tell(Saved(state.step, path, time.perf_counter() - started))
