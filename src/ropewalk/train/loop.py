"""The training loop, from top to bottom: batch, gradients, check, update, evaluate, save. Everything arrives finished.

A batch is a function of its position, a loss is a sum with a weight, and all that changes is in `TrainState`:
that is why a run that was stopped anywhere and resumed gives the same bits.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch import nn

from ropewalk.core.errors import Interrupted, NotFinite, RopewalkError
from ropewalk.core.events import Ended, Evaluated, Recovered, StepEnded, StopRequest
from ropewalk.core.seed import derive
from ropewalk.hardware.memory import MicroBatch
from ropewalk.tasks.torch_batch import to_torch
from ropewalk.train.faults import Faults, Struck
from ropewalk.train.ladder import Ladder
from ropewalk.train.plan import Plan, Policy
from ropewalk.train.saver import Saver, Saves, Tell
from ropewalk.train.stability import not_finite, remember, spike

if TYPE_CHECKING:
    from ropewalk.data.loader import Batch, Batches
    from ropewalk.models.gpt_module import Decoder
    from ropewalk.optim.schedules import Schedule
    from ropewalk.tasks.task import Task
    from ropewalk.train.state import TrainState

WATCHED = "holdout_loss"
MAX_IN_A_ROW = 5
"""Batches left out, rollbacks, or errors tried again, with no update in between, before the run ends."""

Evaluator = Callable[[], Mapping[str, float]]
"""Measures the model as it stands; must give `holdout_loss`."""


def train(
    state: TrainState,
    loader: Batches,
    task: Task,
    schedule: Schedule,
    plan: Plan,
    *,
    tell: Tell,
    saver: Saver,
    sizes: MicroBatch,
    evaluate: Evaluator | None = None,
    sample: Callable[[], tuple[tuple[str, str], ...]] = tuple,
    rollback: Callable[[], bool] = lambda: False,
    interrupted: Callable[[], signal.Signals | None] = lambda: None,
    save_wanted: Callable[[], bool] = lambda: False,
    faults: Faults | None = None,
) -> None:
    """Train from the state's step to the plan's last; the state is saved there, and wherever the plan says.

    Raises NotFinite before an update that would spoil the weights, OutOfMemory when every remedy was tried, and
    Interrupted after a signal or a listener's request to stop; the state is saved before each. A save that fails on the
    way is said and tried again later, unless the result hangs on it (a new best, the end): then DiskError is raised.
    `rollback` puts the last checkpoint into the state, and is False where there is none.
    """
    struck, saves = Struck(faults or Faults()), Saves(saver, tell)
    ladder = Ladder(state, sizes, plan.device, tell, saves.emergency)
    parameters = [parameter for parameter in state.model.parameters() if parameter.requires_grad]
    tried, evaluated_at = 0, state.seconds
    state.model.train()
    while state.step < plan.total_steps and not state.stopped:
        started = time.perf_counter()
        _pass_excluded(state)
        position, step = state.position, state.step + 1
        weight, batch = loader.weight(position), loader.at(position)
        waited = time.perf_counter() - started
        try:
            struck.error(step)
            loss = ladder.climb(_add_gradients, state, task, loader, batch, sizes, weight, plan, struck)
        except RopewalkError:
            raise
        except Exception as error:
            tried += 1
            _tried_again(state, plan, error, tried, tell, saves)
            continue
        loss, norm = struck.loss(loss, step), _gradient_norm(parameters)
        wrong, outlier = not_finite(loss, norm), spike(state.losses, state.norms, loss, norm)
        if wrong or (outlier and plan.on_spike != "tell"):
            policy: Policy = plan.on_not_finite if wrong or plan.on_spike == "tell" else plan.on_spike
            _refuse(state, policy, wrong or outlier, tell, saves, rollback)
            continue
        if outlier:
            tell(Recovered(step, f"{outlier}: nothing was done about it (on_spike)"))
        if plan.clip is not None and norm > plan.clip:
            torch._foreach_mul_([p.grad for p in parameters if p.grad is not None], plan.clip / norm)

        factor = schedule.factor(*_course(state, plan))
        ladder.update(_update, state, factor, struck, step)
        state.update.zero_grad()
        if state.average is not None:
            _move_average(state, plan.average_decay)
        tokens = batch.num_positions
        _advance(state, tokens, loss, norm)
        tried = 0
        seconds = time.perf_counter() - started
        state.seconds += seconds
        rate = plan.learning_rate * factor
        request = tell(StepEnded(state.step, plan.total_steps, loss, rate, norm, tokens, seconds, {"predicted": weight}, waited))

        late = plan.total_seconds is not None and state.seconds >= plan.total_seconds
        last, best = state.step == plan.total_steps or late, False
        if late:
            state.stopped = f"{plan.total_seconds:.0f} seconds are over"
        due = plan.evaluate_every and (last or state.step % plan.evaluate_every == 0)
        due = due or (plan.evaluate_seconds is not None and (last or state.seconds - evaluated_at >= plan.evaluate_seconds))
        if evaluate is not None and due:
            evaluated_at = state.seconds
            with evaluating(state):
                metrics = ladder.climb(_measured, evaluate, struck, state.step)
                samples = sample()
            evaluated = _judge(state, metrics, plan.patience, samples)
            best = evaluated.best and plan.save_best
            request = tell(evaluated) or request

        received = interrupted()
        if received is not None:
            request = StopRequest(received.name)
        ending = last or bool(state.stopped) or request is not None
        if ending or best or save_wanted() or state.step % plan.save_every == 0 or saves.due(plan.save_seconds):
            saves.save(state, must=ending or best, wait=ending)
        saves.poll(state)
        if request is not None:
            tell(Ended(state.step, request.reason, state.metrics))
            message = f"stopped by {request.reason} after step {state.step} of {plan.total_steps}, which is saved; run again to go on"
            raise Interrupted(message, signal_number=received or signal.SIGINT)
    tell(Ended(state.step, state.stopped or "budget spent", state.metrics))


def _add_gradients(
    state: TrainState, task: Task, loader: Batches, batch: Batch, sizes: MicroBatch, weight: int, plan: Plan, struck: Struck
) -> float:
    """Gradients of the step's mean loss over all its micro-batches; returns that mean, in nats."""
    model, totals, seen, row = state.model, [], 0, 0
    for micro_batch in loader.micro_batches(batch, sizes.size):
        tensors = to_torch(micro_batch, plan.device)
        rows = range(row, row := row + len(micro_batch.sequences))
        if tensors.weight == 0:
            continue
        _name_rows(model, plan.seed, state.position, rows)
        struck.memory("forward", state.step + 1)
        with precision(plan):
            loss = task.loss(model, tensors)
        struck.memory("backward", state.step + 1)
        torch.autograd.backward(loss.total / weight)
        totals.append(loss.total.detach())
        seen += loss.weight
    assert seen == weight, f"batch {state.position}: {seen} predicted tokens, the loader's index says {weight}"
    return math.fsum(total.item() for total in totals) / weight if weight else 0.0


def _name_rows(model: Decoder, seed: int, position: int, rows: range) -> None:
    """Random draws belong to a row of the global batch, whatever the micro-batch; other modules draw from torch's stream."""
    torch.manual_seed(derive(seed, "dropout", position, rows.start))
    if model.shape.dropout:
        model.draws.rows = tuple(derive(seed, "dropout", position, "row", row) for row in rows)


def _update(state: TrainState, factor: float, struck: Struck, step: int) -> None:
    struck.memory("optimizer", step)
    state.update.step(factor)  # moves nothing where there are no gradients: in a batch that predicts nothing


def _measured(evaluate: Evaluator, struck: Struck, step: int) -> Mapping[str, float]:
    struck.memory("evaluate", step)
    return evaluate()


def _advance(state: TrainState, tokens: int, loss: float, norm: float) -> None:
    state.step += 1
    state.position += 1
    state.tokens += tokens
    state.skipped_in_a_row = 0
    remember(state.losses, loss)
    remember(state.norms, norm)


def _pass_excluded(state: TrainState) -> None:
    while state.position in state.excluded:
        state.position += 1
        state.skipped += 1


def _course(state: TrainState, plan: Plan) -> tuple[int, int]:
    """(done, whole) for the schedule: updates, or thousandths of the time where that is the budget."""
    if plan.total_seconds is None:
        return state.step, plan.total_steps
    return min(999, int(1000 * state.seconds / plan.total_seconds)), 1000


def precision(plan: Plan) -> AbstractContextManager[object]:
    """The context in which the model is computed."""
    return torch.autocast(plan.device.partition(":")[0], plan.autocast) if plan.autocast else nullcontext()


def _gradient_norm(parameters: list[nn.Parameter]) -> float:
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return float(nn.utils.get_total_norm(gradients)) if gradients else 0.0


def _refuse(state: TrainState, policy: Policy, what: str, tell: Tell, saves: Saves, rollback: Callable[[], bool]) -> None:
    """A step out of order moves nothing: the run stops, leaves the batch out, or goes back to a checkpoint and leaves it out."""
    state.update.zero_grad()
    step, guilty, before = state.step + 1, state.position, state.skipped_in_a_row
    if policy != "stop" and before < MAX_IN_A_ROW - 1:
        rollbacks, excluded = state.rollbacks, [*state.excluded, guilty]
        if policy == "rollback" and rollback():
            state.rollbacks, state.excluded, state.skipped_in_a_row = rollbacks + 1, excluded, before + 1
            tell(Recovered(step, f"{what}: back to step {state.step}, and batch {guilty} will be left out"))
            return
        state.position += 1
        state.skipped += 1
        state.skipped_in_a_row += 1
        tell(Recovered(step, f"{what}: batch left out ({state.skipped} so far)"))
        return
    saves.emergency(state)
    tell(Ended(state.step, f"step {step}: {what}", state.metrics))
    again = f", as in the {before} batches before" if before else ""
    raise NotFinite(
        f"step {step}: {what}{again}; no update was made from it",
        remedy="lower the learning rate or clip, or set on_not_finite: skip (on_spike: skip) to leave out such batches",
    )


def _tried_again(state: TrainState, plan: Plan, error: Exception, tried: int, tell: Tell, saves: Saves) -> None:
    """An error that nobody foresaw, before anything moved: the step is done again, or the state is saved and the error raised."""
    state.update.zero_grad()
    if plan.on_error == "resume" and tried < MAX_IN_A_ROW:
        tell(Recovered(state.step + 1, f"{type(error).__name__}: {error}: the step is done again ({tried} of {MAX_IN_A_ROW - 1})"))
        return
    saves.emergency(state)
    tell(Ended(state.step, f"step {state.step + 1}: {type(error).__name__}: {error}", state.metrics))
    raise error


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


def _judge(state: TrainState, metrics: Mapping[str, float], patience: int | None, samples: tuple[tuple[str, str], ...]) -> Evaluated:
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
    return Evaluated(state.step, state.metrics, better, left, samples)
